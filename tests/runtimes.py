"""Which kind of pattern runs where: the table of docs/exports.md, every cell of it a test.

``python tests/runtimes.py`` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from refitted import NOTE, reweighted, write_corrected
from safetensors.torch import load_file
from tiny import load, ranking, removing, write_pattern

import evop.hf  # noqa: F401
from evop.export.gguf.architecture import ARCHITECTURES
from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.recovery.heal_file import HealFile, HealPoint
from evop.recovery.healing.write import write_healed
from evop.removal.corrections import write_corrections
from evop.removal.pattern_facts import ModelName
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from patterns import Budget, Pattern, PatternSpace

Make = Callable[[Path, Path], Path]
"""Makes a pattern of a model, in an empty folder."""


def of_parts(*parts: str, grain: str = "subblock", deploy: str = "any") -> Make:
    """The pattern without some parts."""
    return lambda model, folder: write_pattern(
        folder / PATTERN, *removing(model, *parts, grain=grain, deploy=deploy), model
    )


def alike(grain: str) -> Make:
    """A random pattern under which all layers stay alike."""

    def make(model: Path, folder: Path) -> Path:
        space = pattern_space(Checkpoint.find(model), grain, "stock", protect=())
        return write_pattern(folder / PATTERN, space, Budget(space, 0.15).draw(np.random.default_rng(1)), model)

    return make


def in_turn(grain: str) -> Make:
    """The pattern whose parts are whole, thinned more and more, or gone."""

    def make(model: Path, folder: Path) -> Path:
        space = pattern_space(Checkpoint.find(model), grain, protect=())
        return write_pattern(folder / PATTERN, space, every_level(space), model)

    return make


def every_level(space: PatternSpace) -> Pattern:
    """Every level in turn, over the parts."""
    return Pattern(tuple((i + 1) % (part.top + 1) for i, part in enumerate(space.parts)))


def corrected(model: Path, folder: Path) -> Path:
    """Heads and channels gone, and a bias for them."""
    checkpoint = Checkpoint.find(model)
    space = pattern_space(checkpoint, "mixed", protect=(), compensate=True)
    write_corrected(checkpoint, space, every_level(space), folder, "float32")
    return folder


def refitted(model: Path, folder: Path) -> Path:
    """A pattern of blocks, and other weights for what stays."""
    checkpoint, (space, pattern) = Checkpoint.find(model), removing(model, "layers.1.attn", "layers.2.mlp")
    cut = reweighted(load(model), ranking(space).cut_of(space, pattern), torch.float32)
    how = {"refit": NOTE, "corrections": write_corrections(cut, folder / CORRECTIONS)}
    PatternFile.describe(checkpoint, space, pattern, cut, remove=0.1, cost="params", **how).write(folder / PATTERN)
    return folder


def healed(model: Path, folder: Path) -> Path:
    """A checkpoint whose weights were trained after it was pruned."""
    pattern = of_parts("layers.1.attn", "layers.2.mlp")(model, folder)
    pruned = Checkpoint.find(prune(model, pattern, folder / "pruned", parity=False).folder)
    weights = {name: tensor * 1.1 for name, tensor in load_file(pruned.folder / pruned.shards[0]).items()}
    point = HealPoint(tokens=0, loss=None, excess={"law/0": 0.4}, weights={"law/0": 1.0})
    dense = ModelName(name="m", revision=None, fingerprint=Checkpoint.find(model).fingerprint)
    account = {"version": "1", "pattern_sha256": sha256(pruned.folder / PATTERN), "calibration": "c", "recipe": {}}
    file = HealFile(model=dense, tokens=0, stopped="tokens", best_at=0, curve=[point], **account)
    (folder / "healed").mkdir()
    write_healed(pruned, weights, file, folder / "healed")
    return folder / "healed"


LAYERS, BLOCKS_STOCK, BLOCKS = "whole layers", "blocks, `--deploy stock`", "blocks, `--deploy any`"
CHANNELS_STOCK, CHANNELS = "channels, `--deploy stock`", "channels, `--deploy any`"
HEADS_STOCK, HEADS, MIXED = "heads, `--deploy stock`", "heads, `--deploy any`", "heads and channels, `--deploy any`"
BIASED, REFITTED, HEALED = "the same, `--compensate bias`", "blocks, refitted", "blocks, healed"
KINDS: dict[str, Make] = {
    LAYERS: of_parts("layers.1", "layers.2", grain="layer"),
    BLOCKS_STOCK: of_parts("layers.1.mlp", "layers.2.attn", "layers.2.mlp", "layers.3.attn", deploy="stock"),
    BLOCKS: of_parts("layers.1.attn", "layers.3.attn", "layers.2.mlp"),
    CHANNELS_STOCK: alike("channel"),
    CHANNELS: in_turn("channel"),
    HEADS_STOCK: alike("head"),
    HEADS: in_turn("head"),
    MIXED: in_turn("mixed"),
    BIASED: corrected,
    REFITTED: refitted,
    HEALED: healed,
}
"""Kinds of pattern, as the document calls them, and one of each."""
STOCK = (LAYERS, BLOCKS_STOCK, CHANNELS_STOCK, HEADS_STOCK)
"""Kinds that leave all layers alike."""
FORMATS = {
    "hf": "transformers",
    "gguf": "llama.cpp (`gguf`)",
    "decilm": "vLLM, SGLang, TensorRT-LLM, MLX (`decilm`)",
    "mergekit": "mergekit",
    "masked": "zeros in transformers (`masked`)",
}
"""Formats of ``evop export``, and where each runs."""
MODELS = {
    "llama": "Llama",
    "llama_biased": "Llama with biases",
    "mistral": "Mistral",
    "qwen2": "Qwen 2",
    "qwen3": "Qwen 3",
    "gemma2": "Gemma 2",
    "olmo2": "OLMo 2",
}
"""Tiny models, as the document calls them. llama.cpp computes them with code of their own; elsewhere a Llama does."""


@dataclass(frozen=True)
class Verdict:
    """What the table says of a kind of pattern, a format and a model.

    Attributes:
        word: ``runs``: computed by a test there, beside transformers; ``should``: written, and read by the runtime's
            source, which was not run; ``no``: refused.
        why: of a refusal, the reason as the document says it.
        error: of a refusal, words of the error.
    """

    word: str
    why: str = ""
    error: str = ""


RUNS, SHOULD = Verdict("runs"), Verdict("should")
UNEVEN = Verdict("no", "llama.cpp wants its layers alike", "layers that differ, and llama.cpp runs no such")
NO_BIASES = Verdict("no", "llama.cpp's `openelm` has no biases", "llama.cpp's openelm has none")
NO_HEADS = Verdict("no", "fewer heads in all layers would become wider ones", "no head_dim of its own")
ONE_NORM = Verdict("no", "one norm goes over all heads", "one norm goes over all queries")
QUERIES = Verdict("no", "queries have the heads of the dense model", "the query heads of the dense model")
HEAD_SIZE = Verdict("no", "heads have hidden size / heads numbers", "hidden size / heads numbers")
DECILM_BIAS = Verdict("no", "it has no biases", "it has no biases")
WHOLE = Verdict("no", "it takes whole layers", "takes whole layers")
ITS_OWN = Verdict("no", "it takes the dense model's weights", "weights of its own")
OF_DENSE = Verdict("no", "it takes the dense model's weights", "layers of the dense model; give the pattern")
NO_PLACE = Verdict("no", "the dense model has no such bias", "has no place for")


def llama_cpp(kind: str, model: str) -> Verdict:
    """What llama.cpp does with a kind of pattern of a model."""
    if model == "olmo2" and kind in (HEADS_STOCK, HEADS, MIXED, BIASED):
        return ONE_NORM
    if model == "qwen2" and kind == HEADS_STOCK:
        return NO_HEADS
    if model in ("gemma2", "olmo2") and kind not in STOCK:
        return UNEVEN
    return NO_BIASES if (model, kind) == ("qwen3", BIASED) else RUNS


def verdicts(kind: str, way: str) -> dict[str, Verdict]:
    """What a cell of the table says, by model."""
    if way == "gguf":
        return {model: llama_cpp(kind, model) for model in MODELS}
    decilm = {HEADS: QUERIES, MIXED: QUERIES, HEADS_STOCK: HEAD_SIZE, BIASED: DECILM_BIAS}
    mergekit = {LAYERS: SHOULD, REFITTED: ITS_OWN, HEALED: OF_DENSE}
    said = {
        "hf": RUNS,
        "decilm": decilm.get(kind, SHOULD),
        "mergekit": mergekit.get(kind, WHOLE),
        "masked": NO_PLACE if kind == BIASED else RUNS,
    }
    return {"llama": said[way]}


CELLS = [
    (kind, way, model, verdict) for kind in KINDS for way in FORMATS for model, verdict in verdicts(kind, way).items()
]
"""Every cell, model by model."""


def architecture(kind: str, model: str) -> str:
    """What llama.cpp calls what it is given."""
    stock = ARCHITECTURES[model.partition("_")[0]]
    return stock.name if kind in STOCK else str(stock.uneven)


def table() -> list[str]:
    """The table as lines of Markdown."""
    head = ["pattern", *FORMATS.values()]
    rows = [[kind, *(_said(verdicts(kind, way)) for way in FORMATS)] for kind in KINDS]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _said(found: dict[str, Verdict]) -> str:
    """One cell: what most models do, then the others by name, each with its reason."""
    models: dict[Verdict, list[str]] = {}
    for model, verdict in found.items():
        models.setdefault(verdict, []).append(MODELS[model])
    most, *others = sorted(models, key=lambda verdict: -len(models[verdict]))
    first = f"{most.word}: {most.why}" if most.why else most.word
    return "; ".join([first, *(f"{', '.join(models[one])} {one.word}: {one.why}" for one in others)])


if __name__ == "__main__":
    print("\n".join(table()))
