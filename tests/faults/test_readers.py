"""Reading is total: whatever became of a file, it is read or refused on one line, and nothing else is raised."""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections import Counter

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import changed, damaged, signed, signed_lines, written
from sets import small_set

from calibration import CalibrationSet, TaskSource
from calibration.errors import CalibrationError
from calibration.reading.sources import open_source
from calibration.reading.tasks import Task
from evop.auditing.audit_file import AuditFile
from evop.console.audit import print_audit
from evop.console.calibration_set import print_set
from evop.console.passages import print_text
from evop.console.plain import PlainConsole
from evop.console.search import print_answer
from evop.errors import EvopError
from evop.files.arrays import opened_arrays
from evop.importance.metric_file import metric_named
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_tokenizer
from evop.recipes.run import RunRecipe
from evop.reference import model_dir
from evop.removal.drop_file import read_pattern
from evop.removal.ranking import Ranking
from evop.searching.folder import SearchRun
from evop.stages.audit import audit
from evop.stages.search import SearchResult, search
from patterns.errors import PatternError
from patterns.trials import TrialLog

SAMPLE, MANY = 12, 10_000
"""Examples of every reader, in every run and in a long one."""
QUICK = {"max_tokens": 32, "min_group_tokens": 20, "dtype": "float32", "device": "cpu", "strategy": "random"}
CHATS = [
    {"messages": [{"role": "user", "content": f"ask {i}"}, {"role": "assistant", "content": "told"}], "tools": []}
    for i in range(3)
]
CALLS = [
    {"from": "human", "value": "what is the weather"},
    {"from": "gpt", "value": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]},
]
TASKS = [{"query": f"question {i}", "choices": ["yes", "no"], "gold": i % 2, "cluster": "a"} for i in range(3)]
RECIPE = {
    "model": "m",
    "out": "o",
    "calibration": {"domains": {"a": "a.jsonl", "b": {"source": "b.jsonl", "group_by": "c"}}, "clusters": 3},
    "search": {"strategy": ["cma", "swap"], "remove": [0.1, 0.2], "seed": 1, "evaluations": 5},
    "audit": {"random_patterns": 3},
    "prune": "best",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with one good file of every kind."""
    place = tmp_path_factory.mktemp("house")
    small_set().save(place / "set")
    search(model_dir(), small_set(), place / "run", evaluations=2, grain="channel", **QUICK)
    quick = {"speed": False, "needs": False, "dtype": "float32", "random_patterns": 1}
    audit(model_dir(), small_set(), place / "run", place / "audit", **quick)
    shutil.copytree(model_dir(), place / "model")
    for path in place.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (place / "run.yaml").write_text(yaml.safe_dump(RECIPE))
    (place / "layers.txt").write_text("none\nattn\nmlp\nattn+mlp\n" * 3)
    (place / "metric.txt").write_text("norm(W) * |G| / rowsum(W)\n")
    rows = [*CHATS, {"messages": CALLS}, {"messages": json.dumps(CALLS)}]
    (place / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "chats.json").write_text(json.dumps(rows, indent=1))
    (place / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TASKS))
    frame = pd.DataFrame({"text": ["one, two", 'say "hi"', "NA"] * 3, "n": range(9)})
    frame.to_csv(place / "texts.csv", index=False)
    frame.to_parquet(place / "texts.parquet")
    pd.DataFrame(CHATS).to_parquet(place / "chats.parquet")
    (place / "texts.txt").write_text("one\n<|endoftext|>\ntwo\n")
    return place


def console():
    return PlainConsole(file=io.StringIO(), width=120)


def read_set(path):
    calibration = CalibrationSet.load(path.parent)
    print_set(console(), calibration)
    print_text(console(), calibration)


def read_run(path):
    print_answer(console(), SearchResult.read(path.parent))


def read_log(path):
    SearchRun(path.parent).seconds()
    TrialLog.open(path)


def read_model(path):
    checkpoint = Checkpoint.find(path.parent)
    family = family_of(checkpoint.model_type)
    assert checkpoint.fingerprint
    assert checkpoint.parameters
    assert family.refusal(checkpoint.resolved, "subblock", "any") is None or family
    load_tokenizer(checkpoint)


def read_a_pattern(path):
    checkpoint = Checkpoint.find(model_dir())
    pattern = read_pattern(path, checkpoint)
    pattern.on(checkpoint)
    assert pattern.cut_alone


def read_ranking(path):
    with contextlib.suppress(EvopError):
        assert Ranking.load(path).fingerprint
    with opened_arrays(path) as file:
        assert file.files


READERS = {
    "run.yaml": RunRecipe.read,
    "layers.txt": read_a_pattern,
    "metric.txt": lambda path: metric_named(str(path)),
    "chats.jsonl": lambda path: list(open_source("d", str(path)).documents()),
    "chats.json": lambda path: list(open_source("d", str(path)).documents()),
    "chats.parquet": lambda path: list(open_source("d", str(path)).documents()),
    "texts.csv": lambda path: list(open_source("d", str(path)).documents()),
    "texts.parquet": lambda path: list(open_source("d", str(path)).documents()),
    "texts.txt": lambda path: list(open_source("d", str(path)).documents()),
    "tasks.jsonl": lambda path: list(Task.open(TaskSource(name="t", source=str(path))).rows()),
    "set/manifest.json": read_set,
    "set/passages.parquet": read_set,
    "set/centroids.npy": read_set,
    "run/pattern.json": read_a_pattern,
    "run/search.json": read_run,
    "run/trials.jsonl": read_log,
    "run/timings.jsonl": lambda path: SearchRun(path.parent).seconds(),
    "run/orders.npz": Ranking.load,
    "audit/audit.json": lambda path: print_audit(console(), AuditFile.find(path.parent)),
    "model/config.json": read_model,
    "model/model.safetensors": read_model,
    "model/tokenizer_config.json": read_model,
    "model/tokenizer.json": read_model,
}
"""File of the house -> what reads it; most of them show what they read too."""
LINES = (".jsonl",)
OWN = ("run/orders", "run/trials")
"""Where nobody puts a pipe: what evop itself writes and reads again."""
STRUCTURED = [name for name in READERS if name.endswith((".json", ".jsonl", ".yaml")) and "tokenizer.json" not in name]


def assert_total(read, path):
    """What reads a file reads it, or raises what the command line prints as one line; returns which."""
    try:
        read(path)
    except (EvopError, CalibrationError, PatternError):
        return "refused"
    except OSError as error:
        if error.errno is None:
            raise
        return "refused"
    return "read"


def examples(strategy, count, test, record_property):
    """Run a test on so many examples, the same every time; what came of them stands in the report of the tests."""
    found = Counter()

    def counted(example):
        found[test(example)] += 1

    every = settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    every(given(strategy)(counted))()
    for outcome in ("read", "refused"):
        record_property(outcome, found[outcome])


def seal(house, name, content):
    """Write a file, and make the checksums of a set fit, as somebody may who wants it to be read."""
    (house / name).write_bytes(content)
    manifest = house / "set/manifest.json"
    if name.startswith("set/") and not name.endswith(".json"):
        said = json.loads(manifest.read_bytes())
        said["files"][name.removeprefix("set/")] = hashlib.sha256(content).hexdigest()
        manifest.write_bytes(written(signed(said)))


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", READERS)
def test_bytes_that_moved(house, name, count, record_property):
    path, good, manifest = house / name, (house / name).read_bytes(), (house / "set/manifest.json").read_bytes()
    READERS[name](path)

    def test(content):
        seal(house, name, content)
        return assert_total(READERS[name], path)

    try:
        examples(damaged(good), count, test, record_property)
    finally:
        path.write_bytes(good)
        (house / "set/manifest.json").write_bytes(manifest if "manifest" not in name else good)


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", STRUCTURED)
def test_values_that_somebody_changed(house, name, count, record_property):
    path, good = house / name, (house / name).read_bytes()
    lines = name.endswith(LINES)
    if name.endswith(".yaml"):
        value = yaml.safe_load(good)
    else:
        value = [json.loads(line) for line in good.splitlines()] if lines else json.loads(good)

    def test(content):
        rows = content if lines and isinstance(content, list) else [content]
        path.write_bytes(signed_lines(rows) if lines else b"".join(written(signed(row)) + b"\n" for row in rows))
        return assert_total(READERS[name], path)

    try:
        examples(changed(value), count, test, record_property)
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_such_file(house, name):
    """Nested without end, empty, of noughts alone, gone, a folder, a pipe that nobody writes to."""
    path, aside = house / name, house / "aside"
    path.rename(aside)
    try:
        for content in (b"[" * 100_000, b'{"a":' * 100_000, b"", b"\0" * 1000, b"\xef\xbb\xbf"):
            path.write_bytes(content)
            assert_total(READERS[name], path)
        path.unlink()
        assert_total(READERS[name], path)
        path.mkdir()
        assert_total(READERS[name], path)
        path.rmdir()
        if not name.startswith(OWN):
            os.mkfifo(path)
            assert_total(READERS[name], path)
    finally:
        if path.is_dir():
            path.rmdir()
        aside.replace(path)


@pytest.mark.parametrize("count", [SAMPLE, pytest.param(MANY, marks=pytest.mark.long)])
def test_cells_of_chats(tmp_path, count, record_property):
    """Chats in every form, changed and then kept in a table: Arrow types them all, or refuses."""

    def test(rows):
        path = tmp_path / "a.parquet"
        try:
            pd.DataFrame({"messages": rows}).to_parquet(path)
        except Exception:  # what Arrow cannot hold is in no file
            return "in no file"
        return assert_total(READERS["chats.parquet"], path)

    examples(
        st.lists(changed(CALLS) | changed(CHATS[0]["messages"]), min_size=1, max_size=3), count, test, record_property
    )


def test_a_reader_that_raises_something_else_is_seen(tmp_path):
    with pytest.raises(KeyError):
        assert_total(lambda path: {}[path], tmp_path)
