"""How much can go so that no group loses more than it may: searched, killed, gone on with, audited, pruned."""

import io
import json
import shutil
from pathlib import Path

import pytest
from sets import small_set
from tolerated_runs import kept, killed

from evop.console.comparison import print_comparison
from evop.console.plain import PlainConsole
from evop.console.search import print_answer
from evop.errors import EvopError
from evop.recipes.run import RunRecipe
from evop.reference import model_dir
from evop.searching.frontier_file import FrontierFile
from evop.searching.point_file import PointFile
from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.compare_picture import draw_comparison, frontier_lines
from evop.stages.prune import prune
from evop.stages.run import run as run_recipe
from evop.stages.search import SearchResult, search

ASKED = {
    "tolerate": {"default": 0.8, "code_python": 0.7},
    "evaluations": 6,
    "strategy": "random",
    "deploy": "any",
    "max_tokens": 32,
    "min_group_tokens": 20,
    "device": "cpu",
    "dtype": "float32",
}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set(train_tokens=1000).save(folder)
    return folder


@pytest.fixture(scope="module")
def run(calibration, tmp_path_factory):
    lines = []
    return search(model_dir(), calibration, tmp_path_factory.mktemp("run") / "run", report=lines.append, **ASKED), lines


def test_the_answer_is_the_largest_budget_that_is_within(run):
    result, lines = run
    frontier = FrontierFile.find(result.folder)
    assert frontier == result.frontier
    assert frontier.statement[0].replace("'", "&#39;") in (result.folder / "frontier.html").read_text()
    within = [point for point in frontier.points if point.judgements["masked"].verdict == "within"]
    answer = frontier.point(frontier.answer)
    assert answer.removed == max(point.removed for point in within)
    assert answer.judgements["masked"].high <= 1
    others = [point for point in frontier.points if point.removed > answer.removed]
    assert others
    assert all(point.judgements["masked"].verdict != "within" for point in others)
    first, second, *_, last = frontier.statement
    assert first.startswith(f"{answer.removed:.1%} of the decoder blocks' parameters can go (as it is): ")
    assert second.startswith(f"At {min(point.removed for point in others):.1%}, ")
    assert f"{frontier.tokens:,} tokens" in last
    assert sum(" (as it is): " in line for line in lines) == len(frontier.points)


def test_every_group_has_its_tolerance_and_the_pattern_says_what_was_tolerated(run):
    result, _ = run
    rows = result.frontier.points[0].judgements["masked"].groups
    assert {row.group.split("/")[0]: row.tolerance for row in rows} == {
        "code_python": 0.7, "legal_statute": 0.8, "math_word": 0.8
    }  # fmt: skip
    assert result.pattern.origin.tolerate == ["0.8", "code_python=0.7"]
    header = json.loads((result.folder / "points" / "0.20" / "trials.jsonl").read_text().splitlines()[0])
    assert header["scale_by"] == {row.group: row.tolerance for row in rows}
    claim, tolerance = result.pattern.claim, header["scale_by"]
    assert claim.pooled == pytest.approx(max(lost / tolerance[group] for group, lost in claim.excess.items()))


def test_a_neighbouring_budget_begins_where_the_other_ended(run):
    points = sorted((run[0].folder / "points").iterdir())
    headers = {place.name: json.loads((place / "trials.jsonl").read_text().splitlines()[0]) for place in points}
    starts = {name: header["starts"] for name, header in headers.items()}
    assert starts.pop("0.20") is None
    assert all(starts.values())


def printed(write, *what):
    stream = io.StringIO()
    write(PlainConsole(file=stream, width=250), *what)
    return stream.getvalue()


def test_it_says_which_budget_and_where_the_others_are(run):
    said = printed(print_answer, run[0]).splitlines()
    assert said[0] == f"of the budgets that were tried, {run[0].frontier.answer} is the answer's:"
    assert "1 being all that is tolerated" in "".join(said)
    assert said[-1].startswith(f"every budget, to look at: {run[0].folder / 'frontier.html'}; one by name: --pattern ")


def test_what_is_done_is_not_done_again(run, calibration):
    result, _ = run
    before = {path: path.stat().st_mtime_ns for path in result.folder.glob("points/*/*")}
    stages = []
    again = search(
        model_dir(), calibration, result.folder, watch=lambda progress: stages.append(progress.stage), **ASKED
    )
    assert again.frontier == result.frontier
    assert stages == []
    assert {path: path.stat().st_mtime_ns for path in result.folder.glob("points/*/*")} == before
    assert SearchResult.read(result.folder).pattern == result.pattern


