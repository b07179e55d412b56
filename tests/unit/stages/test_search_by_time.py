"""A search whose budget counts time: its table is measured once, read back, carried along; refused where another."""

import json
import shutil

import pytest
from sets import small_set
from timed import table_by_hand
from typer.testing import CliRunner

from evop.cli import app
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.recipes.run import RunRecipe
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.pattern_file import PatternFile
from evop.stages.audit import audit
from evop.stages.prune import prune
from evop.stages.run import run
from evop.stages.search import SearchResult, search
from evop.stages.speed import speed as time_checkpoints
from evop.timing import measure, speed
from evop.timing.chosen_table import given_or_measured, timed_as_searched
from evop.timing.speed_file import SpeedFile
from evop.timing.table import LatencyTable

QUICK = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32"}
BY_TIME = {**QUICK, "cost": "latency", "strategy": "random", "evaluations": 2}
SHORT = {"latency_batch": 1, "latency_context": 256, "latency_decode": 2}


@pytest.fixture(scope="module")
def calibration():
    return small_set()


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr(speed, "ROUNDS", (3, 3))


@pytest.fixture
def table(tmp_path):
    """Attention takes three times what an MLP takes."""
    made = table_by_hand(Checkpoint.find(model_dir()))
    made.write(tmp_path / "by-hand.json")
    return tmp_path / "by-hand.json"


@pytest.fixture(scope="module")
def measured(calibration, tmp_path_factory):
    """A run whose table was measured."""
    patch = pytest.MonkeyPatch()
    patch.setattr(speed, "ROUNDS", (3, 3))
    folder, lines = tmp_path_factory.mktemp("measured") / "run", []
    found = search(model_dir(), calibration, folder, report=lines.append, **BY_TIME, **SHORT, remove=0.2)
    patch.undo()
    return found, lines


def test_a_given_table_decides_what_meets_the_budget(calibration, table, tmp_path):
    lines = []
    found = search(model_dir(), calibration, tmp_path / "run", report=lines.append, latency_table=str(table), **BY_TIME)
    given = LatencyTable.read(table)
    assert LatencyTable.read(tmp_path / "run" / "latency.json").fingerprint == given.fingerprint
    assert found.pattern.latency == given.fingerprint
    attn, mlp = (sum(name.endswith(kind) for name in found.pattern.removed) for kind in ("attn", "mlp"))
    gone = (300 + 10) * attn + (100 + 10) * mlp  # in pairs, with half of what a layer takes beside them
    assert gone >= 0.245 * 12 * 420
    assert found.pattern.reached.latency == pytest.approx(gone / (12 * 420 + 500), abs=1e-6)
    assert found.speed is None
    assert any("not measured here" in line for line in lines)
    header = json.loads((tmp_path / "run" / "trials.jsonl").read_text().splitlines()[0])
    assert (header["cost"], header["latency"]) == ("latency", given.fingerprint)


def test_times_are_measured_once_and_predicted_stands_beside_measured(measured):
    found, lines = measured
    assert any(
        "timing every level of every part: prefill of 256 tokens and decoding of 2, batch 1" in line for line in lines
    )
    dense, pruned = found.speed.models
    assert (dense.name, pruned.name) == ("dense", "pruned")
    assert pruned.predicted == pytest.approx(1 - found.pattern.reached.latency)
    assert dense.parameters - pruned.parameters == found.pattern.removed_params
    assert SearchResult.read(found.folder).speed == SpeedFile.read(found.folder / "speed.json")


def test_a_search_gone_on_with_reads_its_table_back(measured, calibration, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "measured_table", None)  # to measure again would fail
    folder = shutil.copytree(measured[0].folder, tmp_path / "run")
    before = (folder / "latency.json").read_bytes()
    (folder / "pattern.json").unlink()
    found = search(model_dir(), calibration, folder, **{**BY_TIME, "evaluations": 3}, **SHORT, remove=0.2)
    assert found.account.evaluations == 3
    assert (folder / "latency.json").read_bytes() == before


def test_another_table_is_another_search(measured, calibration, table, tmp_path):
    folder = shutil.copytree(measured[0].folder, tmp_path / "run")
    with pytest.raises(EvopError, match=r"holds a search by other times: its latency\.json is not --latency-table"):
        search(model_dir(), calibration, folder, **BY_TIME, latency_table=str(table), remove=0.2)
    with pytest.raises(EvopError, match="was measured with --latency-context 256, asked for is 32"):
        search(model_dir(), calibration, folder, **BY_TIME, latency_context=32, remove=0.2)
    shutil.copyfile(table, folder / "latency.json")
    with pytest.raises(EvopError, match="holds another search: its latency is"):
        search(model_dir(), calibration, folder, **BY_TIME, remove=0.2)
    (folder / "latency.json").unlink()
    with pytest.raises(EvopError, match=r"latency\.json is missing, the times this search counts its budget with"):
        search(model_dir(), calibration, folder, **BY_TIME, remove=0.2)


def test_a_folder_of_another_search_is_refused_before_anything_is_timed(calibration, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "measured_table", None)
    search(model_dir(), calibration, tmp_path / "run", strategy="random", evaluations=2, **QUICK)
    with pytest.raises(EvopError, match='holds another search: its cost is "params", this one\'s is "latency"'):
        search(model_dir(), calibration, tmp_path / "run", **BY_TIME)


@pytest.mark.parametrize("option", ["latency_batch", "latency_context", "latency_decode", "latency_table"])
def test_options_of_a_table_are_for_budgets_of_time(calibration, tmp_path, option):
    with pytest.raises(EvopError, match=f"--{option.replace('_', '-')} is for --cost latency, found --cost params"):
        search(model_dir(), calibration, tmp_path / "run", **QUICK, **{option: "x" if option == "latency_table" else 1})


