"""Patterns a second of a model with the shape of Llama-2-7B, on one GPU: shared prefixes on and off.

    python benchmarks/large_model.py                                   # needs a GPU and 14 GB of disk, for a while
    python benchmarks/large_model.py --device cpu --shape tiny         # whether the command works

Weights are random: how fast a model runs does not depend on their values. Sub-blocks, a quarter removed; a round is 32
random patterns, 32 level switches from one parent, or a greedy step, on 16,384 tokens a pattern. Tokens a second are
also given as a fraction of what the device does in plain matrix products of the model's own shapes and dtype, counting
two operations a weight of the blocks that each pattern keeps and of the head. Prints and writes ``large-model.md``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch

from evop.evaluator import Evaluator
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.reference import model_dir
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.tokens.passages import TokenPassages
from patterns import Budget, Pattern, PatternSpace

SHAPES = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 4096,
        "max_position_embeddings": 1024,
    },
}
TOKENS, LENGTH = 16_384, 512


def main() -> None:
    """Make the model, measure, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=tuple(SHAPES), default="7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of a pattern")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where the table is written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder), SHAPES[given.shape], given.device)
        loaded = load_model(Checkpoint.find(folder), given.device)
        text = table(loaded, given.tokens, given.repeats)
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / "large-model.md").write_text(text)
    print(text)


def made(folder: Path, shape: dict[str, int], device: str) -> None:
    """Write a Llama of random weights to a folder; its tokenizer is the embedded model's."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM._from_config(LlamaConfig(**shape), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_dir()).save_pretrained(folder)


def table(loaded: LoadedModel, tokens: int, repeats: int) -> str:
    """Patterns and tokens a second of every round, as Markdown."""
    space, rng = pattern_space(loaded.checkpoint, "subblock"), np.random.default_rng(0)
    budget, passages = Budget(space, 0.25), of_tokens(loaded, tokens)
    parent = budget.draw(rng)
    rounds: dict[str, list[Pattern]] = {
        "random": [budget.draw(rng) for _ in range(32)],
        "switches from one parent": list(dict.fromkeys(budget.move(parent, rng) for _ in range(32))),
        "greedy": list(space.removals(space.pattern([space.parts[5].name, space.parts[8].name]))),
    }
    rate = matrix_rate(loaded)
    device = torch.cuda.get_device_name(loaded.device) if loaded.device.type == "cuda" else loaded.device.type
    lines = [
        f"{device}, {loaded.dtype}, {passages.total:,} tokens a pattern; matrix products at {rate / 1e12:.2f} T "
        "operations a second",
        "",
        "| round | shared prefixes | patterns/s | tokens/s | of the matrix rate | gain | peak memory, GiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, patterns in rounds.items():
        turns: dict[bool, list[float]] = {False: [], True: []}
        peaks = {}
        for share in (False, True) * repeats:
            evaluator = Evaluator(loaded, space, Ranking(), LENGTH, share=share, cache_mb=1024 if share else 0)
            evaluator.dense(passages)
            forget_peak(loaded)
            turns[share].append(seconds(loaded, lambda e=evaluator, p=patterns: e.losses(p, passages)))
            peaks[share] = peak(loaded)
        gain = median(a / b for a, b in zip(turns[False], turns[True], strict=True))
        for share, found in turns.items():
            took = median(found)
            done = operations(space, patterns, loaded) * passages.total / took
            lines.append(
                f"| {name} | {'on' if share else 'off'} | {len(patterns) / took:.2f} | "
                f"{len(patterns) * passages.total / took:,.0f} | {done / rate:.0%} | "
                f"{f'{gain:.2f}' if share else ''} | {peaks[share]:.1f} |"
            )
    return "\n".join(lines) + "\n"


def of_tokens(loaded: LoadedModel, tokens: int) -> TokenPassages:
    """Passages of one length that score so many tokens, or a few less."""
    count = max(1, tokens // (LENGTH - 1))
    ids = np.random.default_rng(1).integers(1, loaded.checkpoint.resolved.vocab_size, (count, LENGTH))
    names = tuple(map(str, range(count)))
    return TokenPassages(tuple(map(tuple, ids.tolist())), ("all",) * count, names, (False,) * count)


def operations(space: PatternSpace, patterns: Sequence[Pattern], loaded: LoadedModel) -> int:
    """Operations a token of all patterns alone: two a weight of the blocks that stay and of the head."""
    config = loaded.checkpoint.resolved
    head = config.vocab_size * config.hidden_size
    return sum(2 * (space.blocks.params - space.removed(pattern).params + head) for pattern in patterns)


def matrix_rate(loaded: LoadedModel) -> float:
    """Operations a second in the product of 4,096 tokens with an MLP's first weight."""
    weight = loaded.family.layer_list(loaded.model)[0].get_parameter("mlp.up_proj.weight")
    tokens = torch.randn(4096, weight.shape[1], dtype=weight.dtype, device=weight.device)
    found = []
    for _ in range(10):
        found.append(seconds(loaded, lambda: [tokens @ weight.T for _ in range(10)]))
    return 10 * 2 * tokens.shape[0] * weight.numel() / median(found)


def seconds(loaded: LoadedModel, run: Callable[[], object]) -> float:
    """How long it takes, the device's work included."""
    synchronise(loaded)
    begun = time.perf_counter()
    run()
    synchronise(loaded)
    return time.perf_counter() - begun


def synchronise(loaded: LoadedModel) -> None:
    """Wait for the device."""
    if loaded.device.type == "cuda":
        torch.cuda.synchronize(loaded.device)


def forget_peak(loaded: LoadedModel) -> None:
    """Count peak memory from now on."""
    if loaded.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(loaded.device)


def peak(loaded: LoadedModel) -> float:
    """Gibibytes held at most; not a number where the device does not say."""
    return torch.cuda.max_memory_allocated(loaded.device) / 2**30 if loaded.device.type == "cuda" else float("nan")


if __name__ == "__main__":
    main()
