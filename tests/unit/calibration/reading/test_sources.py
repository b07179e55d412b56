"""Reading sources: every format, every complaint."""

import gzip
import hashlib
import json
import logging
import socket
import tempfile
from dataclasses import replace
from datetime import datetime

import pandas as pd
import pytest

from calibration import (
    CalibrationError,
    CalibrationSet,
    DomainSource,
    Recipe,
    build_calibration_set,
    read_passages,
)
from calibration.reading.sources import open_source

ROWS = [{"text": f"Row number {i} holds a text of its own, number {i * 7}.", "n": i} for i in range(6)]


def texts(spec, group_by=None):
    return [document.text for document in open_source("d", str(spec), group_by).documents()]


def write(path, content):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as stream:
        stream.write(content)
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "a.csv.gz", "odd [x] *.jsonl"]
)
def test_formats(tmp_path, name):
    path, frame = tmp_path / name, pd.DataFrame(ROWS)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    if ".parquet" in name:
        frame.to_parquet(path)
    elif ".csv" in name:
        write(path, frame.to_csv(index=False))
    else:
        write(path, json.dumps(ROWS) if name.endswith(".json") else lines)
    assert texts(path) == [row["text"] for row in ROWS]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_text_file(tmp_path, name):
    path = write(tmp_path / name, "first\n\nline\n<|endoftext|>\nsecond\x0c one\n<|endoftext|>\nthird")
    assert texts(path) == ["first\n\nline\n", "second\x0c one\n", "third"]


def test_column_after_a_colon(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "no", "body": "yes"}) + "\n")
    assert texts(f"{path}:body") == ["yes"]


def test_chats_stay_messages(tmp_path):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello", "name": "x"}]
    path = write(tmp_path / "a.jsonl", json.dumps({"messages": chat}) + "\n")
    (document,) = open_source("d", str(path)).documents()
    assert document.text is None
    assert list(document.messages) == chat


def test_what_json_cannot_hold_in_a_message_is_kept_as_text(tmp_path):
    said = datetime(2024, 5, 1, 12, 30)
    chats = [
        [{"role": "user", "content": f"what is {i}", "timestamp": said}, {"role": "assistant", "content": f"it is {i}"}]
        for i in range(12)
    ]
    pd.DataFrame({"messages": chats}).to_parquet(tmp_path / "a.parquet")
    recipe = Recipe(domains=[DomainSource(name="d", source=str(tmp_path / "a.parquet"))], min_group_tokens=1)
    built = build_calibration_set(recipe)
    built.save(tmp_path / "set")
    loaded = CalibrationSet.load(tmp_path / "set")
    assert loaded.passages == built.passages
    assert {message.get("timestamp") for p in loaded.passages for message in p.messages} == {str(said), None}


def test_a_byte_order_mark_is_no_text(tmp_path):
    for name, content in (("a.txt", "one"), ("a.csv", "text\none\n"), ("a.jsonl", '{"text": "one"}\n')):
        assert texts(write(tmp_path / name, "\ufeff" + content)) == ["one"], name


