"""Does llama.cpp compute what was searched? Checked in a fresh process, after every GGUF file that is written.

python -m evop.export.gguf.check --model DENSE --pattern PATTERN --gguf FILE --out check.json
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evop.errors import EvopError
from evop.export.child import end_with_parent
from evop.export.fresh import in_fresh_process
from evop.export.gguf.runtime import LlamaCpp
from evop.export.parity import is_ours, load, logits_of, masked_logits, random_ids
from evop.export.source import Source
from evop.files.json_file import JsonFile
from evop.model.checkpoint import Checkpoint
from evop.removal.opened import open_pattern

if TYPE_CHECKING:
    import torch

BEST = 256
"""Likeliest tokens whose log-probabilities are compared."""
PLACES = 8
"""Places of a sequence after which the next token is compared."""
LIMITS = {"f16": 0.1, "bf16": 0.5, "q8_0": 0.5}
"""Largest difference of two log-probabilities allowed, in standard deviations of the logits, by ``--bits``.

A tensor in a wrong place makes many times as much. A pruned model can be so unsteady that rounding alone exceeds it:
what float16 changes in transformers is measured too, and ``SLACK`` times as much is allowed.
"""
SLACK = 3.0
WRITTEN = 24
"""Tokens of a sequence that is compared. The model writes them: after random ones, rounding decides what follows."""


class GgufCheck(JsonFile):
    """What llama.cpp predicts beside what transformers does, of a file."""

    SCHEMA: ClassVar[str] = "evop.gguf-check/1"
    compared: int
    """Next tokens that both predicted."""
    difference: float
    """Largest difference of two log-probabilities of the likeliest tokens, nats."""
    ratio: float
    """The same in standard deviations of the logits."""
    explained: float
    """What computing in float16 changes in transformers, in the same unit; 0 where its numbers overflow."""
    same_best: float
    """Share of the places at which both find the same token likeliest."""
    reads: float
    writes: float
    """Tokens per second that llama.cpp read and wrote, on one thread."""

    def holds(self, bits: str) -> bool:
        """Tell whether the file computes what was measured, as nearly as its numbers of some bits can."""
        return self.ratio <= self.allowed(bits)

    def allowed(self, bits: str) -> float:
        """Return the largest ``ratio`` that numbers of some bits explain."""
        return max(LIMITS[bits], SLACK * self.explained)


def there() -> bool:
    """Tell whether llama.cpp is installed."""
    return importlib.util.find_spec("xllamacpp") is not None


def check_gguf(gguf: Path, model: Path, pattern: Path | None, context: int) -> GgufCheck:
    """Run ``check`` in a process of its own.

    Raises:
        EvopError: llama.cpp cannot load the file, or ended the process.
    """
    given: list[str | Path] = ["--model", model, "--gguf", gguf, "--context", str(context)]
    given += ["--pattern", pattern] if pattern else []
    return in_fresh_process("evop.export.gguf.check", given, GgufCheck.read, "the check in llama.cpp")


def check(gguf: Path, model: Path, pattern: Path | None, context: int) -> GgufCheck:
    """Compare the next tokens that llama.cpp and transformers predict in text that the model wrote.

    Args:
        gguf: the file.
        model: folder of the dense model that ``pattern`` prunes, or of the checkpoint itself.
        pattern: the pattern that the file was made by, or None.
        context: positions that the file promises.
    """
    checkpoint = Checkpoint.find(model)
    loaded = load(model, "float32", is_ours(checkpoint))
    ids = _written_on(loaded, random_ids(Source.of_checkpoint(checkpoint).resolved)[:, :1], min(WRITTEN, context // 2))
    logits = _logits(loaded, checkpoint, pattern, ids)
    expected, spread, best = logits.log_softmax(-1), logits.std().item(), logits.argmax(-1)
    rounded = _logits(loaded.half(), checkpoint, pattern, ids).log_softmax(-1)
    runtime = LlamaCpp(gguf, context=min(context, 2 * ids.shape[1]))
    differences, explained, same = [0.0], [0.0], []
    for row in range(len(ids)):
        for place in np.linspace(2, ids.shape[1], PLACES).astype(int):
            found = runtime.next_logprobs(ids[row, :place].tolist(), BEST)
            exact, half = expected[row, place - 1], rounded[row, place - 1]
            differences += [abs(value - exact[token].item()) for token, value in found.items()]
            explained += [abs(half[token].item() - exact[token].item()) for token in found]
            same.append(max(found, key=found.__getitem__) == best[row, place - 1].item())
    reads, writes = runtime.speed(ids[0].tolist(), ids.shape[1] // 2)
    largest, by_rounding = max(differences), np.max(explained)
    return GgufCheck(
        compared=len(same),
        difference=largest,
        ratio=largest / spread if spread else float(largest > 0),
        explained=float(by_rounding / spread) if spread and np.isfinite(by_rounding) else 0.0,
        same_best=float(np.mean(same)),
        reads=round(reads, 1),
        writes=round(writes, 1),
    )


def _written_on(model: Any, ids: torch.Tensor, length: int) -> torch.Tensor:
    """Let a model write on from some first tokens, always the same: int64 [sequences, length]."""
    import torch

    generator = torch.Generator().manual_seed(0)
    while ids.shape[1] < length:
        likely = logits_of(model, ids)[:, -1].float().softmax(-1)
        ids = torch.cat([ids, torch.multinomial(likely, 1, generator=generator)], 1)
    return ids


def _logits(model: Any, checkpoint: Checkpoint, pattern: Path | None, ids: torch.Tensor) -> torch.Tensor:
    """What a model predicts, pruned where there is a pattern: float32 [sequences, length, vocabulary]."""
    if pattern is None:
        return logits_of(model, ids).float()
    return masked_logits(model, checkpoint, open_pattern(pattern, checkpoint).cut, ids).float()


def main(arguments: list[str] | None = None) -> int:
    """Run the check as a command, as the fresh process does."""
    parser = argparse.ArgumentParser(prog="python -m evop.export.gguf.check", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the dense model, or of the checkpoint")
    parser.add_argument("--pattern", type=Path, help="pattern that it was pruned by")
    parser.add_argument("--gguf", type=Path, required=True, help="the file")
    parser.add_argument("--context", type=int, required=True, help="positions that the file promises")
    parser.add_argument("--out", type=Path, required=True, help="where to write the report")
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input is closed")
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_with_parent()
    try:
        check(options.gguf, options.model, options.pattern, options.context).write(options.out)
    except EvopError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
