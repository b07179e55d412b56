"""A checkpoint audited by its own weights gives the rows of its pattern masked, until its weights change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from refitted import NOTE, reweighted
from sets import small_set
from tiny import TINY, build, load, ranking, write_pattern

from evop.auditing.itself import held, open_checkpoint, own_losses
from evop.evaluator import Evaluator
from evop.files.names import CORRECTIONS, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import HETERO_PREFIX, family_of
from evop.model.held import HeldModel
from evop.model.loaded import load_model
from evop.removal.corrections import write_corrections
from evop.removal.cut import Cut
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.stages.audit import audit
from evop.stages.prune import prune
from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages
from patterns import Budget

HOW = {"device": "cpu", "dtype": "float32", "random_patterns": 0, "speed": False, "needs": False}
ALIKE = 1e-4
"""Nats per token, or share of the questions, by which a row may differ."""


def passages():
    """Two texts of unlike length, and a question whose choices share their beginning."""
    rows = torch.randint(1, 4000, (3, 40), generator=torch.Generator().manual_seed(1)).tolist()
    choices = (tuple(rows[2][20:22]), tuple(rows[2][22:27]))
    item = TokenItem(tuple(rows[2][:20]), choices, 0, (2, 5), 1)
    ids = (tuple(rows[0]), tuple(rows[1][:25]), item.ids)
    return TokenPassages(ids, ("a/0", "a/0", "b/0"), tuple("012"), (False,) * 3, (None, None, item))


@pytest.mark.parametrize("deploy", ["any", "stock"])
@pytest.mark.parametrize("name", TINY)
def test_its_losses_are_those_of_its_mask(name, deploy, tmp_path):
    dense = Checkpoint.find(build(name, tmp_path / "dense"))
    family = family_of(dense.model_type)
    grains = ("mixed", "subblock", "channel") if deploy == "any" else ("layer",)
    grain = next(grain for grain in grains if not family.refusal(dense.resolved, grain, deploy))
    space = pattern_space(dense, grain, deploy, protect=())
    pattern = Budget(space, 0.3).draw(np.random.default_rng(1))
    write_pattern(tmp_path / PATTERN, space, pattern, dense.folder)
    prune(dense.folder, tmp_path / PATTERN, tmp_path / "pruned", parity=False)
    own, opened = open_checkpoint(tmp_path / "pruned", dense)
    assert own.model_type.startswith(HETERO_PREFIX) == (deploy == "any")
    loaded = load_model(dense, "cpu", "float32")
    evaluator = Evaluator.of(loaded, space, 64)
    (masked,) = evaluator.line_losses([ranking(space).cut_of(space, pattern)], passages())
    (whole,) = evaluator.line_losses([Cut()], passages())
    model = held(own, HeldModel(dense, "cpu", "float32"))
    itself = own_losses(model, opened, {"audit": passages()}, 64, None, lambda line: None)["audit"]
    assert np.abs(itself - masked).max() < 1e-3
    assert np.abs(itself - whole).max() > 0.1, "the pattern makes no difference"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One audit of a tiny model: a pattern as a mask and as a checkpoint, stock and not, plain and refitted."""
    place, calibration = tmp_path_factory.mktemp("rows"), small_set()
    model = build("llama", place / "model")
    checkpoint = Checkpoint.find(model)
    given = []
    for name, grain, deploy in (("stock", "layer", "stock"), ("hetero", "mixed", "any")):
        space = pattern_space(checkpoint, grain, deploy, protect=())
        pattern = Budget(space, 0.3).draw(np.random.default_rng(0))
        plain = ranking(space).cut_of(space, pattern)
        for kind, cut in (("plain", plain), ("refitted", reweighted(load(model), plain, torch.float32))):
            run = place / f"{name}-{kind}"
            run.mkdir()
            noted = {} if kind == "plain" else {"refit": NOTE, "corrections": write_corrections(cut, run / CORRECTIONS)}
            PatternFile.describe(checkpoint, space, pattern, cut, remove=0.3, cost="params", **noted).write(
                run / PATTERN
            )
            given += [run, prune(model, run, place / f"{run.name}-itself", parity=False).folder]
    return audit(model, calibration, given, place / "audit", max_tokens=64, **HOW).file


@pytest.mark.parametrize("kind", ["plain", "refitted"])
@pytest.mark.parametrize("name", ["stock", "hetero"])
def test_the_rows_of_a_checkpoint_are_those_of_its_mask(name, kind, rows):
    run = f"{name}-{kind}"
    pairs = [
        (rows.groups_of(run, split, "text"), rows.groups_of(f"{run}-itself", split, "text")) for split in rows.splits
    ]
    assert len(pairs) == 2
    for masked, itself in pairs:
        found = {row.group: row for row in itself}
        assert found.keys() == {row.group for row in masked}
        for row in masked:
            other = found[row.group]
            same = ("dense_loss", "tokens", "passages", "documents", "label")
            assert [getattr(row, name) for name in same] == [getattr(other, name) for name in same]
            ends = [(row.loss, other.loss), (row.excess, other.excess), (row.low, other.low), (row.high, other.high)]
            assert all(a is b is None or abs(a - b) < ALIKE for a, b in ends)
    for split in rows.splits:
        masked, itself = (rows.summary_of(which, split, "text") for which in (run, f"{run}-itself"))
        assert (masked.worst_group, masked.against) == (itself.worst_group, itself.against)
        assert abs(masked.worst_measured - itself.worst_measured) < ALIKE
        assert abs(masked.worst - itself.worst) < 0.05 * (masked.worst_high - masked.worst_low)  # each is simulated


def test_every_row_says_how_it_was_recovered(rows):
    kinds = {pattern.name: (pattern.recovery, pattern.checkpoint is not None) for pattern in rows.patterns}
    assert kinds == {
        f"{name}-{kind}{end}": (recovery, bool(end))
        for name in ("stock", "hetero")
        for kind, recovery in (("plain", "none"), ("refitted", "refitted"))
        for end in ("", "-itself")
    }
    parts = {pattern.name.split("-")[0]: set() for pattern in rows.patterns}
    for pattern in rows.patterns:
        parts[pattern.name.split("-")[0]].add(pattern.parts)
    assert [len(found) for found in parts.values()] == [1, 1]
    assert parts["stock"] != parts["hetero"]


def test_weights_of_its_own_are_what_is_measured(rows):
    """What a refit does is seen, masked and itself alike: the two kinds differ."""
    for name in ("stock", "hetero"):
        plain, refitted = (rows.groups_of(f"{name}-{kind}-itself", "audit", "text") for kind in ("plain", "refitted"))
        assert max(abs(a.loss - b.loss) for a, b in zip(plain, refitted, strict=True)) > 0.01
