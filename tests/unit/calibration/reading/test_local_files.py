"""Local files: cells as they are written, whatever else the file holds, in bounded memory."""

import gzip
import json
import os
import tracemalloc

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from calibration import CalibrationError
from calibration.reading import files, json_rows, origins, parquet_rows
from calibration.reading.sources import open_source


def texts(spec):
    return [document.text for document in open_source("d", str(spec)).documents()]


def refused(path):
    with pytest.raises(CalibrationError) as caught:
        texts(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_that_nobody_asked_for_do_not_matter(tmp_path):
    rows = [{"text": f"text {i}", "note": None, "tags": []} for i in range(3)] + [{"text": "last", "note": "x", "b": 1}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert texts(tmp_path / "a.jsonl") == [row["text"] for row in rows]
    late = [{"note": 1}, {"text": "a"}]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in late))
    assert texts(tmp_path / "b.jsonl") == ["a"]
    odd = pa.array([b"\xff", b"\xfe"]).view(pa.binary())
    table = pa.table({"text": ["one", "two"], "x": odd, "text.more": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == ["one", "two"]


def test_cells_are_read_as_they_are_written(tmp_path):
    cells = ["NA", "007", "1e5", "null", "True", " two ", 'say "hi"', "a,b", "two\nlines", "nan", "#N/A"]
    frame = pd.DataFrame({"text": cells, "n": range(len(cells))})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert texts(tmp_path / "a.csv") == cells
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbftext,n\r\none,1\r\n\r\ntwo,2\r\n")
    assert texts(tmp_path / "b.csv") == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text,n\na,1\nb,1,2\n", "line 3 has 3 cells, the first line 2"),
        ("text,n\na\n", "line 2 has 1 cells, the first line 2"),
        ("text,text\na,b\n", "two columns are called 'text'"),
        ("text;n\na;1\n", "parted by semicolons"),
        ('text,n\n"a,1\n', "unreadable CSV: unexpected end of data"),
        ('text,n\n"a"b,1\n', "line 2: unreadable CSV"),
    ],
)
def test_a_csv_that_may_be_read_in_two_ways_is_refused(tmp_path, content, says):
    (tmp_path / "a.csv").write_text(content)
    assert says in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"text": "a"},\n{"text": "b"}', "line 2: unreadable JSON: found 'the end of the file'"),
        ('[{"text": "a"}\n{"text": "b"}]', "line 2: unreadable JSON: found '{', expected , or ]"),
        ('[{"text": "a"}]\n[1]', "line 2: unreadable JSON: more after the list's end"),
        ('[{"text": "a"},]', "a comma before the end of the list"),
        ('[{"text": "a"}, 7]', "found JSON int, expected an object"),
        ("[" * 100_000, "nested more than 100 deep"),
        ('[{"text": "a", "n": ' + "9" * 5000 + "}]", "line 1"),
    ],
)
@pytest.mark.parametrize("block", [1 << 20, 7])
def test_a_json_list_is_read_piece_by_piece(tmp_path, content, says, block, monkeypatch):
    monkeypatch.setattr(json_rows, "_BLOCK", block)
    (tmp_path / "a.json").write_text(content)
    assert says in refused(tmp_path / "a.json")
    good = [{"text": f'"{i}" \\ {"é" * i}', "n": [i, {"a": -1.5e3}]} for i in range(9)]
    (tmp_path / "b.json").write_text("\ufeff" + json.dumps(good, indent=1))
    (tmp_path / "c.jsonl").write_text(json.dumps(good))
    (tmp_path / "d.json").write_text("\n".join(json.dumps(row, indent=1) for row in good))
    for name in ("b.json", "c.jsonl", "d.json"):
        assert texts(tmp_path / name) == [row["text"] for row in good], name


def test_nested_without_end(tmp_path):
    for depth in (101, 3_000, 100_000):
        line = '{"text": "a"}\n{"text": "b", "x": ' + "[" * depth + "]" * depth + "}\n"
        (tmp_path / "a.jsonl").write_text(line)
        assert "line 2: unreadable JSON: nested more than 100 deep" in refused(tmp_path / "a.jsonl")
        (tmp_path / "a.json").write_text("[" + line.replace("}\n{", "},\n{") + "]")
        assert "line 2: unreadable JSON: nested more than 100 deep" in refused(tmp_path / "a.json")


def test_long_lines_and_bombs_are_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_OF_A_ROW", 1000)
    monkeypatch.setattr(files, "MOST_UNPACKED", 5000)
    monkeypatch.setattr(files, "_BLOCK", 500)
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x"}) + "\n" + json.dumps({"text": "x" * 2000}) + "\n")
    assert "line 2 is longer" in refused(tmp_path / "a.jsonl")
    with gzip.open(tmp_path / "a.txt.gz", "wb") as stream:
        stream.write(b"some words\n" * 500_000)
    assert "unpacks to more than 200 times its size" in refused(tmp_path / "a.txt.gz")