def test_killed_and_run_again_it_writes_the_same_bytes(run, calibration, tmp_path):
    words = ["--tolerate", "0.8", "--tolerate", "code_python=0.7", "--evaluations", "6"]
    two_begun = lambda: len(list(tmp_path.glob("run/points/*/trials.jsonl"))) >= 2  # noqa: E731
    killed(calibration, tmp_path / "run", words, two_begun, 120)
    search(model_dir(), calibration, tmp_path / "run", **ASKED)
    assert kept(tmp_path / "run") == kept(run[0].folder)


def test_an_audit_says_whether_it_held(run, calibration, tmp_path):
    result, _ = run
    options = {"needs": False, "speed": False, "random_patterns": 0, "device": "cpu", "dtype": "float32"}
    found = audit(model_dir(), calibration, result.folder, tmp_path / "audit", **options)
    row = next(row for row in found.file.borne if row.split == "audit")
    assert row.tolerate == ["0.8", "code_python=0.7"]
    page = (tmp_path / "audit" / "report.html").read_text()
    assert f"Tolerated ({', '.join(row.tolerate)})" in page
    assert f"the pattern of points/{result.frontier.answer}: " in page  # how it was searched is shown, too
    tight = audit(model_dir(), calibration, result.folder, tmp_path / "tight", tolerate="0.001", **options)
    row = next(row for row in tight.file.borne if row.split == "audit")
    assert (row.verdict, row.tolerate) == ("beyond", ["0.001"])
    assert "did not hold, and that is more than chance" in (tmp_path / "tight" / "report.html").read_text()


def test_a_comparison_draws_what_every_domain_pays(run, tmp_path):
    result, _ = run
    frame = compare(result.folder)
    assert set(frame["run"]) == {point.name for point in result.frontier.points}
    places = [Path(folder) for folder in frame["folder"]]
    (line,) = frontier_lines(places)
    assert (line.name, line.answer) == ("as it is", result.frontier.answer)
    assert {domain for domain, _ in line.domains} == {"code_python", "legal_statute", "math_word"}
    for point in line.points:
        judged = point.judgements["masked"]
        shares = [row.loss / row.tolerance for row in judged.groups]
        assert max(each.measured for each in judged.domains) == pytest.approx(max(shares), abs=1e-5)
        assert all(each.low <= each.measured <= each.high for each in judged.domains)
    answer = frame.set_index("run").loc[result.frontier.answer]
    assert (answer["verdict"], answer["judged"], answer["tolerate"]) == ("within", "masked", "0.8, code_python=0.7")
    assert answer["used_high"] == result.frontier.point(result.frontier.answer).judgements["masked"].high
    said = printed(print_comparison, frame)
    assert "objective worst, loss nll, tolerate 0.8, code_python=0.7, " in said
    assert f"{answer['used_high']:.0%}: within" in said
    assert draw_comparison(frame, tmp_path / "frontier.svg") == []
    drawn = (tmp_path / "frontier.svg").read_text()
    assert all(f"point:{point.name}:legal_statute:text:0" in drawn for point in result.frontier.points)
    # Searches at one budget each make a line too; the folder of a recipe that holds them is read through.
    loose = shutil.copytree(places[0], tmp_path / "loose")
    other = shutil.copytree(places[1], tmp_path / "other")
    assert [point.name for point in frontier_lines([other, loose])[0].points] == ["loose", "other"]
    assert [line.name for line in frontier_lines([loose, *places])] == ["as it is", "other runs, as it is"]
    shutil.copytree(result.folder, tmp_path / "out" / "runs" / "cell")
    assert set(compare(tmp_path / "out")["run"]) == set(frame["run"])
    (loose / "point.json").unlink()
    assert frontier_lines([loose, *places]) == []
    with pytest.raises(EvopError, match=r"needs runs of one model, .* or all searched with --tolerate"):
        draw_comparison(compare([loose, result.folder]), tmp_path / "none.png")
    with pytest.raises(EvopError, match=r"end the name in \.png, \.svg or \.pdf"):
        draw_comparison(frame, tmp_path / "none.what")


