"""Laws 1 and 4: masked == pruned == saved and loaded again, and what is claimed to leave has left.

Over every architecture, grain and deploy. A new architecture is tested as soon as ``tiny.TINY`` has it.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import MODEL_TYPES, TINY, load, logits, orders, random_ids, removing, write_pattern

import evop.hf  # noqa: F401
from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.export.parity import TOLERANCE, compare
from evop.export.plan import planned
from evop.families import family_of
from evop.families.parts import GRAINS, THINNED, pattern_space
from evop.masking import masked
from evop.orders import Orders
from evop.reference import model_dir
from evop.stages.prune import prune
from patterns import Budget, Pattern, PatternSpace
from patterns.legality import DEPLOYS

SHARED = Path(__file__).parents[3] / "shared"
CELLS = list(itertools.product(TINY, GRAINS, DEPLOYS))
CHOSEN: dict[tuple[str, str], list[tuple[str, ...]]] = {
    ("layer", "any"): [("layers.0",), ("layers.0", "layers.1", "layers.2")],
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
    ("subblock", "stock"): [
        ("layers.0.mlp", "layers.1.attn"),
        ("layers.1.mlp", "layers.2.attn", "layers.2.mlp", "layers.3.attn"),
    ],
}
"""Patterns that are known to be awkward, beside those drawn at random."""
REMOVE = {"layer": 0.45, "subblock": 0.45, "head": 0.15, "channel": 0.3, "mixed": 0.35}
"""What is asked of a random pattern; attention alone is a small part of a layer."""


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
def test_masked_equals_saved(name: str, grain: str, deploy: str, tiny_folder, tmp_path):
    folder = tiny_folder(name)
    checkpoint = Checkpoint.find(folder)
    family = family_of(checkpoint.model_type)
    if reason := family.refusal(checkpoint.resolved, grain, deploy):
        with pytest.raises(EvopError, match=re.escape(reason)):
            pattern_space(checkpoint, grain, deploy)
        pytest.skip(f"{name} refuses grain {grain} under {deploy}: {reason}")
    space = pattern_space(checkpoint, grain, deploy, protect=())
    dense, ids, seen = load(folder), random_ids(), set()
    for number, pattern in enumerate(_patterns(space)):
        names = space.names(pattern)
        written = prune(
            folder, write_pattern(tmp_path / "p.json", space, pattern, folder), tmp_path / f"{number}", parity=False
        )
        pruned = load(written.folder)
        with masked(dense, family, orders(space).cut(space, pattern)):
            _, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
        assert ratio <= TOLERANCE, pattern
        assert greedy, pattern
        gone = space.removed(pattern).params
        assert written.parameters[0] - written.parameters[1] == gone == dense.num_parameters() - pruned.num_parameters()
        if deploy == "stock":
            assert written.kind == "stock", pattern
        if written.kind == "stock":
            assert type(pruned) is type(dense)
        if written.kind not in seen or "layers.0.attn" in names or space.grain in THINNED:
            _assert_generates_alike(pruned, ids)
            _assert_saves_again(pruned, ids, tmp_path / f"{number}-again")
        seen.add(written.kind)


def _assert_generates_alike(model, ids):
    """Greedy tokens with a growing cache, with a static one, and without any; then step by step by hand."""
    how = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    for given in ({}, {"attention_mask": mask}):
        plain = model.generate(ids, use_cache=False, **how, **given)
        assert torch.equal(model.generate(ids, use_cache=True, **how, **given), plain)
        assert torch.equal(model.generate(ids, cache_implementation="static", **how, **given), plain)
    with torch.inference_mode():
        found = model(input_ids=ids[:, :-3], use_cache=True)
        steps = [found.logits]
        for at in range(ids.shape[1] - 3, ids.shape[1]):
            found = model(input_ids=ids[:, at : at + 1], past_key_values=found.past_key_values, use_cache=True)
            steps.append(found.logits)
    _, ratio, _ = compare(logits(model, ids), torch.cat(steps, dim=1))
    assert ratio <= TOLERANCE


def _assert_saves_again(model, ids, folder):
    model.save_pretrained(folder)
    again = load(folder)
    assert torch.equal(logits(again, ids), logits(model, ids))
    assert again.num_parameters() == model.num_parameters()
    assert (folder / "modeling_evop.py").is_file() == model.config.model_type.startswith("evop_")


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
        with masked(dense, family, Orders().cut(space, space.pattern(wrong))):
            _, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
        assert ratio > 100 * TOLERANCE
        assert not greedy


@pytest.mark.parametrize("parts", [("layers.3.mlp", "layers.4.attn", "layers.7"), ("layers.0.attn", "layers.4.mlp")])
@pytest.mark.parametrize("which", ["reference", "stories260K", "bitllama-3M"])
def test_masked_equals_saved_on_trained_models(which, parts, tmp_path):
    folder = model_dir() if which == "reference" else SHARED / "models" / which
    if not folder.is_dir():
        pytest.skip(f"{which} lies beside the repository where there is one, not here: {folder}")
    family = family_of(Checkpoint.find(folder).model_type)
    layers = int(Checkpoint.find(folder).config["num_hidden_layers"])
    names = [name for part in parts for name in _both(part) if int(name.split(".")[1]) < layers]
    space, pattern = removing(folder, *names)
    written = prune(folder, write_pattern(tmp_path / "p.json", space, pattern, folder), tmp_path / "out", parity=False)
    dense, pruned = load(folder), load(written.folder)
    ids = random_ids(length=64) % Checkpoint.find(folder).config["vocab_size"]
    cut = Orders().cut(space, pattern)
    with masked(dense, family, cut):
        _, ratio, greedy = compare(logits(dense, ids), logits(pruned, ids))
    assert ratio <= TOLERANCE
    assert greedy
    assert dense.num_parameters() - pruned.num_parameters() == space.removed(pattern).params
    assert written.kind == planned(Checkpoint.find(folder), family, cut).kind


def _both(part: str) -> tuple[str, ...]:
    return (part,) if part.endswith(("attn", "mlp")) else (f"{part}.attn", f"{part}.mlp")
