"""Does the saved checkpoint compute what was searched? Checked in a fresh process, after every write.

python -m evop.export.parity --model DENSE --pruned CHECKPOINT --pattern PATTERN --out parity.json
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evop.export.child import end_with_parent
from evop.export.fresh import in_fresh_process
from evop.export.source import Source
from evop.files.json_file import JsonFile, JsonPart
from evop.model.checkpoint import Checkpoint
from evop.model.families import HETERO_PREFIX
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4
"""Largest logit difference allowed, in standard deviations of the logits."""
SEQUENCES, LENGTH = 2, 128
"""Random sequences that both models read, and tokens of each."""
TIMED_SECONDS, REPEATS = 1.0, (3, 25)
"""Forward passes are timed for so many seconds, and at least and at most so often; the median counts."""
WORKING_SPACE = 1.2
"""Memory a model takes in use, in sizes of its weights."""


class Beside(JsonPart):
    """One number of the dense model and the same of the pruned one."""

    dense: float
    pruned: float


class ParityReport(JsonFile):
    """What a parity check measured: logits of the masked dense model against those of the saved checkpoint."""

    SCHEMA: ClassVar[str] = "evop.parity/2"
    dtype: str
    device: str
    tokens: int
    """Number of random tokens compared."""
    difference: float
    """Largest difference of two logits."""
    ratio: float
    """The same in standard deviations of the masked model's logits."""
    greedy_agrees: bool
    """Whether the likeliest token is the same wherever the two likeliest differ by more than the tolerance."""
    parameters: Beside
    bytes: Beside
    """Bytes of the weight files."""
    tokens_per_second: Beside
    """Tokens per second of a forward pass without a cache, median."""

    @property
    def holds(self) -> bool:
        """Whether the checkpoint computes what was searched."""
        return self.ratio <= TOLERANCE and self.greedy_agrees


def check_in_fresh_process(
    dense: Path, pruned: Path, pattern: Path | None, trust_remote_code: bool = False
) -> ParityReport:
    """Run ``check`` in a process of its own, which shares nothing with the one that wrote the checkpoint.

    The modelling file inside a heterogeneous checkpoint is what runs there, not the one installed.

    Raises:
        EvopError: the process failed; the error ends with its last line.
    """
    given: list[str | Path] = ["--model", dense, "--pruned", pruned]
    given += ["--pattern", pattern] if pattern else []
    given += ["--trust-remote-code"] if trust_remote_code else []
    return in_fresh_process("evop.export.parity", given, ParityReport.read, "the parity check")


def check(dense: Path, pruned: Path, pattern: Path | None, trust_remote_code: bool = False) -> ParityReport:
    """Compare the masked dense model with the saved checkpoint; one of them in memory at a time.

    Args:
        dense: folder of the model that was pruned; without a pattern, of one that must compute the same.
        pruned: folder of the checkpoint.
        pattern: the pattern that it was made by, beside what belongs to it, or None.
        trust_remote_code: whether the dense model may run code of its own.
    """
    before, after = Checkpoint.find(dense), Checkpoint.find(pruned)
    cut = Cut() if pattern is None else open_pattern(pattern, before).cut
    source = Source.of_checkpoint(before)
    ids, dtype = random_ids(source.resolved), dtype_of(source, cut)

    model = load(dense, dtype, trust_remote_code or is_ours(before))
    dense_speed, dense_parameters = _tokens_per_second(model, ids), model.num_parameters()
    wanted = logits_of(model, ids) if pattern is None else masked_logits(model, before, cut, ids)
    del model
    gc.collect()
    model = load(pruned, dtype, trust_remote_code or is_ours(after))
    difference, ratio, greedy = compare(wanted, logits_of(model, ids))
    return ParityReport(
        dtype=dtype,
        device="cpu",
        tokens=ids.numel(),
        difference=difference,
        ratio=ratio,
        greedy_agrees=greedy,
        parameters=Beside(dense=dense_parameters, pruned=model.num_parameters()),
        bytes=Beside(dense=before.weight_file_bytes, pruned=after.weight_file_bytes),
        tokens_per_second=Beside(dense=dense_speed, pruned=_tokens_per_second(model, ids)),
    )


