"""A whole recipe on the embedded model: done once, gone on with, refused where it is another; and compared."""

import json
import shutil
import signal
from contextlib import contextmanager

import pandas as pd
import pytest
from by_hand import change_by_hand, write_log_by_hand
from matplotlib.image import imread
from sets import DOMAINS, small_set
from typer.testing import CliRunner

import evop
from evop.cli import app
from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.recipes.run import RunRecipe
from evop.reference import corpus_files, model_dir
from evop.stages.run import run
from evop.stages.search import search

SET = {
    "group_by": "document",
    "clusters": 3,
    "passages": 4,
    "limit": 150,
    "passage_chars": 500,
    "min_group_tokens": 200,
    "select_passages": 2,
    "audit_passages": 4,
}
QUICK = {"max_tokens": 32, "min_group_tokens": 20}


def recipe(out, calibration=None, **changes):
    search_for = {"strategy": ["random", "greedy"], "remove": [0.15, 0.25], "evaluations": 3, **QUICK}
    search_for |= changes.pop("search", {})
    domains = {name: str(corpus_files()[name]) for name in DOMAINS}
    built = calibration or {**SET, "domains": domains, **changes.pop("calibration_changes", {})}
    return RunRecipe.of(
        **{
            "model": str(model_dir()),
            "out": out,
            "dtype": "float32",
            "calibration": built,
            "search": search_for,
            "audit": {"speed": False, "random_patterns": 3},
            "prune": "none",
            **changes,
        }
    )


class Told:
    """What a run said, and how often it loaded a model to search."""

    def __init__(self):
        self.lines, self.loaded = [], 0

    @contextmanager
    def watching(self):
        def watch(progress):
            self.loaded += progress.stage == "loading"

        yield watch

    def of(self, word):
        return [line for line in self.lines if line.startswith(word)]


def told(asked):
    """Run a recipe; what came out, and what it said."""
    said = Told()
    return run(asked, report=said.lines.append, watching=said.watching), said


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "out"
    return told(recipe(out, prune="best", search={"remove": [0.15, 0.25]}))


def test_a_recipe_leaves_every_stage(made):
    result, said = made
    out = result.folder
    assert {path.name for path in out.iterdir()} == {
        *("recipe.yaml", "done.json", "set", "store", "runs", "audit-0.15", "audit-0.25", "pruned-0.15", "pruned-0.25"),
        *("comparison.csv", "frontier.png"),
    }
    cells = ["random-0.15-seed0", "greedy-0.15-seed0", "random-0.25-seed0", "greedy-0.25-seed0"]
    assert {path.name for path in (out / "runs").iterdir()} == set(cells)
    assert said.loaded == 4
    assert [line for line in said.of("search") if line.endswith("seed0")] == [
        f"search {number} of 4: {name}" for number, name in enumerate(cells, 1)
    ]
    assert RunRecipe.read(out / "recipe.yaml") == recipe(out, prune="best")
    for place in result.pruned:
        kept = (place / "pattern.json").read_bytes()
        claims = {
            name: json.loads((out / "runs" / name / "pattern.json").read_text())["claim"]["select"]
            for name in cells
            if place.name.removeprefix("pruned-") in name
        }
        best = min(claims, key=claims.get)
        assert kept == (out / "runs" / best / "pattern.json").read_bytes()
        assert (place / "audit.json").is_file()
    assert imread(result.picture).shape[0] > 300


def test_the_table_says_what_was_asked_reached_claimed_and_audited(made):
    table = made[0].table
    assert list(table["remove"]) == sorted(table["remove"])
    for _, budget in table.groupby("remove"):
        assert list(budget["audit_worst"]) == sorted(budget["audit_worst"])
        assert budget["random_worst"].nunique() == 1
    audits = {
        remove: json.loads((made[0].folder / f"audit-{remove}" / "audit.json").read_text()) for remove in (0.15, 0.25)
    }
    for _, row in table.iterrows():
        (measured,) = (
            each
            for each in audits[row["remove"]]["summary"]
            if (each["pattern"], each["split"]) == (row["run"], "audit")
        )
        assert (row["audit_worst"], row["audit_mean"]) == (measured["worst"], measured["mean"])
        low = float("nan") if measured["worst_low"] is None else measured["worst_low"]  # of a single document
        assert row["audit_low"] == pytest.approx(low, nan_ok=True)
        found = json.loads((made[0].folder / "runs" / row["run"] / "search.json").read_text())
        assert (row["evaluations"], row["tokens"]) == (found["evaluations"], found["tokens"]["total"])
    assert set(table["loss"]) == {"nll"}
    written = pd.read_csv(made[0].folder / "comparison.csv")
    assert list(written["run"]) == list(table["run"])
    assert list(evop.compare(made[0].folder)["run"]) == list(table["run"])
    inner = evop.compare(made[0].folder / "runs" / "greedy-0.15-seed0")
    assert inner["audit_worst"].notna().all()  # the audits of its recipe are found from a single run


