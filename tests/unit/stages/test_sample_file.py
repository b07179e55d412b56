"""The search sample as a plain file, and back."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from sets import DOMAINS, small_set

from calibration import CalibrationError, Passage, read_passages
from calibration.reading.sample_file import domains_in, sample_lines
from evop.errors import EvopError
from evop.recipes.words import calibration_recipe
from evop.stages.sample_file import export_sample


@pytest.fixture
def sample(tmp_path):
    export_sample(small_set(), tmp_path / "sample.jsonl")
    return tmp_path / "sample.jsonl"


def test_the_file_is_the_search_sample_domain_beside_text(sample):
    rows = [json.loads(line) for line in sample.read_text().splitlines()]
    assert [(row["domain"], row["text"]) for row in rows] == [(p.domain, p.text) for p in small_set().split("search")]
    assert [path.name for path in sample.parent.iterdir()] == ["sample.jsonl"]


def test_what_was_written_is_read_again(sample):
    words, grouped = domains_in(sample)
    assert [word.partition("=")[0] for word in words] == sorted(DOMAINS)
    found = read_passages(calibration_recipe(words, grouped)).passages
    assert {(p.domain, p.text) for p in found} == {(p.domain, p.text) for p in small_set().split("search")}
    written = Counter((p.domain, p.document) for p in small_set().split("search"))
    assert sorted(Counter((p.domain, p.document) for p in found).values()) == sorted(written.values())


def test_chats_beside_texts(tmp_path):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    chats = [
        Passage.of("talk", f"d{i}", messages=({"role": "user", "content": f"how are you, number {i}?"},), tools=(tool,))
        for i in range(4)
    ]
    texts = [Passage.of("talk", f"t{i}", text=f"a text of more than five words, number {i}") for i in range(4)]
    item = Passage.item("quiz", "q", "one and one", ("two", "three"), 0)
    file = tmp_path / "x.jsonl"
    file.write_text("".join(sample_lines([*chats, *texts, item])))
    words, grouped = domains_in(file)
    assert words == [f"talk={file}:messages:domain=talk", f"talk={file}:text:domain=talk"]
    found = read_passages(calibration_recipe(words, grouped)).passages
    assert {passage.id for passage in found} == {passage.id for passage in (*chats, *texts)}


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(EvopError, match="expected the name of a"):
        export_sample(small_set(), tmp_path / "sample.csv")
    (tmp_path / "there.jsonl").write_text("mine")
    with pytest.raises(EvopError, match="is there already"):
        export_sample(small_set(), tmp_path / "there.jsonl")
    assert (tmp_path / "there.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"text": "a"}], "no column 'domain'; it has: text"),
        ([{"domain": "a", "text": "b"}, {"domain": None, "text": "b"}], "row 2 has no domain"),
        ([{"domain": "a", "other": "b"}], "no rows with text or messages"),
        ([{"domain": "a", "text": "b"}, {"domain": "c", "text": ""}], "no row of domain c has text or messages"),
        *(
            (
                [{"domain": name, "text": "b"}],
                f"row 1: domain {str(name)[:9]!r}.*the first a letter or digit; rename it",
            )
            for name in ("law:eu", "a=b", "my law", "a/b", "日本語", "..", " a", 3)
        ),
    ],
)
def test_files_that_cannot_be_read(rows, words, tmp_path):
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CalibrationError, match=words):
        domains_in(tmp_path / "x.jsonl")


def test_a_column_to_choose_rows_by_that_is_not_there(tmp_path):
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "five words are in here"}) + "\n")
    with pytest.raises(CalibrationError, match="no column 'domain' to choose rows by"):
        read_passages(calibration_recipe([f"a={tmp_path / 'x.jsonl'}:text:domain=a"]))


def test_files_of_other_systems_are_read(tmp_path):
    """A byte-order mark, lines that end in two signs, empty lines, rows twice."""
    rows = "".join(
        json.dumps({"domain": "a", "text": f"these are five words, number {i}"}) + "\r\n\r\n" for i in range(3)
    )
    file = tmp_path / "a:b=c d.jsonl"
    file.write_bytes(("\ufeff" + rows + rows).encode())
    assert sorted(p.text[-1] for p in read_passages(calibration_recipe(*domains_in(file))).passages) == ["0", "1", "2"]


def test_documents_are_kept_domain_by_domain(tmp_path):
    """That one domain has none is no reason to part the documents of another."""
    rows = [{"domain": "a", "document": "d", "text": "x"}, {"domain": "a", "text": "y"}, {"domain": "b", "text": "z"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert domains_in(tmp_path / "x.jsonl")[1] == ["a=document"]


def test_every_passage_is_one_line_to_every_reader():
    text = "a line\u2028another\x85and\u2029one more, 漢字"
    (line,) = sample_lines([Passage.of("a", "d", text=text)])
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == text
    assert "漢字" in line


def test_a_table_of_no_rows_is_refused(tmp_path):
    (tmp_path / "x.txt").write_text("words")
    with pytest.raises(CalibrationError, match=r"expected one of .jsonl, .json, .parquet, .csv with domain"):
        domains_in(tmp_path / "x.txt")


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".jsonl", "a\0b.jsonl"])
def test_sources_that_no_file_can_be_called(name):
    with pytest.raises(CalibrationError, match=r"no such file|neither a file"):
        read_passages(calibration_recipe([f"a={name}"]))


@pytest.mark.parametrize("name", ["x" * 300 + ".jsonl", "a\0b.jsonl"])
def test_a_name_for_the_sample_that_no_file_can_have(name, tmp_path):
    with pytest.raises(EvopError, match="no file can be there"):
        export_sample(small_set(), tmp_path / name)