def compare(wanted: torch.Tensor, saved: torch.Tensor) -> tuple[float, float, bool]:
    """Compare the logits of two models.

    Args:
        wanted: logits of the masked dense model, [..., vocabulary].
        saved: logits of the saved checkpoint, of the same shape.

    Returns:
        The largest difference of two logits; the same in standard deviations of ``wanted``; whether greedy decoding
        agrees wherever the two best logits are further apart than the tolerance.
    """
    wanted, saved = wanted.float(), saved.float()
    spread = wanted.std().item()
    difference = (wanted - saved).abs().max().item()
    best, second = wanted.topk(2, dim=-1).values.unbind(-1)
    clear = best - second > TOLERANCE * spread
    greedy = bool((wanted.argmax(-1) == saved.argmax(-1))[clear].all())
    ratio = difference / spread if spread else (0.0 if difference == 0 else float("inf"))
    return difference, ratio, greedy


def random_ids(config: Any) -> torch.Tensor:
    """Draw random token ids [sequences, length], always the same, for a model of a config as transformers reads it."""
    import torch

    length = min(LENGTH, int(getattr(config, "max_position_embeddings", None) or LENGTH))
    generator = torch.Generator().manual_seed(0)
    return torch.randint(int(config.vocab_size), (SEQUENCES, length), generator=generator)


def dtype_of(source: Source, cut: Cut) -> str:
    """Choose ``float32`` where it fits in memory or blocks are changed, else what the weights are stored in.

    A block that is gone adds exact zeros, so the two models agree in any dtype; sums over fewer units round otherwise.
    """
    if cut.changed:
        return "float32"
    stored = str(source.resolved.dtype or "float32").removeprefix("torch.")
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "float32"
    parameters = sum(tensor.numel for tensor in source.checkpoint.tensors.values())
    return "float32" if 4 * parameters * WORKING_SPACE < memory else stored


def is_ours(checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint runs on the modelling file that evop puts into it."""
    return checkpoint.model_type.startswith(HETERO_PREFIX)


def load(folder: Path, dtype: str, trust_remote_code: bool) -> Any:
    """Load a checkpoint on the CPU, ready to be measured."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
    )
    return model.eval().requires_grad_(False)


def logits_of(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Compute the logits after each of the ids [sequences, length]."""
    import torch

    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits


def masked_logits(model: Any, checkpoint: Checkpoint, cut: Cut, ids: torch.Tensor) -> torch.Tensor:
    """Compute the same with what a pattern removes masked."""
    from evop.model.families import family_of
    from evop.removal.masking import masked

    with masked(model, family_of(checkpoint.model_type), cut):
        return logits_of(model, ids)


def _tokens_per_second(model: Any, ids: torch.Tensor) -> float:
    """Time forward passes, and take the median."""
    logits_of(model, ids)
    seconds: list[float] = []
    least, most = REPEATS
    while len(seconds) < least or (len(seconds) < most and sum(seconds) < TIMED_SECONDS):
        begun = time.perf_counter()
        logits_of(model, ids)
        seconds.append(time.perf_counter() - begun)
    return round(ids.numel() / statistics.median(seconds), 1)


def main(arguments: list[str] | None = None) -> int:
    """Run the check as a command, as the fresh process does."""
    parser = argparse.ArgumentParser(prog="python -m evop.export.parity", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of the dense model")
    parser.add_argument("--pruned", type=Path, required=True, help="folder of the pruned checkpoint")
    parser.add_argument("--pattern", type=Path, help="pattern that it was pruned by")
    parser.add_argument("--out", type=Path, required=True, help="where to write the report")
    parser.add_argument("--trust-remote-code", action="store_true", help="let the dense model run code of its own")
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input is closed")
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_with_parent()
    check(options.model, options.pruned, options.pattern, options.trust_remote_code).write(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
