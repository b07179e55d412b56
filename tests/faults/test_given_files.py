"""Files that a person names: whole or as before, nothing else lost, no device taken away, no cell that computes."""

import csv
import os
import socket

import pandas as pd
import pytest

from evop.cli.compare import compare
from evop.errors import EvopError
from evop.files.csv_file import write_csv
from evop.files.given_file import given_file
from evop.model.checkpoint import Checkpoint
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.stages.speed import speed


def refused(path):
    with pytest.raises(EvopError) as caught, given_file("--csv", path):
        pytest.fail("it was given")
    return str(caught.value)


def test_what_is_no_file_is_refused_and_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    before = {path: path.lstat().st_mode for path in tmp_path.iterdir()}
    for name in ("folder", "pipe", "link", "socket"):
        assert "is a folder, a pipe or a device" in refused(tmp_path / name)
    assert "there is no folder" in refused(tmp_path / "nowhere/a.csv")
    for name in ("a\0b", "a" * 300):
        assert "no file can be there" in refused(tmp_path / name)
    assert {path: path.lstat().st_mode for path in tmp_path.iterdir()} == before


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    """Two at once leave one of the two, and a person's file beside it that is called as a draft might be is let be."""
    path, beside = tmp_path / "a.csv", tmp_path / "a.tmp.csv"
    path.write_text("before")
    beside.write_text("a person's")
    with pytest.raises(FileNotFoundError), given_file("--csv", path) as draft:
        draft.with_name("more").write_text("half")
    assert path.read_text() == "before"
    with given_file("--csv", path) as one:
        one.write_text("one")
        with given_file("--csv", path) as other:
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    assert beside.read_text() == "a person's"
    assert sorted(tmp_path.iterdir()) == [path, beside]


def test_nothing_is_measured_for_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(EvopError, match=r"--out .* is a folder"):
        speed("no model", ["no checkpoint"], out=tmp_path)


def test_no_file_of_another_kind_gives_way(tmp_path, capsys):
    manifest = tmp_path / "manifest.json"
    manifest.write_text("a set's")
    with pytest.raises(
        EvopError, match=r"--out .*manifest\.json is there already, and no evop\.speed/2; choose a new name"
    ):
        speed("no model", ["no checkpoint"], out=manifest)
    with pytest.raises(EvopError, match=r"--csv .*manifest\.json: expected a name that ends in \.csv"):
        compare([tmp_path], csv=manifest)
    assert manifest.read_text() == "a set's"


def test_a_pipe_in_the_place_of_a_pattern_is_not_waited_for(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("pipe", "pipe.txt", "run/pattern.json"):
        os.mkfifo(tmp_path / name)
    for name in ("pipe", "pipe.txt", "run", "run/pattern.json"):
        with pytest.raises(EvopError, match="is a folder, a pipe or a device; expected ") as caught:
            open_pattern(tmp_path / name, Checkpoint.find(model_dir()))
        assert "\n" not in str(caught.value)


def test_a_spreadsheet_reads_names_as_text(tmp_path):
    names = ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "plain, =1", "\x1b[31m\u202e", None]
    some = pd.Series([1, None] + [3] * 7, dtype=object)
    table = pd.DataFrame({"name": names, "number": [-1.5, *range(8)], "some": some})
    table["number"] = -table["number"]
    write_csv(table, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows[:4]] == ["'=1+1", "'+1", "'-1", "'@a"]
    assert [row[0] for row in rows[4:]] == ["'\t=1", "'\\u000d=1", "plain, =1", "\\u001b[31m\\u202e", ""]
    assert [row[1] for row in rows[:3]] == ["1.5", "-0.0", "-1.0"]
    assert [row[2] for row in rows[:3]] == ["1", "", "3"]