def test_a_point_is_pruned_by_its_name(run, tmp_path):
    point = next(point for point in run[0].frontier.points if point.name != run[0].frontier.answer)
    done = prune(model_dir(), f"{run[0].folder}@{point.name}", tmp_path / "out", parity=False)
    searched = (run[0].folder / "points" / point.name / "pattern.json").read_bytes()
    assert (tmp_path / "out" / "pattern.json").read_bytes() == searched
    assert done.parameters[1] < done.parameters[0]
    with pytest.raises(EvopError, match=r"the run has no point 0\.77; it has 0\."):
        prune(model_dir(), f"{run[0].folder}@0.77", tmp_path / "other", parity=False)


def test_at_one_budget_a_refitted_answer_is_judged_as_it_is_too(calibration, tmp_path):
    found = search(model_dir(), calibration, tmp_path / "run", **{**ASKED, "evaluations": 2}, judge="refit", remove=0.2)
    assert (found.frontier, found.statement) == (None, [])
    point = PointFile.read(tmp_path / "run" / "point.json")
    assert set(point.judgements) == {"refit", "masked"}
    assert point.judgements["refit"].measured < point.judgements["masked"].measured
    once = found.account.tokens["select"] // 3  # the dense model and two finalists
    assert found.account.tokens["judging"] == 7 * once  # both answers beside the dense model, and finalists masked


def test_without_text_to_learn_from_nothing_is_searched_to_be_healed(tmp_path):
    with pytest.raises(EvopError, match="has no split train, which refitting and healing learn from"):
        search(model_dir(), small_set(), tmp_path / "run", **ASKED, judge="healed")
    assert not (tmp_path / "run" / "points").exists()
    asked = {**ASKED, "dtype": "float16", "judge": "healed"}
    with pytest.raises(EvopError, match="--dtype float16: gradients vanish"):
        search(model_dir(), small_set(train_tokens=1000), tmp_path / "run", **asked)


@pytest.mark.slow
def test_refitted_it_says_both(calibration, tmp_path):
    result = search(model_dir(), calibration, tmp_path / "run", **ASKED, judge="refit")
    assert set(result.frontier.edges) == {"refit", "masked"}
    assert "can go (refitted)" in result.frontier.statement[0]
    assert any(line.startswith("Judged as it is, ") for line in result.frontier.statement)
    assert result.pattern.refit is not None
    account = result.account.tokens
    assert account["judging"] > account["select"]


def test_what_cannot_be_is_refused(run, calibration, tmp_path):
    with pytest.raises(EvopError, match="the calibration set has no such domain"):
        search(model_dir(), calibration, tmp_path / "a", **{**ASKED, "tolerate": "0.1,law=0.2"})
    with pytest.raises(EvopError, match="says nothing of legal_statute"):
        search(model_dir(), calibration, tmp_path / "b", **{**ASKED, "tolerate": "code_python=0.2"})
    with pytest.raises(EvopError, match="Nothing can go"):
        search(model_dir(), calibration, tmp_path / "c", **{**ASKED, "tolerate": 1e-6, "evaluations": 2})
    assert json.loads((tmp_path / "c" / "frontier.json").read_text())["answer"] is None
    with pytest.raises(EvopError, match="holds another search: its tolerate is"):
        search(model_dir(), calibration, run[0].folder, **{**ASKED, "tolerate": 0.7})
    (tmp_path / "d").mkdir()
    shutil.copy(__file__, tmp_path / "d")
    with pytest.raises(EvopError, match="holds no search by tolerances"):
        search(model_dir(), calibration, tmp_path / "d", **ASKED)


def test_a_recipe_tolerates_too(calibration, tmp_path):
    searched = {name: ASKED[name] for name in ASKED if name not in ("device", "dtype")}
    recipe = RunRecipe.of(
        model=str(model_dir()), out=str(tmp_path / "run"), calibration=str(calibration), search=searched, audit=False,
        device="cpu", dtype="float32",
    )  # fmt: skip
    done, lines = run_recipe(recipe), []
    cell = done.folder / "runs" / "random-tolerated-seed0"
    frontier = FrontierFile.find(cell)
    assert PointFile.read(cell / "points" / frontier.answer / "point.json").judgements["masked"].verdict == "within"
    assert (done.folder / "pruned-tolerated" / "config.json").is_file()
    before = (cell / "pattern.json").stat().st_mtime_ns
    run_recipe(recipe, report=lines.append)
    assert (cell / "pattern.json").stat().st_mtime_ns == before
    assert any("random-tolerated-seed0: done before" in line for line in lines)
