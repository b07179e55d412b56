"""A set whose checksums somebody made fit: what is in its files is checked by itself, and refused on one line."""

import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from by_hand import change_by_hand, write_by_hand
from sets import small_set

from calibration import CalibrationError, CalibrationSet, parquet


@pytest.fixture
def saved(tmp_path):
    small_set().save(tmp_path / "set")
    return tmp_path / "set"


def refused(folder):
    with pytest.raises(CalibrationError) as caught:
        CalibrationSet.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seal(folder, name, content):
    """Write a file of a set, and make the manifest's checksum fit."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change_by_hand(folder / "manifest.json", files={**files, name: hashlib.sha256(content).hexdigest()})


def test_a_digit_of_a_manifest_that_changed(saved):
    path = saved / "manifest.json"
    path.write_text(path.read_text().replace('"rows": ', '"rows": 1', 1))
    assert "manifest.json: was changed since evop wrote it" in refused(saved)


def another_cluster(said):
    said["groups"][0]["domain"] = "unheard"


def a_group_twice(said):
    said["groups"].append(said["groups"][0])


def a_split_less(said):
    del said["groups"][0]["passages"]["audit"]


def a_split_less_of_tokens(said):
    del said["groups"][0]["tokens"]["audit"]


def a_passage_more(said):
    said["groups"][0]["passages"]["search"] += 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (another_cluster, "the groups it lists are not those of its domains"),
        (a_group_twice, "the groups it lists are not those of its domains"),
        (a_split_less, "a group does not count each of search, select, audit"),
        (a_split_less_of_tokens, "a group does not count each of search, select, audit"),
        (a_passage_more, r"search passages of group 'code_python/0', it counts"),
    ],
)
def test_a_manifest_that_counts_something_else(saved, change, says):
    said = json.loads((saved / "manifest.json").read_text())
    change(said)
    write_by_hand(saved / "manifest.json", said)
    assert says in refused(saved)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_centroids_that_are_none(saved):
    good = np.load(saved / "centroids.npy")
    for wrong in (good[:-1], good[0], np.where(good == good[0, 0], np.nan, good)):
        seal(saved, "centroids.npy", npy(wrong))
        assert "one finite row for each of" in refused(saved)
    whole = npy(good)
    assert f"({len(good)}, " in whole[:128].decode("latin-1")
    endless = whole.replace(f"({len(good)}, ".encode(), b"(99999999, ").replace(b" " * 7 + b"\n", b"\n", 1)
    for wrong in (endless, npy(np.array(["word"])), npy(np.array([{}], dtype=object)), b"", whole[:60], whole + b"\0"):
        seal(saved, "centroids.npy", wrong)
        assert "centroids.npy is no array" in refused(saved)


def test_a_header_of_centroids_is_held_against_the_file(saved):
    """Before memory is taken for what it says."""
    whole = npy(np.load(saved / "centroids.npy"))
    seal(saved, "centroids.npy", whole + b"\0")
    assert "which it does not hold" in refused(saved)


@pytest.mark.parametrize(
    ("column", "cell", "says"),
    [
        ("cluster", "one", "column cluster holds 'one'"),
        ("domain", None, "column domain holds 'None'"),
        ("split", "other", "split 'other'"),
        ("x", float("nan"), "split 'search', at (nan,"),
        ("messages", '[{"role": 7}]', "after passage 0:"),
        ("messages", '[{"from": "human", "value": "hi"}]', 'messages \'[{"from"'),
        ("messages", '{"role": "user"}', 'messages \'{"role"'),
        ("messages", "[" * 100_000, "nested more than 100 deep"),
        ("tools", "[7]", "messages '[7]'"),
    ],
)
def test_a_cell_of_a_passage_that_is_none(saved, column, cell, says):
    rows = pq.read_table(saved / "passages.parquet").to_pylist()
    at = next(at for at, row in enumerate(rows) if row["split"] == "search")
    rows = [rows[at], *rows[:at], *rows[at + 1 :]]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns[column] = (
        [cell] * len(rows) if isinstance(cell, str) and column == "cluster" else [cell, *columns[column][1:]]
    )
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    seal(saved, "passages.parquet", stream.getvalue())
    assert says in refused(saved)


def test_a_column_of_passages_that_is_gone(saved):
    stream = io.BytesIO()
    pq.write_table(pq.read_table(saved / "passages.parquet").drop_columns(["gold"]), stream)
    seal(saved, "passages.parquet", stream.getvalue())
    assert "after passage 0: no column 'gold'" in refused(saved)


@pytest.mark.parametrize("limit", ["MOST_PASSAGES", "MOST_TOKENS"])
def test_more_passages_than_memory_should_hold(saved, monkeypatch, limit):
    """As a small file may hold, which says the same a million times."""
    CalibrationSet.load(saved)
    monkeypatch.setattr(parquet, limit, 10)
    assert "or 10 tokens" in refused(saved) or "more than 10 passages" in refused(saved)