def test_rows_without_text_are_counted(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": null}\n{"text": "  "}\n{"text": "yes"}\n{"other": 1}\n')
    source = open_source("d", str(path))
    assert [document.text for document in source.documents()] == ["yes"]
    assert (source.rows, source.empty) == (4, 3)


def test_document_names(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x", "book": "b1"}\n{"text": "y", "book": null}\n')
    file = f"a.jsonl@{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    assert [document.name for document in open_source("d", str(path)).documents()] == [f"{file}#0", f"{file}#1"]
    by_book = open_source("d", str(path), "book")
    assert [document.name for document in by_book.documents()] == [f"{file}#book=b1", f"{file}#1"]
    joined = replace(open_source("d", str(path), "book"), joined=True)
    assert [document.name for document in joined.documents()] == ["d#book=b1", f"{file}#1"]


def bad_sources(folder):
    write(folder / "empty.jsonl", "")
    write(folder / "broken.jsonl", '{"text": "a"}\n{"text": "b"}\n{"text": "c\n')
    write(folder / "broken.json", '[{"text": "a"},\n {"text": ]')
    write(folder / "array.jsonl", '{"text": "a"}\n[1, 2]\n')
    (folder / "latin.jsonl").write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n')
    (folder / "latin.txt").write_bytes(b"a text\n" * 3 + b"caf\xe9")
    write(folder / "columns.jsonl", '{"body": "a", "n": 1}\n')
    write(folder / "fake.parquet", "no parquet")
    write(folder / "fake.jsonl.gz", "x").write_bytes(b"not gzip")
    write(folder / "data.xml", "<a/>")
    write(folder / "chat.jsonl", '{"messages": [{"from": "user", "says": "hi"}]}\n')
    return [
        ("missing.jsonl", "no such file"),
        ("", "is a folder|not a known format|neither a file"),
        ("empty.jsonl", "the file is empty"),
        ("broken.jsonl", "line 3: unreadable JSON"),
        ("broken.json", "line 2: unreadable JSON"),
        ("array.jsonl", "line 2: found JSON list, expected an object"),
        ("latin.jsonl", r"not UTF-8 at byte 27 \(line 2\)"),
        ("latin.txt", r"not UTF-8 at byte 24 \(line 4\)"),
        ("columns.jsonl", "no column text or messages; it has: body, n"),
        ("columns.jsonl:txt", "no column 'txt'; it has: body, n"),
        ("columns.jsonl:n", "holds int"),
        ("fake.parquet", "cannot be read"),
        ("fake.jsonl.gz", "cannot be read"),
        ("data.xml", "not a known format"),
        ("chat.jsonl", "expected messages"),
    ]


@pytest.mark.parametrize("case", range(15))
def test_bad_sources_get_one_line(tmp_path, case, capfd, monkeypatch):
    name, message = bad_sources(tmp_path)[case]
    logged: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda self, record: logged.append(record))
    with pytest.raises(CalibrationError, match=message) as caught:
        texts(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)
    assert name.split(":")[0] in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not logged


def test_wrong_group_by_lists_the_columns(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps(ROWS[0]) + "\n")
    with pytest.raises(CalibrationError, match="no column 'book' to group by; it has: text, n"):
        texts(path, "book")


def test_not_utf8_far_into_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(("é" * 3 + "x" * 93 + "\n").encode() * 20_000 + b"\xff")  # 100 bytes a line
    with pytest.raises(CalibrationError, match=r"byte 2000000 \(line 20001\)"):
        texts(path)


def test_hub_dataset_without_network_is_one_line(monkeypatch):
    import datasets

    def fail(*args, **kwargs):
        raise ConnectionError("Couldn't reach\nthe Hub")

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    with pytest.raises(CalibrationError, match="org/name:cfg:train:text: hub dataset cannot be read: Couldn't reach"):
        texts("org/name:cfg:train:text")


def test_hub_specification(monkeypatch):
    import datasets

    asked = []

    class Builder:
        hash = "auto"

        def __init__(self, *args):
            asked.append(args)

        def as_streaming_dataset(self, split):
            asked.append(split)
            return iter([{"body": "text"}])

    monkeypatch.setattr(datasets, "load_dataset_builder", Builder)
    source = open_source("d", "org/name::test:body")
    assert [(document.name, document.text) for document in source.documents()] == [("org/name::test#0", "text")]
    assert asked == [("org/name", None), "test"]
    assert source.revision is None  # no commit is known of a copy from the cache


@pytest.mark.parametrize("level", [10, 30])
@pytest.mark.parametrize("bars", [True, False])
def test_datasets_settings_are_put_back(tmp_path, level, bars):
    import datasets

    def settings():
        return datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()

    before = settings()
    try:
        datasets.logging.set_verbosity(level)
        (datasets.enable_progress_bars if bars else datasets.disable_progress_bars)()
        texts(write(tmp_path / "a.txt", "text"))
        assert settings() == (level, not bars)
    finally:
        datasets.logging.set_verbosity(before[0])
        (datasets.disable_progress_bars if before[1] else datasets.enable_progress_bars)()


def test_limit_stops_reading(tmp_path):
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    reading = read_passages(Recipe(domains=[DomainSource(name="d", source=str(path))], limit=4))
    entry = reading.domains["d"]
    assert entry.passages == 4
    assert entry.sources[0].cut_short


def test_counts(tmp_path):
    rows = [*ROWS, {"text": "too few words"}, {"text": None}, ROWS[0]]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    lines = []
    reading = read_passages(Recipe(domains=[DomainSource(name="d", source=str(path))]), lines.append)
    entry = reading.domains["d"]
    assert (entry.passages, entry.short_documents, entry.empty_rows, entry.near_duplicates) == (6, 1, 1, 1)
    assert lines == [
        "d: 6 passages of 6 documents; dropped 1 empty rows, 1 documents under five words, 1 near-duplicate passages"
    ]


def test_duplicates_are_dropped_across_domains(tmp_path):
    one = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    two = write(tmp_path / "b.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS[:1]) + one.read_text())
    fresh = [{"text": f"Something else altogether is said here in line {i}."} for i in range(3)]
    two.write_text(two.read_text() + "".join(json.dumps(row) + "\n" for row in fresh))
    domains = [DomainSource(name="a", source=str(one)), DomainSource(name="b", source=str(two))]
    reading = read_passages(Recipe(domains=domains))
    assert reading.domains["a"].near_duplicates == 0
    assert reading.domains["b"].near_duplicates == 7


@pytest.mark.parametrize(
    ("rows", "group_by", "message"),
    [
        ([{"text": "a b"}], None, "no usable passages"),
        (ROWS[:2], None, "found 2 document.*expected at least 3.*give it more rows"),
        ([{**row, "book": "same"} for row in ROWS], "book", "all rows fall into them by 'book'"),
    ],
)
def test_too_little(tmp_path, rows, group_by, message):
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CalibrationError, match=message):
        read_passages(Recipe(domains=[DomainSource(name="d", source=str(path))], group_by=group_by))


def test_local_files_leave_no_cache_behind(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = write(tmp_path / "a.jsonl", json.dumps(ROWS[0]) + "\n")
    texts(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_domain_of_two_sources_shares_its_limit(tmp_path):
    sources = []
    for part in "ab":
        rows = [{"text": f"Row {i} of part {part} has its own words, {part}{i} and {part}{i + 50}."} for i in range(20)]
        sources.append(write(tmp_path / f"{part}.jsonl", "".join(json.dumps(row) + "\n" for row in rows)))
    domains = [DomainSource(name="d", source=str(path)) for path in sources]
    reading = read_passages(Recipe(domains=domains, limit=10))
    assert [part.rows for part in reading.domains["d"].sources] == [6, 6]
    assert reading.domains["d"].documents == 10
