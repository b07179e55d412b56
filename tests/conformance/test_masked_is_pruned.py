"""Laws 1 and 4: masked == pruned == saved and loaded again, and what is claimed to leave has left.

Over every architecture, grain and deploy. A new architecture is tested as soon as ``tiny.TINY`` has it.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from refitted import write_corrected
from saved import assert_generates_alike, assert_same, assert_saves_again
from shared import MODELS, shared_folder
from tiny import MODEL_TYPES, TINY, build, load, logits, random_ids, ranking, removing, write_pattern
from tolerance import beyond, within

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.export.parity import TOLERANCE, compare
from evop.export.plan import planned
from evop.files.names import CORRECTIONS
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.reference import model_dir
from evop.removal.masking import masked
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.removal.space import GRAINS, THINNED, pattern_space
from evop.stages.prune import prune
from patterns import Budget, Pattern, PatternSpace
from patterns.deploys import DEPLOYS

CELLS = list(itertools.product(TINY, GRAINS, DEPLOYS))
CHOSEN: dict[tuple[str, str], list[tuple[str, ...]]] = {
    ("layer", "any"): [("layers.0",), ("layers.0", "layers.1", "layers.2")],
    ("layer", "balanced"): [("layers.1", "layers.3")],
    ("layer", "stock"): [("layers.0", "layers.2")],
    ("subblock", "any"): [
        ("layers.0.attn",),
        ("layers.3.mlp",),
        ("layers.0.attn", "layers.1.attn"),
        ("layers.0.mlp", "layers.3.attn"),
        ("layers.0.attn", "layers.0.mlp", "layers.2.attn"),
        ("layers.1.attn", "layers.3.attn", "layers.2.mlp"),
        tuple(f"layers.{i}.attn" for i in range(4)),
        tuple(f"layers.{i}.mlp" for i in range(4)),
    ],
    ("subblock", "balanced"): [
        ("layers.0.attn", "layers.3.mlp"),
        ("layers.0.attn", "layers.1.attn", "layers.0.mlp", "layers.2.mlp"),
    ],
    ("subblock", "stock"): [
        ("layers.0.mlp", "layers.1.attn"),
        ("layers.1.mlp", "layers.2.attn", "layers.2.mlp", "layers.3.attn"),
    ],
}
"""Patterns that are known to be awkward, beside those drawn at random."""
REMOVE = {"layer": 0.45, "subblock": 0.45, "head": 0.15, "channel": 0.3, "mixed": 0.35}
"""What is asked of a random pattern; attention alone is a small part of a layer."""
CORRECTED = list(itertools.product(("llama", "llama_biased", "gpt2", "opt"), THINNED, DEPLOYS))
STORED = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def _patterns(space: PatternSpace) -> list[Pattern]:
    """Awkward ones, the smallest and the largest thinning of all parts alike, one of each part at its own level."""
    chosen = [space.pattern(names) for names in CHOSEN.get((space.grain, space.deploy), [])]
    budget, rng = Budget(space, REMOVE[space.grain]), np.random.default_rng(0)
    drawn = [budget.draw(rng)]
    if space.grain in THINNED:
        tops = [part.top for part in space.parts]
        alike = [Pattern(tuple(1 for _ in tops)), Pattern(tuple(top - 1 for top in tops))]
        mixed = Pattern(tuple(i % (top + 1) for i, top in enumerate(tops)))
        drawn += [budget.draw(rng), *(p for p in (*alike, mixed) if space.legal(p) and any(p.levels))]
    return list(dict.fromkeys([*chosen, *drawn]))


def test_every_architecture_has_a_tiny_model():
    assert {model_type for model_type, _ in TINY.values()} == set(MODEL_TYPES)


def test_every_cell_of_whole_parts_has_awkward_patterns():
    assert set(CHOSEN) == set(itertools.product([grain for grain in GRAINS if grain not in THINNED], DEPLOYS))


@pytest.mark.parametrize(("name", "grain", "deploy"), CELLS, ids=map("-".join, CELLS))
def test_masked_equals_saved(name: str, grain: str, deploy: str, tiny_folder, tmp_path, new_cell):
    folder, cell = tiny_folder(name), new_cell(name, grain, deploy)
    checkpoint = Checkpoint.find(folder)
    family = family_of(checkpoint.model_type)
    if reason := family.refusal(checkpoint.resolved, grain, deploy):
        with pytest.raises(EvopError, match=re.escape(reason)):
            pattern_space(checkpoint, grain, deploy)
        cell["refused"] = reason
        pytest.skip(f"{name} refuses grain {grain} under {deploy}: {reason}")
    space = pattern_space(checkpoint, grain, deploy, protect=())
    dense, ids, seen = load(folder), random_ids(), set()
    for number, pattern in enumerate(_patterns(space)):
        out = tmp_path / f"{number}"
        written = prune(folder, write_pattern(tmp_path / "p.json", space, pattern, folder), out, parity=False)
        cut, claimed = ranking(space).cut_of(space, pattern), space.removed(pattern).params
        pruned = assert_same(dense, cut, claimed, written, ids, cell)
        if deploy == "stock":
            assert written.kind == "stock", pattern
        if written.kind not in seen or "layers.0.attn" in space.names(pattern) or space.grain in THINNED:
            assert_generates_alike(pruned, ids, cell)
            assert_saves_again(pruned, ids, tmp_path / f"{number}-again", cell)
        seen.add(written.kind)


@pytest.mark.parametrize(("name", "grain", "deploy"), CORRECTED, ids=map("-".join, CORRECTED))
def test_a_corrected_mask_equals_what_is_saved(name, grain, deploy, tmp_path, new_cell):
    """Through ``pattern.json`` and ``corrections.safetensors``, whatever the weights are stored in."""
    cell, ids = new_cell(name, grain, deploy, "+bias"), random_ids()
    for stored in (torch.float32, torch.float16, torch.bfloat16):
        place = tmp_path / str(stored)
        checkpoint = Checkpoint.find(build(name, place / "model", dtype=stored))
        if reason := _refused(checkpoint, grain, deploy):
            cell["refused"] = reason
            pytest.skip(f"{name} refuses corrections at grain {grain} under {deploy}: {reason}")
        space = pattern_space(checkpoint, grain, deploy, protect=(), compensate=True)
        (pattern, *_) = [pattern for pattern in reversed(_patterns(space)) if space.thinned(pattern)]
        for computed in ("float32", "bfloat16"):
            run = place / computed
            write_corrected(checkpoint, space, pattern, run, computed)
            file, written = PatternFile.find(run), prune(checkpoint.folder, run, run / "out", parity=False)
            cut = file.cut(run / CORRECTIONS)
            assert file.on(checkpoint) == (space, pattern)
            assert set(cut.bias) == set(cut.kept)
            assert min(np.abs(bias).max() for bias in cut.bias.values()) > 0.01
            dense = load(checkpoint.folder)
            pruned = assert_same(dense, cut, space.removed(pattern).params, written, ids, cell)
            assert {tensor.dtype for tensor in Checkpoint.find(written.folder).tensors.values()} == {STORED[stored]}
            assert deploy == "any" or written.kind == "stock"
        if stored == torch.float32:
            assert_generates_alike(pruned, ids, cell)
            assert_saves_again(pruned, ids, place / "again", cell)


def _refused(checkpoint: Checkpoint, grain: str, deploy: str) -> str | None:
    """Why the model takes no corrections here, as it is said."""
    try:
        pattern_space(checkpoint, grain, deploy, compensate=True)
    except EvopError as error:
        return family_of(checkpoint.model_type).refusal(checkpoint.resolved, grain, deploy) or str(error)
    return None


@pytest.mark.parametrize("name", TINY)
def test_a_wrong_mask_is_caught(name, tiny_folder, tmp_path):
    """The tolerance tells neighbouring patterns apart: every block of the tiny models matters."""
    folder = tiny_folder(name)
    family, dense, ids = family_of(TINY[name][0]), load(folder), random_ids()
    space, right = removing(folder, "layers.1.mlp", "layers.2.attn")
    pruned = load(
        prune(folder, write_pattern(tmp_path / "p.json", space, right, folder), tmp_path / "out", parity=False).folder
    )
    for wrong in (("layers.1.mlp",), ("layers.1.mlp", "layers.3.attn"), ("layers.2.mlp", "layers.2.attn")):
        with masked(dense, family, Ranking().cut_of(space, space.pattern(wrong))):
            _, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
        assert ratio > beyond(100 * TOLERANCE)
        assert not greedy


@pytest.mark.parametrize("parts", [("layers.3.mlp", "layers.4.attn", "layers.7"), ("layers.0.attn", "layers.4.mlp")])
@pytest.mark.parametrize("which", ["reference", "stories260K", "bitllama-3M"])
def test_masked_equals_saved_on_trained_models(which, parts, tmp_path):
    folder = model_dir() if which == "reference" else shared_folder(MODELS / which)
    family = family_of(Checkpoint.find(folder).model_type)
    layers = int(Checkpoint.find(folder).config["num_hidden_layers"])
    names = [name for part in parts for name in _both(part) if int(name.split(".")[1]) < layers]
    space, pattern = removing(folder, *names)
    written = prune(folder, write_pattern(tmp_path / "p.json", space, pattern, folder), tmp_path / "out", parity=False)
    dense, pruned = load(folder), load(written.folder)
    ids = random_ids(length=64) % Checkpoint.find(folder).config["vocab_size"]
    cut = Ranking().cut_of(space, pattern)
    with masked(dense, family, cut):
        _, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
    assert ratio <= within(TOLERANCE)
    assert greedy
    assert dense.num_parameters() - pruned.num_parameters() == space.removed(pattern).params
    assert written.kind == planned(Checkpoint.find(folder), family, cut).format


def _both(part: str) -> tuple[str, ...]:
    return (part,) if part.endswith(("attn", "mlp")) else (f"{part}.attn", f"{part}.mlp")
