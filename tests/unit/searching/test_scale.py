"""``--scale random``: a group counts in units of what random patterns cost it."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sets import small_set

from calibration.seeded import generator
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses.objectives import cvar
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.removal.space import pattern_space
from evop.searching.passages import objective_passages
from evop.searching.setup import SCALE_PATTERNS
from evop.stages.search import search
from patterns import Budget, Pattern

QUICK = {"max_tokens": 16, "min_group_tokens": 10, "device": "cpu", "dtype": "float32", "deploy": "any"}


@pytest.fixture(scope="module")
def calibration():
    return small_set()


def test_a_group_counts_in_medians_of_random_patterns(calibration, tmp_path):
    """Of the budget's own random patterns, whatever the strategy draws."""
    found = search(
        model_dir(), calibration, tmp_path / "run", scale="random", strategy="random", seed=5, evaluations=3, **QUICK
    )
    header, *trials = map(json.loads, (tmp_path / "run" / "trials.jsonl").read_text().splitlines())
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    passages = objective_passages(calibration, loaded.tokenizer, SearchRecipe.of(max_tokens=16, min_group_tokens=10))
    space = pattern_space(loaded.checkpoint, "subblock")
    budget, rng = Budget(space, 0.25), generator("scale", 0.25, "params")
    evaluator = Evaluator.of(loaded, space, 16)
    drawn = [budget.draw(rng) for _ in range(SCALE_PATTERNS)]
    dense, *pruned = (table.by_group for table in evaluator.losses([space.dense, *drawn], passages.search))
    medians = {group: np.median([losses[group] - dense[group] for losses in pruned]) for group in dense}
    assert header["scale_by"] == pytest.approx(medians, abs=1e-5)
    assert min(medians.values()) > 0
    for trial in trials:
        (losses,) = evaluator.losses([Pattern(tuple(trial["levels"]))], passages.search)
        scaled = [(losses.by_group[group] - dense[group]) / medians[group] for group in dense]
        assert trial["value"] == pytest.approx(cvar(np.array(scaled)), abs=1e-4)
        assert trial["losses"] == pytest.approx(losses.by_group, abs=1e-5)  # these stay in nats
    account = found.account
    assert account.tokens["scale"] == SCALE_PATTERNS * passages.search.total
    assert account.tokens["total"] == sum(count for purpose, count in account.tokens.items() if purpose != "total")
    (on_select, dense_select) = evaluator.losses(
        [Pattern(tuple(1 if part.name in found.pattern.removed else 0 for part in space.parts)), space.dense],
        passages.select,
    )
    excess = {group: on_select.by_group[group] - dense_select.by_group[group] for group in dense}
    claim = found.pattern.claim
    assert claim.select == pytest.approx(cvar(np.array([excess[group] / medians[group] for group in dense])), abs=1e-4)


def test_groups_that_random_patterns_do_not_harm_are_refused(calibration, tmp_path):
    """A model whose blocks add nothing: no pattern costs anything."""
    model = shutil.copytree(model_dir(), tmp_path / "model")
    (model / "model.safetensors").chmod(0o600)
    weights = load_file(model / "model.safetensors")
    idle = {name: 0 * weight if "o_proj" in name or "down_proj" in name else weight for name, weight in weights.items()}
    save_file(idle, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvopError, match=r"--scale random: .* no median excess above zero in \w+/\d; use --scale none"):
        search(model, calibration, tmp_path / "run", scale="random", evaluations=1, **QUICK)
    assert not (tmp_path / "run").exists()