def test_the_table_goes_along_into_audit_and_checkpoint(measured, calibration, tmp_path):
    found, _ = measured
    audited = audit(
        model_dir(),
        calibration,
        found.folder,
        tmp_path / "audit",
        device="cpu",
        dtype="float32",
        speed=False,
        needs=False,
        random_patterns=2,
    )
    assert [pattern.reached.latency for pattern in audited.file.patterns] == [found.pattern.reached.latency]
    assert audited.file.random[0].patterns == 2  # of as much time
    prune(model_dir(), found.folder, tmp_path / "pruned", parity=False)
    again = PatternFile.find(tmp_path / "pruned")
    assert again.model_dump(exclude={"schema_"}) == found.pattern.model_dump(exclude={"schema_"})
    assert (tmp_path / "pruned" / "latency.json").read_bytes() == (found.folder / "latency.json").read_bytes()
    timed = time_checkpoints(
        model_dir(), tmp_path / "pruned", device="cpu", dtype="float32", out=tmp_path / "speed.json"
    )
    assert SpeedFile.read(tmp_path / "speed.json").models == timed.models
    assert (timed.context, timed.decode) == (256, 2)
    assert timed.models[1].predicted == pytest.approx(1 - found.pattern.reached.latency)
    assert timed.models[0].bytes > timed.models[1].bytes
    lone = shutil.copytree(found.folder, tmp_path / "lone")
    (lone / "latency.json").unlink()
    for stage in (
        lambda: audit(model_dir(), calibration, lone, tmp_path / "other", device="cpu"),
        lambda: prune(model_dir(), lone, tmp_path / "other", parity=False),
    ):
        with pytest.raises(EvopError, match=r"was searched by measured times, but .*latency\.json is missing"):
            stage()


def test_the_command_prints_predicted_beside_measured(measured, tmp_path):
    found, _ = measured
    shown = CliRunner().invoke(app, ["show", str(found.folder)])
    assert shown.exit_code == 0, shown.output
    assert "of the predicted time of a request" in shown.output
    assert f"{1 - found.pattern.reached.latency:.3f}" in shown.output
    prune(model_dir(), found.folder, tmp_path / "pruned", parity=False)
    words = [
        "speed",
        "--model",
        str(model_dir()),
        "--pruned",
        str(tmp_path / "pruned"),
        "--context",
        "8",
        "--decode",
        "1",
    ]
    timed = CliRunner().invoke(app, [*words, "--dtype", "float32", "--out", str(tmp_path / "speed.json")])
    assert timed.exit_code == 0, timed.output
    assert "prefill of 8 tokens and decoding of 1, batch 1, float32" in timed.output


def test_all_cells_of_a_recipe_share_one_table(calibration, tmp_path, monkeypatch):
    calibration.save(tmp_path / "set")
    asked = {"strategy": "random", "remove": [0.15, 0.25], "evaluations": 2, "cost": "latency", **SHORT}
    recipe = {
        "model": str(model_dir()),
        "out": tmp_path / "out",
        "device": "cpu",
        "dtype": "float32",
        "calibration": str(tmp_path / "set"),
        "search": {**asked, "max_tokens": 32, "min_group_tokens": 20},
        "audit": False,
        "prune": "none",
    }
    measured = []
    real = measure.measured_table
    monkeypatch.setattr(measure, "measured_table", lambda *given: measured.append(1) or real(*given))
    done = run(RunRecipe.of(**recipe))
    assert len(measured) == 1
    assert done.table["latency"].notna().all()
    again = []
    run(RunRecipe.of(**recipe), report=again.append)
    assert len(measured) == 1
    assert sum("done before, unchanged" in line for line in again) == 2


def test_a_table_is_read_from_a_run_too(measured):
    found, _ = measured
    checkpoint = Checkpoint.find(model_dir())
    recipe = SearchRecipe.of(cost="latency", latency_table=str(found.folder))
    space = timed_as_searched(open_pattern(found.folder, checkpoint))
    table = given_or_measured(checkpoint, space, recipe, print)
    assert table.fingerprint == found.pattern.latency


def test_budgets_of_a_search_by_tolerances_share_one_table(calibration, tmp_path):
    """Times differ whenever they are measured: were they measured twice, the second search would be another one."""
    asked = {**BY_TIME, **SHORT, "tolerate": 0.8, "deploy": "any"}

    def kept(folder):
        names = ("trials.jsonl", "pattern.json", "latency.json", "point.json", "frontier.json", "frontier.html")
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.name in names}

    def timed(folder):
        lines = []
        search(model_dir(), calibration, folder, report=lines.append, **asked)
        return sum(line.startswith("timing every level") for line in lines)

    assert timed(tmp_path / "run") == 1
    before = kept(tmp_path / "run")
    points = [name for name in before if name.startswith("points/") and name.endswith("/latency.json")]
    assert len(points) > 1
    assert {before[name] for name in points} == {before["latency.json"]}
    # Killed before it had answered, it goes on by the same times.
    for place in (tmp_path / "run", tmp_path / "run" / "points" / "0.20"):
        for name in ("frontier.json", "frontier.html", "pattern.json", "point.json"):
            (place / name).unlink(missing_ok=True)
    assert timed(tmp_path / "run") == 0
    assert kept(tmp_path / "run") == before
    (tmp_path / "run" / "latency.json").unlink()
    with pytest.raises(EvopError, match=r"latency\.json is missing, the times this search counts its budget with"):
        timed(tmp_path / "run")