def test_rows_of_many_lines_and_packed_columns_are_refused_before_they_fill_the_memory(tmp_path, monkeypatch):
    for reads in (json_rows, origins):
        monkeypatch.setattr(reads, "MOST_OF_A_ROW", 1000)
    monkeypatch.setattr(json_rows, "_BLOCK", 100)
    monkeypatch.setattr(parquet_rows, "MOST_UNPACKED", 5000)
    (tmp_path / "a.json").write_text('[{"text": "one"}, {"text": [' + '"word",\n' * 500 + '"word"]}]')
    assert "line 1: unreadable JSON: a value of more than" in refused(tmp_path / "a.json")
    (tmp_path / "a.txt").write_text("one\n<|endoftext|>\n" + "word\n" * 500)
    assert "a document of more than" in refused(tmp_path / "a.txt")
    table = pa.table({"text": ["one", "two"], "x": ["a" * 2_000_000] * 2})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert texts(tmp_path / "a.parquet") == ["one", "two"]
    assert "column x unpacks to more than 1000 times the file's size" in refused(f"{tmp_path / 'a.parquet'}:x")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    assert "is a pipe or a device" in refused(tmp_path / "a.jsonl")


def test_a_packed_file_that_breaks_off(tmp_path):
    whole = gzip.compress(b'{"text": "one"}\n' * 10_000)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refused(tmp_path / "a.jsonl.gz")


def test_equal_long_rows_do_not_fill_the_memory(tmp_path):
    """A table holds a text that is said a million times once; of its rows, few are unpacked at a time."""
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000), ["long " * 1_000_000])})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)  # as a column of plain strings
    documents = open_source("d", str(tmp_path / "a.parquet")).documents()
    before = pa.total_allocated_bytes()
    assert sum(len(next(documents).text) for _ in range(20)) == 20 * 5_000_000
    assert pa.total_allocated_bytes() - before < 40e6


def test_a_file_is_read_row_by_row(tmp_path, monkeypatch):
    """Of a file of 2 MB, a third at most is in memory at once, however it is written."""
    monkeypatch.setattr(files, "_BLOCK", 1 << 16)
    monkeypatch.setattr(json_rows, "_BLOCK", 1 << 16)
    monkeypatch.setattr(json_rows, "MOST_OF_A_ROW", 100_000)
    rows = [{"text": f"{i} " + "word " * 200, "n": i} for i in range(2_000)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "d.txt").write_text("\n<|endoftext|>\n".join(row["text"] for row in rows))
    for path in sorted(tmp_path.iterdir()):
        source = open_source("d", str(path))
        tracemalloc.start()
        read = sum(1 for _ in source.documents())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (read, path.stat().st_size > 2e6) == (2_000, True)
        assert peak < 0.7e6, path.name


def test_a_list_is_looked_through_once(tmp_path, monkeypatch):
    """Whatever is done for every row of it is done to the row, not to what is held of the file."""
    looked = []
    count = json_rows._Text.line.fget
    monkeypatch.setattr(
        json_rows._Text, "line", property(lambda self: (looked.append(self.at - self._counted), count(self))[1])
    )
    (tmp_path / "b.json").write_text(json.dumps([{"text": f"text {i}"} for i in range(2_000)]))
    assert len(texts(tmp_path / "b.json")) == 2_000
    assert sum(looked) <= (tmp_path / "b.json").stat().st_size


def test_a_table_is_read_by_the_columns_that_are_asked_for(tmp_path):
    """One that nobody asked for may be unreadable."""
    path = tmp_path / "a.parquet"
    secret = b"SECRET" * 40
    pq.write_table(pa.table({"text": ["one", "two"], "x": [secret, b"b"]}), path, use_dictionary=False)
    content = path.read_bytes()
    metadata = pq.read_metadata(path).row_group(0).column(1)
    begins = metadata.data_page_offset
    path.write_bytes(
        content[:begins] + b"\xff" * metadata.total_compressed_size + content[begins:][metadata.total_compressed_size :]
    )
    with pytest.raises(Exception, match=r"."):
        pq.read_table(path)
    assert texts(path) == ["one", "two"]
    with pytest.raises(CalibrationError, match="cannot be read as Parquet"):
        texts(f"{path}:x")


def test_two_columns_of_one_name_in_a_table(tmp_path):
    pq.write_table(pa.Table.from_arrays([["one"], ["two"]], names=["text", "text"]), tmp_path / "a.parquet")
    assert "two columns are called 'text'" in refused(tmp_path / "a.parquet")


def test_what_pyarrow_raises_while_it_reads_is_one_line(tmp_path):
    """Text that is none: the file says UTF-8, and Python cannot decode it."""
    wrong = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": wrong}), tmp_path / "a.parquet")
    assert "cannot be read as Parquet" in refused(tmp_path / "a.parquet")


@pytest.mark.parametrize("rows", [["a" * 200_000, "b"], ["b", "a" * 200_000]])
def test_cells_longer_than_the_library_takes_by_itself(tmp_path, rows):
    """Read in turns too: the limit is one of the whole process, and the other file ends first."""
    for name in ("a.csv", "b.csv"):
        pd.DataFrame({"text": rows}).to_csv(tmp_path / name, index=False)
    assert texts(tmp_path / "a.csv") == rows
    first, second = (open_source("d", str(tmp_path / name)).documents() for name in ("a.csv", "b.csv"))
    read = [next(first).text, next(second).text]
    assert read[:1] + [document.text for document in first] == rows
    assert read[1:] + [document.text for document in second] == rows


def test_a_byte_order_mark_before_a_line_or_a_list(tmp_path):
    for name, content in (
        ("a.jsonl", '{"text": "one"}'),
        ("b.jsonl", '[{"text": "one"}]'),
        ("c.json", '[{"text": "one"}]'),
    ):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
        assert texts(tmp_path / name) == ["one"], name


def test_a_text_of_utf_16_is_called_so(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"text": "one"}'.encode("utf-16"))
    assert "it begins as UTF-16 does; save the file as UTF-8" in refused(tmp_path / "a.jsonl")
