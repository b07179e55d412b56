"""How fast patterns are measured: shared prefixes against each pattern alone, and against what is possible.

    python benchmarks/evaluator.py                      # the embedded model, and 32 layers of random weights

Rounds as searches ask for them: ``greedy`` (every further removal from a pattern that lacks two blocks), ``swaps`` (32
level switches away from one parent), ``random`` (32 draws).

* ``bare``: tokens a second of the model's own forward pass, no loss, same batches.
* ``plain of bare``: the evaluator's speed on the dense model alone, loss included; 1.00 is the bare pass.
* ``bound``: what sharing could bring at most, from the measured times of one attention block, one MLP, the head and
  what comes before the layers: head and loss are not shared.
* ``shared``: what it brought, and which part of the bound that is.

Everything is repeated in turns; medians, and ranges in brackets. Writes ``evaluator.md``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from evop.evaluator import Evaluator
from evop.evaluator.layer_stack import LayerStack
from evop.evaluator.prefixes import DENSE, GONE, PrefixTree
from evop.losses.next_token import NextToken
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import CACHE_MB
from evop.reference import model_dir
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.tokens.batches import batches, padded
from evop.tokens.passages import TokenPassages
from patterns import Budget, Pattern

PASSAGES, LENGTH, REMOVE = 16, 96, 0.25


@dataclass(frozen=True)
class Times:
    """Seconds of the pieces of one pass over all passages."""

    before: float
    attn: float
    mlp: float
    head: float

    def of(self, tree: PrefixTree, leaves: int) -> float:
        """Seconds of a tree, were nothing else to do."""
        runs = sum((self.attn, self.mlp)[number % 2] for number, step in tree.runs() if step != (GONE,))
        return self.before + runs + leaves * self.head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    lines = [
        "| model | round | patterns | bare, tokens/s | plain of bare | bound | shared | of the bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, place in {"embedded, 12 layers": model_dir(), "random, 32 layers": deep(Path(folder))}.items():
            loaded = load_model(Checkpoint.find(place), "cpu", "float32")
            lines += rows(name, loaded, arguments.repeats)
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "evaluator.md").write_text("\n".join(lines) + "\n")


def deep(folder: Path) -> Path:
    """The embedded model's shape with 32 layers and weights at random, written to a folder."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(model_dir())
    config.num_hidden_layers = 32
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_dir()).save_pretrained(folder)
    return folder


def rows(name: str, loaded: LoadedModel, repeats: int) -> list[str]:
    """A row a round."""
    space = pattern_space(loaded.checkpoint, "subblock")
    passages, rng = random_passages(loaded), np.random.default_rng(0)
    shared = Evaluator(loaded, space, Ranking(), LENGTH, cache_mb=CACHE_MB)
    plain = Evaluator(loaded, space, Ranking(), LENGTH, share=False)
    budget = Budget(space, REMOVE)
    parent = budget.draw(rng)
    asked: dict[str, Sequence[Pattern]] = {
        "greedy": list(space.removals(space.pattern(["layers.5.mlp", "layers.8.attn"]))),
        "swaps": list(dict.fromkeys(budget.move(parent, rng) for _ in range(32))),
        "random": [budget.draw(rng) for _ in range(32)],
    }
    shared.dense(passages)
    found = []
    for title, patterns in asked.items():
        turns: dict[str, list[float]] = {"bare": [], "dense": [], "plain": [], "shared": []}
        bounds = []
        for _ in range(repeats):
            turns["bare"].append(seconds(lambda: bare(loaded, passages, shared.batch_tokens)))
            turns["dense"].append(seconds(lambda: plain.dense(passages)))
            turns["plain"].append(seconds(lambda patterns=patterns: plain.losses(patterns, passages)))
            turns["shared"].append(seconds(lambda patterns=patterns: shared.losses(patterns, passages)))
            bounds.append(bound(loaded, plain, patterns, pieces(loaded, passages, shared.batch_tokens)))
        gains = [a / b for a, b in zip(turns["plain"], turns["shared"], strict=True)]
        of_bare = [a / b for a, b in zip(turns["bare"], turns["dense"], strict=True)]
        parts = [gain / most for gain, most in zip(gains, bounds, strict=True)]
        rate = passages.total / median(turns["bare"])
        found.append(
            f"| {name} | {title} | {len(patterns)} | {rate:,.0f} | {spread(of_bare)} | {spread(bounds)} | "
            f"{spread(gains)} | {spread(parts)} |"
        )
        print(found[-1], flush=True)
    return found


def random_passages(loaded: LoadedModel) -> TokenPassages:
    """Passages of one length."""
    ids = np.random.default_rng(1).integers(1, loaded.checkpoint.resolved.vocab_size, (PASSAGES, LENGTH))
    names = tuple(map(str, range(PASSAGES)))
    return TokenPassages(tuple(map(tuple, ids.tolist())), ("all",) * PASSAGES, names, (False,) * PASSAGES)


def bound(loaded: LoadedModel, plain: Evaluator, patterns: Sequence[Pattern], times: Times) -> float:
    """What sharing brings at most: all alone, over all together with the dense prefix looked up."""
    cuts, layers = [plain.cut(pattern) for pattern in patterns], len(loaded.family.layer_list(loaded.model))
    alone = sum(times.of(PrefixTree.of([cut], layers, parallel=False), 1) for cut in cuts)
    return alone / times.of(PrefixTree.of(cuts, layers, parallel=False), len(cuts))


@torch.inference_mode()
def pieces(loaded: LoadedModel, passages: TokenPassages, batch_tokens: int) -> Times:
    """Measure the pieces: of blocks the mean over all layers."""
    stack, meter = LayerStack(loaded.model, loaded.family), NextToken()
    before = attn = mlp = head = 0.0
    layers = range(len(stack.layers))
    with stack.opened():
        for batch in batches(passages, batch_tokens):
            ids, wanted = padded(passages, batch)
            begun = time.perf_counter()
            stream = stack.enter(ids)
            before, begun = before + time.perf_counter() - begun, time.perf_counter()
            for layer in layers:
                stack.run(layer, DENSE, GONE, stream)
            attn, begun = attn + (time.perf_counter() - begun) / len(layers), time.perf_counter()
            for layer in layers:
                stack.run(layer, GONE, DENSE, stream)
            mlp, begun = mlp + (time.perf_counter() - begun) / len(layers), time.perf_counter()
            rows = stream[:, :-1].flatten(0, 1)
            meter(stack.logits(rows), wanted.flatten(), None).double().sum()
            head += time.perf_counter() - begun
    return Times(before, attn, mlp, head)


@torch.inference_mode()
def bare(loaded: LoadedModel, passages: TokenPassages, batch_tokens: int) -> None:
    """The model's own forward pass."""
    for batch in batches(passages, batch_tokens):
        ids, _ = padded(passages, batch)
        loaded.model(input_ids=ids, use_cache=False)


def seconds(run: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
