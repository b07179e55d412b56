"""How fast patterns are measured: shared prefixes against each pattern alone, and against what is possible.

    python benchmarks/evaluator.py                      # the embedded model, and 32 layers of random weights
    python benchmarks/evaluator.py --model .models/smollm2 --repeats 3      # after benchmarks/real_models.py smollm2

Rounds as searches ask for them: ``greedy`` (every further removal from a pattern that lacks two blocks), ``swaps`` (32
level switches away from one parent), ``random`` (32 draws).

* ``bare``: tokens a second of the model's own forward pass, no loss, same batches.
* ``plain of bare``: the evaluator's speed on the dense model alone, loss included; 1.00 is the bare pass.
* ``bound``: what sharing could bring at most, from the measured times of one attention block, one MLP, the head and
  what comes before the layers: head and loss are not shared.
* ``shared``: what it brought, and which part of the bound that is.

With ``--model`` instead: CPU seconds per pattern, and which part of the time head and loss take, under both losses of
text. Everything is repeated in turns; medians, and ranges in brackets. Writes ``evaluator.md``, or
``evaluator-model.md``.
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
from evop.losses import METERS
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import CACHE_MB
from evop.reference import model_dir
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.tokens.batches import batches, lay_out, padded
from evop.tokens.passages import TokenPassages
from patterns import Budget, Pattern

PASSAGES, LENGTH, REMOVE = 16, 96, 0.25
FEW_PASSAGES, FEW_PATTERNS = 5, 4
"""Of a model that is given: one batch of a CPU, so that a large model is measured in minutes."""


@dataclass(frozen=True)
class Times:
    """Seconds of the pieces of one pass over all passages."""

    before: float
    attn: float
    mlp: float
    head: float

    def of(self, tree: PrefixTree, leaves: int) -> float:
        """Seconds of a tree, were nothing else to do."""
        runs = sum(
            self.attn * (step.attn not in (None, GONE)) + self.mlp * (step.mlp not in (None, GONE))
            for step in tree.runs()
        )
        return self.before + runs + leaves * self.head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a Hugging Face folder to measure instead")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    if arguments.model:
        (arguments.results / "evaluator-model.md").write_text(of_model(arguments.model, arguments.repeats))
        return
    lines = [
        "| model | round | patterns | bare, tokens/s | plain of bare | bound | shared | of the bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, place in {"embedded, 12 layers": model_dir(), "random, 32 layers": deep(Path(folder))}.items():
            loaded = load_model(Checkpoint.find(place), "cpu", "float32")
            lines += rows(name, loaded, arguments.repeats)
    (arguments.results / "evaluator.md").write_text("\n".join(lines) + "\n")


def of_model(model: Path, repeats: int) -> str:
    """CPU seconds per pattern of a model as searches run it, and the share of head and loss, as Markdown."""
    loaded = load_model(Checkpoint.find(model), "cpu", "float32")
    space, passages = pattern_space(loaded.checkpoint, "subblock"), random_passages(loaded, FEW_PASSAGES)
    rng = np.random.default_rng(0)
    budget = Budget(space, REMOVE)
    parent = budget.draw(rng)
    asked = {
        "swaps": list(dict.fromkeys(budget.move(parent, rng) for _ in range(FEW_PATTERNS))),
        "random": [budget.draw(rng) for _ in range(FEW_PATTERNS)],
    }
    evaluators = {loss: Evaluator.of(loaded, space, LENGTH, loss=Loss.named(loss)) for loss in METERS}
    for evaluator in evaluators.values():
        evaluator.dense(passages)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(repeats):
        for loss, evaluator in evaluators.items():
            for title, patterns in asked.items():
                before, begun = dict(evaluator.profile.seconds), time.process_time()
                evaluator.losses(patterns, passages)
                took = (time.process_time() - begun) / len(patterns)
                spent = {stage: after - before[stage] for stage, after in evaluator.profile.seconds.items()}
                found.setdefault((loss, title), []).append((took, spent["head and loss"] / sum(spent.values())))
    lines = [
        f"{model.name}, {loaded.model.config.vocab_size:,} words, {passages.total:,} tokens a pattern.",
        "",
        "| loss | round | patterns | CPU seconds per pattern | head and loss |",
        "|---|---|---|---|---|",
    ]
    for (loss, title), turns in found.items():
        seconds_each, shares = zip(*turns, strict=True)
        lines.append(f"| {loss} | {title} | {len(asked[title])} | {spread(seconds_each)} | {spread(shares)} |")
    print("\n".join(lines))
    return "\n".join(lines) + "\n"


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
            turns["bare"].append(seconds(lambda: bare(loaded, passages, shared.batch.tokens)))
            turns["dense"].append(seconds(lambda: plain.dense(passages)))
            turns["plain"].append(seconds(lambda patterns=patterns: plain.losses(patterns, passages)))
            turns["shared"].append(seconds(lambda patterns=patterns: shared.losses(patterns, passages)))
            bounds.append(bound(loaded, plain, patterns, pieces(loaded, passages, shared.batch.tokens)))
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


def random_passages(loaded: LoadedModel, count: int = PASSAGES) -> TokenPassages:
    """Passages of one length."""
    ids = np.random.default_rng(1).integers(1, loaded.checkpoint.resolved.vocab_size, (count, LENGTH))
    names = tuple(map(str, range(count)))
    return TokenPassages(tuple(map(tuple, ids.tolist())), ("all",) * count, names, (False,) * count)


def bound(loaded: LoadedModel, plain: Evaluator, patterns: Sequence[Pattern], times: Times) -> float:
    """What sharing brings at most: all alone, over all together with the dense prefix looked up."""
    cuts, layers = [plain.cut(pattern) for pattern in patterns], len(loaded.family.layer_list(loaded.model))
    alone = sum(times.of(PrefixTree.of([cut], layers, parallel=False), 1) for cut in cuts)
    return alone / times.of(PrefixTree.of(cuts, layers, parallel=False), len(cuts))


@torch.inference_mode()
def pieces(loaded: LoadedModel, passages: TokenPassages, batch_tokens: int) -> Times:
    """Measure the pieces: of blocks the mean over all layers."""
    stack = LayerStack(loaded.model, loaded.family)
    before = attn = mlp = 0.0
    layers = range(len(stack.layers))
    with stack.opened():
        for batch in batches(passages, batch_tokens):
            layout = lay_out(passages, batch)
            begun = time.perf_counter()
            stream = stack.enter(layout)
            before, begun = before + time.perf_counter() - begun, time.perf_counter()
            for layer in layers:
                stack.run(layer, DENSE, GONE, stream)
            attn, begun = attn + (time.perf_counter() - begun) / len(layers), time.perf_counter()
            for layer in layers:
                stack.run(layer, GONE, DENSE, stream)
            mlp += (time.perf_counter() - begun) / len(layers)
    alone = Evaluator(loaded, pattern_space(loaded.checkpoint, "subblock"), Ranking(), LENGTH, share=False)
    alone.dense(passages)
    return Times(before, attn, mlp, alone.profile.seconds["head and loss"])


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