def printed(*arguments):
    """What a command prints."""
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_it_is_printed_a_line_a_search_under_what_they_share(made, tmp_path):
    out = made[0].folder
    said = printed("compare", out, "--csv", tmp_path / "all.csv", "--picture", tmp_path / "frontier.png")
    assert "4 searches; grain subblock, deploy stock, objective cvar, tail 0.5, loss nll" in said
    assert "seed 0" in said
    rows = [line.split() for line in said.splitlines() if line.startswith((" random ", " greedy "))]
    assert [(row[0], float(row[1])) for row in rows] == [
        *made[0].table[["strategy", "remove"]].itertuples(index=False, name=None)
    ]
    assert "…" not in said
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "all.csv"), pd.read_csv(out / "comparison.csv"))
    assert imread(tmp_path / "frontier.png").shape == imread(made[0].picture).shape
    # Another name is shown as it is; what differs becomes a column.
    mine = shutil.copytree(out / "runs" / "greedy-0.15-seed0", tmp_path / "mine")
    write_log_by_hand(
        mine / "trials.jsonl", lambda log: log.replace('"importance": "none"', '"importance": "taylor"', 1)
    )
    found = sha256(mine / "trials.jsonl")
    change_by_hand(mine / "search.json", trials_sha256=found)
    origin = json.loads((mine / "pattern.json").read_text())["origin"]
    change_by_hand(mine / "pattern.json", origin={**origin, "trials_sha256": found})
    said = printed("compare", mine, out / "runs" / "random-0.15-seed0")
    assert "2 searches; grain subblock" in said
    (heading,) = (line for line in said.splitlines() if "strategy" in line)
    assert heading.split()[:2] == ["run", "strategy"]
    assert [line.split()[:3] for line in said.splitlines() if line.startswith(" mine ")] == [
        ["mine", "greedy", "taylor"]
    ]


