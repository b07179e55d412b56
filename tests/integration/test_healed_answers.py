"""What a search judged healed is what a recipe writes and audits; of what was healed beside it, no weights stay."""

import json
import shutil

import pytest
from sets import small_set
from tolerated_runs import kept, killed

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.model.checkpoint import Checkpoint
from evop.recipes.run import RunRecipe
from evop.recovery.heal_file import HealFile
from evop.reference import model_dir
from evop.searching.frontier_file import FrontierFile, healed_answer
from evop.searching.point_file import PointFile
from evop.stages.prune import prune
from evop.stages.run import run
from evop.stages.search import search
from evop.stages.tolerated_healed import MOST

SEARCHED = {
    "tolerate": 0.8,
    "judge": "healed",
    "heal_tokens": 400,
    "strategy": "random",
    "evaluations": 3,
    "deploy": "any",
    "max_tokens": 32,
    "min_group_tokens": 20,
}
RUN_SO = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set(train_tokens=1000).save(folder)
    return folder


def recipe(calibration, out, **changes):
    audit = {"speed": False, "needs": False, "random_patterns": 0, "random_refitted": 0}
    asked = {"model": str(model_dir()), "out": out, "calibration": str(calibration), "search": SEARCHED, "audit": audit}
    return RunRecipe.of(**asked | RUN_SO | changes)


@pytest.fixture(scope="module")
def done(calibration, tmp_path_factory):
    return run(recipe(calibration, tmp_path_factory.mktemp("run") / "out"))


@pytest.fixture(scope="module")
def cell(done):
    return done.folder / "runs" / "random-tolerated-seed0"


@pytest.mark.slow
def test_what_was_judged_is_what_is_written_and_audited(done, cell):
    healed = healed_answer(cell)
    (written,) = done.pruned
    assert written == done.folder / "healed-tolerated"
    assert not list(done.folder.glob("pruned-*"))
    assert Checkpoint.find(written).fingerprint == Checkpoint.find(healed).fingerprint
    audit = done.folder / "audit-tolerated" / "audit.json"
    assert sha256(written / "audit.json") == sha256(audit)
    rows = {row["name"]: row for row in json.loads(audit.read_text())["patterns"]}
    name = f"{cell.name}@{healed.parent.name}, healed"
    assert list(rows) == [cell.name, name]
    assert (rows[name]["recovery"], rows[name]["checkpoint"]) == ("healed", Checkpoint.find(healed).fingerprint)
    assert rows[cell.name]["recovery"] == "refitted"


@pytest.mark.slow
def test_given_by_itself_the_pattern_is_told_from_what_was_judged(cell, tmp_path):
    lines = []
    prune(model_dir(), cell, tmp_path / "pruned", parity=False, report=lines.append)
    assert f"{cell} is the pattern, not healed: " in lines[0]
    assert str(healed_answer(cell)) in lines[0]


@pytest.mark.slow
def test_it_says_all_three_and_judges_what_is_shipped(cell):
    frontier = FrontierFile.find(cell)
    assert list(frontier.edges) == ["healed", "refit", "masked"]
    assert "can go (healed)" in frontier.statement[0]
    lies = f"The healed model lies in points/{frontier.answer}/healed of the run; "
    assert any(lies in sentence for sentence in frontier.statement)
    healed = [point for point in frontier.points if "healed" in point.judgements]
    assert 1 <= len(healed) <= MOST
    assert all(point.healed_tokens for point in healed)
    assert {point.healed_tokens for point in frontier.points if point not in healed} <= {None}
    # The healing's own looks at the same documents found the same losses.
    judged = PointFile.read(cell / "points" / frontier.answer / "point.json").judgements["healed"]
    looked = HealFile.of(healed_answer(cell)).best.excess
    assert {row.group: row.loss for row in judged.groups} == pytest.approx(looked, abs=1e-4)


@pytest.mark.slow
def test_killed_while_it_heals_it_goes_on_to_the_same_bytes(cell, calibration, tmp_path):
    words = ["--tolerate", "0.8", "--judge", "healed", "--heal-tokens", "400", "--evaluations", "3"]
    heals = lambda: list(tmp_path.glob("run/points/*/healed.healing/recipe.json")) != []  # noqa: E731
    killed(calibration, tmp_path / "run", words, heals, 300)
    search(model_dir(), calibration, tmp_path / "run", **SEARCHED, **RUN_SO)
    assert kept(tmp_path / "run") == kept(cell)


@pytest.mark.slow
def test_asked_for_less_it_says_nothing_of_what_was_healed(cell, calibration, tmp_path):
    place = shutil.copytree(cell, tmp_path / "run")
    asked = {**SEARCHED, **RUN_SO, "judge": "refit", "heal_tokens": None}
    other = search(model_dir(), calibration, place, **asked)
    assert list(other.frontier.edges) == ["refit", "masked"]
    assert all("healed" not in point.judgements for point in other.frontier.points)


@pytest.mark.slow
def test_again_it_does_nothing_and_what_was_changed_is_written_again(done, calibration):
    lines, weights = [], done.pruned[0] / "model.safetensors"
    before = weights.stat().st_mtime_ns
    run(recipe(calibration, done.folder), report=lines.append)
    assert all("done before, unchanged" in line for line in lines if not line.startswith("calibration"))
    assert weights.stat().st_mtime_ns == before
    (done.pruned[0] / "heal.json").unlink()
    run(recipe(calibration, done.folder), report=lines.append)
    assert (done.pruned[0] / "heal.json").is_file()
    assert lines[-1] == "checkpoint 1 of 1: healed-tolerated, the healed model of random-tolerated-seed0"


@pytest.mark.slow
def test_of_the_budgets_that_were_healed_the_answer_alone_has_weights(cell):
    frontier = FrontierFile.find(cell)
    healed = [point.name for point in frontier.points if "healed" in point.judgements]
    assert len(healed) > 1  # else this says nothing
    kept = [place.parent.name for place in cell.glob("points/*/healed")]
    assert kept == [frontier.answer]
    accounts = {place.parent.name: HealFile.read(place) for place in cell.glob("points/*/healed.json")}
    assert set(accounts) == set(healed) - {frontier.answer}
    assert any("its weights alone were kept" in sentence for sentence in frontier.statement)
    assert not list(cell.glob("points/*/.*"))


@pytest.mark.slow
def test_what_was_judged_and_deleted_is_not_healed_again_and_a_lost_answer_is(cell, calibration, tmp_path):
    place = shutil.copytree(cell, tmp_path / "run")
    healed, lines = healed_answer(place), []
    first, weights = (place / "frontier.json").read_bytes(), Checkpoint.find(healed).fingerprint
    asked = {**SEARCHED, **RUN_SO, "store": str(cell.parent.parent / "store")}
    search(model_dir(), calibration, place, report=lines.append, **asked)
    assert not [line for line in lines if "writing" in line]  # nothing was pruned to be healed
    shutil.rmtree(healed)
    search(model_dir(), calibration, place, report=lines.append, **asked)
    assert len([line for line in lines if "writing" in line]) == 1
    assert Checkpoint.find(healed).fingerprint == weights
    assert (place / "frontier.json").read_bytes() == first


def test_what_heals_by_itself_is_not_healed_by_the_recipe_too(calibration, tmp_path):
    with pytest.raises(EvopError, match=r"heal: search\.judge is healed.*leave heal out, or say judge: refit"):
        recipe(calibration, tmp_path, heal={})
    with pytest.raises(EvopError, match=r"refit: .*leave refit and heal out"):
        recipe(calibration, tmp_path, heal={}, refit={})
