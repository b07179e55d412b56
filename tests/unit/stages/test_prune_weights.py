"""Weights that leave one by one, from the command to the audit: what is refused, what is said, what is left behind."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from sets import small_set
from tiny import random_ids, removing, write_pattern

from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.files.names import METRIC
from evop.importance.metric_file import MetricFile
from evop.model.checkpoint import Checkpoint
from evop.recovery.healing.student import Student
from evop.removal.least_squares import least_squares, least_squares_of_rows
from evop.report.audit_sheets import removed_sheet
from evop.stages.audit import audit
from evop.stages.heal import heal
from evop.stages.metric import search_metric
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.stages.search import search

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32"}
HALF = {"grain": "weight", "remove": 0.5, "importance": "magnitude", **QUICK}
NOT_SMALLER = "A stock runtime stores and multiplies zeros as it does other numbers"


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_folder("llama")


@pytest.fixture(scope="module")
def zeros(model, tmp_path_factory):
    """A checkpoint with half of its weights zero, and what was said on the way."""
    lines, out = [], tmp_path_factory.mktemp("zeros") / "half"
    prune(model, None, out, report=lines.append, parity=False, **HALF)
    return out, lines


def refused(words, model, out, pattern=None, **options):
    with pytest.raises(EvopError, match=words) as caught:
        prune(model, pattern, out, **{**HALF, **options})
    assert "\n" not in str(caught.value)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("no pattern, mixed or other, holds both units and zeros yet", {"pattern": "runs/mixed"}),
        ("--refit auto with --grain weight would fill zeros; give --refit least-squares", {"refit": "auto"}),
        ("no audit measured what is made only now", {"audit": "audits/mine"}),
        ("found both; give one of them", {"sparsity": "2:4"}),
        ("found neither; give one of them", {"remove": None}),
        ("2 shares for 4 layers; give one, or one a layer", {"remove": "0.4,0.5"}),
        ("option remove", {"remove": "half"}),
        ("the metric measures inputs; give --calibration", {"importance": "wanda"}),
        ("--refit least-squares learns from text", {"refit": "least-squares"}),
        ("--importance flap is a metric of units, not of weights", {"importance": "flap"}),
        ("N is the norm of a unit", {"importance": "N*abs(W)"}),
        ("--importance wonda: unknown", {"importance": "wonda"}),
        ("it is no number at some weights of layers.0.attn/self_attn.q_proj", {"importance": "ln(-|W|)"}),
        ("--grain mixed is searched: evop search --grain mixed", {"grain": "mixed"}),
        ("--grain wieght: unknown", {"grain": "wieght"}),
        ("--remove is for --grain weight", {"grain": None, "pattern": "runs/mixed"}),
        ("--pattern is missing", {"grain": None}),
        ("has rows of 32, which is no multiple of 7", {"remove": None, "sparsity": "3:7"}),
    ],
)
def test_what_is_refused(words, options, model, tmp_path):
    (tmp_path / "there").mkdir()
    refused(words, model, tmp_path / "there" / "out", **options)


def test_it_is_said_wherever_it_is_shown_that_nothing_is_smaller(model, zeros):
    out, lines = zeros
    account = json.loads((out / "zeros.json").read_text())["zeros"]
    assert any(NOT_SMALLER in line for line in lines)
    card = (out / "README.md").read_text()
    assert NOT_SMALLER in card
    assert "50.0% of the weights of the decoder's matrices are zero" in card
    assert "evop prune --model" in card
    assert "--grain weight --remove 0.5 --importance" in card
    # In float32: half of the numbers, and a bit for every weight.
    assert account["packed_bytes"] == account["stored_bytes"] / 2 + account["weights"] / 8
    assert not list(out.parent.glob(".*"))


def test_what_has_zeros_is_neither_pruned_again_nor_refitted(model, zeros, tmp_path):
    with pytest.raises(EvopError, match="its weights are zero already"):
        prune(model, zeros[0], tmp_path / "again")
    with pytest.raises(EvopError, match="a refit of last projections would fill them"):
        refit(model, zeros[0], small_set(train_tokens=600), tmp_path / "again")
    with pytest.raises(EvopError, match="no search chooses which weights leave one by one"):
        search(model, small_set(), tmp_path / "run", **{**QUICK, "grain": "weight"})


def test_an_audit_measures_zeros_beside_what_is_smaller(model, zeros, tmp_path):
    pattern = write_pattern(tmp_path / "pattern.json", *removing(model, "layers.1.mlp"), model)
    how = {"device": "cpu", "dtype": "float32", "max_tokens": 16, "random_patterns": 2, "needs": False, "speed": False}
    found = audit(model, small_set(), [zeros[0], pattern], tmp_path / "audit", **how).file
    first, second = found.patterns
    assert (first.zeros.sparsity, first.reached.params, first.random, second.zeros) == ("0.5", 0, None, None)
    assert second.random is not None
    assert AuditFile.find(tmp_path / "audit").patterns[0].zeros == first.zeros
    sheet = removed_sheet(found)
    assert "nothing is smaller or faster" in sheet.legend
    assert [row.cells[-3].text for row in sheet.rows] == ["50.0%", "–"]
    assert all(row.excess != 0 for row in found.groups if row.pattern == first.name)
    assert "50% of the weights zero, none removed" in (tmp_path / "audit" / "report.html").read_text()


@pytest.mark.parametrize("train", ["lora", "full"])
def test_healing_keeps_the_zeros(train, model, zeros, tmp_path):
    how = {"tokens": 300, "look_every": 150, "batch_tokens": 100, "max_tokens": 32, "min_group_tokens": 50, "rank": 4}
    how |= {"device": "cpu", "dtype": "float32"}
    heal(model, zeros[0], small_set(train_tokens=600), tmp_path / "healed", train=train, **how)
    before, after = (load_file(place / "model.safetensors") for place in (zeros[0], tmp_path / "healed"))
    changed = [name for name in before if not torch.equal(before[name], after[name]) and ".layers." in name]
    assert changed
    assert not any(after[name][before[name] == 0].any() for name in changed)


@pytest.mark.parametrize("train", ["lora", "full", "outputs"])
def test_what_is_learned_step_by_step_keeps_zeros_and_plain_training_fills_them(train, zeros):
    """And what is learned by is what is merged: the masked change, to rounding."""
    checkpoint, ids = Checkpoint.find(zeros[0]), random_ids()
    filled = {}
    for keeps in (True, False):
        student = Student.load(checkpoint, train, rank=4, keep_zeros=keeps)
        optimizer = torch.optim.AdamW(student.trained.values(), 0.01, weight_decay=0.0)
        for _ in range(3):
            optimizer.zero_grad()
            student.predict(ids).logsumexp(-1).mean().backward()
            optimizer.step()
        before, after = load_file(zeros[0] / "model.safetensors"), student.weights()
        inside = [name for name in after if ".layers." in name and after[name].dim() == 2]
        assert not any(torch.equal(before[name], after[name]) for name in inside)
        filled[keeps] = sum(int(after[name][before[name] == 0].count_nonzero()) for name in inside)
        with torch.no_grad():
            learned = student.predict(ids)
            with student.holding(after):
                torch.testing.assert_close(student.predict(ids), learned, rtol=1e-4, atol=1e-3)
    assert filled[True] == 0
    assert filled[False] > 0


def test_a_metric_that_was_searched_for_weights_is_what_they_leave_by(model, tmp_path):
    """The search is extended byte for byte; the checkpoint names the metric that it found."""
    calibration, whole, parts = small_set(), tmp_path / "whole", tmp_path / "parts"
    how = {**QUICK, "grain": "weight", "sparsity": "2:4", "method": "pruner-zero", "mutation": "regrow", "loss": "kl"}
    found = search_metric(model, calibration, whole, evaluations=3, **how)
    search_metric(model, calibration, parts, evaluations=2, **how)
    assert search_metric(model, calibration, parts, evaluations=3, **how) == found
    assert (whole / "trials.jsonl").read_bytes() == (parts / "trials.jsonl").read_bytes()
    assert (found.sparsity, found.evaluations, MetricFile.read(whole / METRIC)) == ("2:4", 3, found)
    out = tmp_path / "out"
    given = {"grain": "weight", "sparsity": "2:4", "importance": str(whole), "calibration": calibration, **QUICK}
    prune(model, None, out, parity=False, **given)
    assert json.loads((out / "zeros.json").read_text())["importance"] == found.metric
    with pytest.raises(EvopError, match="--sparsity is for --grain weight, instead of --remove"):
        search_metric(model, calibration, tmp_path / "both", **{**how, "remove": 0.5})


def test_a_metric_of_half_the_passages_reads_no_more(model, tmp_path):
    accounts = []
    for name, importance in (("whole", "wanda"), ("half", "|W| * sqrt(X) @ drawn=longest")):
        given = {**HALF, "importance": importance, "calibration": small_set()}
        prune(model, None, tmp_path / name, parity=False, **given)
        accounts.append(json.loads((tmp_path / name / "zeros.json").read_text()))
    whole, half = accounts
    assert half["importance"] == "|W| * sqrt(X) @ drawn=longest"
    assert half["tokens"]["search"] < 0.7 * whole["tokens"]["search"]
    assert half["zeros"]["masks"] != whole["zeros"]["masks"]


def test_a_share_of_nobody_is_refused_and_one_of_somebody_needs_the_text(model, tmp_path):
    (tmp_path / "there").mkdir()
    out, stranger = tmp_path / "there" / "out", "|W| @ nosuch=1"
    refused("the metric names groups; give --calibration", model, out, importance=stranger)
    said = r"is called nosuch; there are code_python, code_python/0, .*, math_word/1$"
    for importance in (stranger, "|W| * sqrt(X) @ nosuch=0.5,code_python=1"):
        refused(said, model, out, importance=importance, calibration=small_set())
    idle = {**HALF, "importance": "|W| @ code_python=0.5", "calibration": small_set()}
    prune(model, None, out, parity=False, **idle)


def test_rows_are_fitted_together_as_each_alone(monkeypatch):
    monkeypatch.setattr("evop.removal.least_squares.ROWS_BYTES", 2 * 8 * 4**2)  # two rows at a time
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(8, 8, dtype=torch.float64, generator=generator)
    inputs = torch.randn(50, 8, dtype=torch.float64, generator=generator) @ mixed
    weight, moments = torch.randn(5, 8, dtype=torch.float64, generator=generator), inputs.T @ inputs
    stays = torch.rand(5, 8, generator=generator).argsort(dim=1) < 4
    found = least_squares_of_rows(weight, moments, stays)
    for row in range(5):
        alone = least_squares(weight[[row]], moments, stays[row])
        torch.testing.assert_close(found[row, stays[row]], alone[0])
        assert not found[row, ~stays[row]].any()
    assert torch.equal(least_squares_of_rows(weight, moments, torch.ones_like(stays)), weight)
    assert torch.equal(least_squares_of_rows(weight, 0 * moments, stays), weight * stays)