def test_again_does_nothing_and_loads_nothing(made):
    out = made[0].folder
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()}
    again, said = told(recipe(out, prune="best"))
    assert said.loaded == 0
    assert len(said.lines) == 1 + 4 + 2 + 2
    assert all(line.endswith("done before, unchanged") for line in said.lines)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pd.testing.assert_frame_equal(again.table, made[0].table)


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the run, to change."""
    return shutil.copytree(made[0].folder, tmp_path / "out")


def test_a_list_that_grew_and_limits_that_grew_redo_what_rests_on_them(copied):
    first = {path.name: (path / "trials.jsonl").read_bytes() for path in (copied / "runs").iterdir()}
    _, said = told(recipe(copied, search={"remove": 0.15, "strategy": "random", "seed": [0, 1]}))
    assert said.loaded == 1
    assert said.of("search 1")[0].endswith("unchanged")
    assert said.of("audit") == ["audit 1 of 1: audit-0.15: 2 pattern(s)"]  # another pattern beside

    asked = recipe(copied, search={"remove": 0.15, "strategy": "random", "evaluations": 5}, prune="best")
    _, said = told(asked)
    assert said.loaded == 1
    assert said.of("search")[0] == "search 1 of 1: random-0.15-seed0: goes on"
    grown = (copied / "runs" / "random-0.15-seed0" / "trials.jsonl").read_bytes()
    assert grown.startswith(first["random-0.15-seed0"])
    assert grown.count(b"\n") == 1 + 5
    assert said.of("audit") == ["audit 1 of 1: audit-0.15: 1 pattern(s)"]
    assert said.of("checkpoint") == ["checkpoint 1 of 1: pruned-0.15, the pattern of random-0.15-seed0"]
    found = copied / "runs" / "random-0.15-seed0" / "pattern.json"
    assert (copied / "pruned-0.15" / "pattern.json").read_bytes() == found.read_bytes()


def test_what_is_missing_is_made_again(copied):
    (copied / "audit-0.15" / "audit.json").unlink()
    shutil.rmtree(copied / "pruned-0.25")
    (copied / "runs" / "random-0.25-seed0" / "search.json").unlink()
    _, said = told(recipe(copied, prune="best"))
    redone = [line for line in said.lines if not line.startswith(" ") and "unchanged" not in line]
    assert [line.split(":")[0] for line in redone] == [
        *("search 3 of 4", "search 3 of 4", "audit 1 of 2", "checkpoint 2 of 2"),
    ]


def test_an_audit_that_was_stopped_on_its_way_is_made_again(copied):
    def stopping(line):
        if "every part alone" in line:
            raise KeyboardInterrupt

    (copied / "audit-0.15" / "audit.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(recipe(copied), report=stopping)
    stopped = json.loads((copied / "audit-0.15" / "audit.json").read_text())
    assert (bool(stopped["groups"]), stopped["needs"]) == (True, None)
    _, said = told(recipe(copied))
    assert said.of("audit")[0] == "audit 1 of 2: audit-0.15: 2 pattern(s)"
    assert json.loads((copied / "audit-0.15" / "audit.json").read_text())["needs"] is not None


def test_a_checkpoint_gets_an_audit_that_changed(copied):
    changed = {
        "audit": {"max_tokens": 24, "speed": False, "random_patterns": 3},
        "search": {"remove": 0.15},
        "prune": "best",
    }
    _, said = told(recipe(copied, **changed))
    assert said.of("audit") == ["audit 1 of 1: audit-0.15: 2 pattern(s)"]
    assert not said.of("checkpoint")[0].endswith("unchanged")
    assert (copied / "pruned-0.15" / "audit.json").read_bytes() == (copied / "audit-0.15" / "audit.json").read_bytes()
    assert said.loaded == 0


def test_another_calibration_recipe_or_another_source_is_refused(copied, tmp_path):
    with pytest.raises(EvopError, match=r"was built with calibration\.passages 4, the recipe has 5; .* a new out"):
        run(recipe(copied, calibration_changes={"passages": 5}))
    source = shutil.copy(corpus_files()["math_word"], tmp_path / "math.parquet")
    alone = {**SET, "domains": {"math": str(source)}}
    one = {"search": {"remove": 0.15, "strategy": "random", "evaluations": 1}, "audit": False}
    result, _ = told(recipe(tmp_path / "one", alone, **one))
    assert result.table["audit_worst"].isna().all()
    assert result.picture is None
    pd.read_parquet(source).iloc[1:].to_parquet(source)
    with pytest.raises(EvopError, match=r"math\.parquet was changed since .*set was built from it"):
        run(recipe(tmp_path / "one", alone, **one))
    source.unlink()
    assert told(recipe(tmp_path / "one", alone, **one))[1].loaded == 0


def test_another_search_in_a_cell_is_refused_with_its_name(copied):
    with pytest.raises(EvopError, match=r"^search 1 of 4: random-0\.15-seed0: .* holds another search: its objective"):
        run(recipe(copied, search={"objective": "mean"}))


def test_folders_of_others_are_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years")
    with pytest.raises(EvopError, match="is not empty and holds no run of a recipe"):
        run(recipe(tmp_path / "out"))
    mine = tmp_path / "mine" / "recipe.yaml"
    mine.parent.mkdir()
    mine.write_text(f"# mine\nmodel: {model_dir()}\nout: {mine.parent}\ncalibration: set\n")
    with pytest.raises(EvopError, match="lies where the resolved recipe is written"):
        run(mine)
    assert mine.read_text().startswith("# mine")
    assert [path.name for path in mine.parent.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": ["random", "gredy"]}, r"^search gredy-0\.15-seed0: strategy 'gredy' is unknown; choose one of"),
        ({"objective": "wurst"}, r"^search random-0\.15-seed0: --objective wurst: unknown"),
        ({"remove": [0.1, 1.1]}, r"^search random-1\.1-seed0: --remove must lie between 0 and 1"),
        ({"remove": [0.1, 0.99]}, r"^search random-0\.99-seed0: the budget cannot be met"),
    ],
)
def test_every_cell_is_looked_at_before_anything_is_done(tmp_path, changes, said):
    with pytest.raises(EvopError, match=said):
        run(recipe(tmp_path / "out", search=changes))
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_goes_on_to_the_same_bytes(made, tmp_path):
    """Ctrl-C in the second search: the first stays, the second goes on."""
    given = str(made[0].folder / "set")
    asked = {"strategy": ["random", "greedy"], "remove": 0.15}

    @contextmanager
    def watching():
        def watch(progress):
            if progress.stage == "searching" and progress.evaluations == 2:
                signal.raise_signal(signal.SIGINT)

        yield watch if (tmp_path / "out" / "runs" / "random-0.15-seed0" / "search.json").exists() else lambda _: None

    with pytest.raises(KeyboardInterrupt):
        run(recipe(tmp_path / "out", given, search=asked, prune="none"), watching=watching)
    stopped = tmp_path / "out" / "runs" / "greedy-0.15-seed0"
    assert (stopped / "trials.jsonl").read_bytes().count(b"\n") == 1 + 3  # those that were measured together
    assert not (tmp_path / "out" / "audit-0.15").exists()
    _, said = told(recipe(tmp_path / "out", given, search=asked))
    assert said.loaded == 1
    assert said.of("search 2")[0].endswith("greedy-0.15-seed0: goes on")
    whole = made[0].folder / "runs" / "greedy-0.15-seed0"
    assert (stopped / "trials.jsonl").read_bytes() == (whole / "trials.jsonl").read_bytes()
    assert (stopped / "pattern.json").read_bytes() == (whole / "pattern.json").read_bytes()


def test_runs_over_other_sets_are_told_apart_and_audits_must_be_of_them(made, tmp_path):
    other = tmp_path / "other"
    search(model_dir(), small_set(), other, remove=0.15, evaluations=2, dtype="float32", objective="mean", **QUICK)
    table = evop.compare([other, made[0].folder])
    assert len(table) == 5
    assert table.groupby("calibration").ngroups == 2
    assert table["audit_worst"].notna().sum() == 4
    ends = table["calibration"] != table["calibration"].shift()
    assert ends.sum() == 2  # rows of one set stand together
    with pytest.raises(EvopError, match=r"audit-0\.15 measured none of these runs' patterns"):
        evop.compare(other, made[0].folder / "audit-0.15")
    with pytest.raises(EvopError, match="no finished search there"):
        evop.compare(made[0].folder / "set")
    (other / "search.json").unlink()
    with pytest.raises(EvopError, match="has not finished"):
        evop.compare(other)


def test_answers_are_refitted_healed_and_audited_side_by_side(tmp_path):
    asked = recipe(
        tmp_path / "run",
        calibration_changes={"train_tokens": 400},
        search={"strategy": "random", "remove": 0.25},
        refit={"refit": "chain", "ridge": 1.0, "anchor": 0.0},
        heal={"tokens": 1500, "train": "outputs", "look_every": 1500, "max_tokens": 32, "min_group_tokens": 20},
        prune="best",
        export="masked",
    )
    result, said = told(asked)
    heads = [line.split(":")[0] for line in said.lines if not line.startswith((" ", "calibration"))]
    steps = ["search 1 of 1", "refit 1 of 1", "healing 1 of 1", "audit 1 of 1", "checkpoint 1 of 1", "export 1 of 1"]
    assert list(dict.fromkeys(heads)) == steps
    folder = tmp_path / "run"
    rows = json.loads((folder / "audit-0.25" / "audit.json").read_text())["patterns"]
    assert [row["recovery"] for row in rows] == ["none", "refitted", "healed"]
    assert (folder / "healed-0.25" / "heal.json").is_file()
    assert result.exported == (folder / "healed-0.25-masked",)
    refitted = folder / "refitted" / "random-0.25-seed0"
    assert sha256(folder / "pruned-0.25" / "pattern.json") == sha256(refitted / "pattern.json")
    _, again = told(asked)
    assert len(again.of("healing")) == len(again.of("refit")) == 1
    assert all(line.endswith("done before, unchanged") for line in again.lines)
    measured = json.loads((folder / "audit-0.25" / "audit.json").read_text())
    weights, measured["patterns"][-1]["checkpoint"] = measured["patterns"][-1]["checkpoint"], "0" * 64
    (folder / "audit-0.25" / "audit.json").write_text(json.dumps(measured))
    told(asked)  # other weights were healed since: they are measured
    rows = json.loads((folder / "audit-0.25" / "audit.json").read_text())["patterns"]
    assert rows[-1]["checkpoint"] == weights


def test_a_run_that_refits_needs_text_and_says_so_before_it_searches(tmp_path):
    with pytest.raises(EvopError, match="has no split train"):
        run(recipe(tmp_path / "run", refit={}))
    assert not (tmp_path / "run" / "runs").exists()
