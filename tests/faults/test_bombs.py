"""Small files that stand for endless ones: refused on one line, in the time that reading them takes."""

import json
import zipfile
import zlib

import numpy as np
import pytest

from calibration import json_text
from calibration.clustering.precomputed import PrecomputedEmbedder
from calibration.errors import CalibrationError
from calibration.reading import json_rows
from calibration.reading.sources import open_source
from evop.errors import EvopError
from evop.importance.metric_file import metric_named
from evop.model.checkpoint import Checkpoint
from evop.recipes.run import RunRecipe
from evop.recipes.yaml_file import read_yaml
from evop.reference import model_dir
from evop.removal.cut import from_ranges, place_of
from evop.removal.drop_file import read_pattern
from evop.removal.moments_file import MomentsFile
from evop.removal.ranking import Ranking


def refusal(call, *arguments):
    with pytest.raises((EvopError, CalibrationError)) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def bomb(first, line, levels=9):
    """A mapping of lists, each of nine of the one before."""
    lines = [first, *(line.format(f"a{i}", f"*a{i - 1}") for i in range(1, levels))]
    return "\n".join(lines)


ALIASES = bomb("a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]", "{0}: &{0} [{1},{1},{1},{1},{1},{1},{1},{1},{1}]")
MERGES = bomb("a0: &a0 {b: 1, c: 2}", "{0}: &{0} {{<<: [{1},{1},{1},{1},{1},{1},{1},{1},{1}], {0}: 1}}", 10)
PLACES = (
    "model: *a8",
    "calibration: {domains: {a: {source: *a8}}}",
    "search: {strategy: *a8}",
    "audit: {lm_eval: *a8}",
)


@pytest.mark.parametrize("place", PLACES)
def test_aliases_of_aliases(tmp_path, place):
    path = tmp_path / "run.yaml"
    path.write_text(f"{ALIASES}\n{place}\n")
    assert "with its aliases written out" in refusal(RunRecipe.read, path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (MERGES, "with its aliases written out"),
        ("a: &a [*a]", "line 1: an alias that stands for what it lies in"),
        ("a: &a {b: *a}", "line 1: an alias that stands for what it lies in"),
        ("[" * 100_000, "nested more than"),
        ("- " * 3_000, "nested more than"),
        ("a: " + "[" * 60 + "]" * 60, "line 1: nested more than 50 deep"),
        ("a: " + "1:" * 6000 + "1", "line 1: a value with more than 10,000 characters"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ('out: "a\\0b"', "the character 0"),
        ("a: \x07", "not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: not YAML"),
        ("? [a, [b]]\n: 1", "not YAML"),
        ("a: 2024-13-45", "not YAML"),
        ("b: 1\n" * 300_000, "longer than 1 MiB"),
        ("a: 1\n--- \nb: 2", "not YAML"),
    ],
)
def test_recipes_that_do_not_end(tmp_path, content, says):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    assert says in refusal(read_yaml, path)


def test_aliases_that_a_person_writes(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("\ufeffa: &a {b: 1, c: [x, y]}\nd: {<<: *a, b: 2}\ne: *a\n")
    content = {"a": {"b": 1, "c": ["x", "y"]}, "d": {"b": 2, "c": ["x", "y"]}, "e": {"b": 1, "c": ["x", "y"]}}
    assert read_yaml(path) == content
    path.write_text("# nothing\n")
    assert read_yaml(path) is None


@pytest.mark.parametrize("value", ["[]", '"ab"', "1.5", '{"a":1}', '"\\\\"', '"\\""'])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_row_of_values_that_would_fill_the_memory(tmp_path, monkeypatch, name, value):
    """Short ones take twenty times the memory that they take in a file; what a text says is no value."""
    monkeypatch.setattr(json_text, "MOST_VALUES", 100_000)
    monkeypatch.setattr(json_rows, "_BLOCK", 1 << 16)
    many = ",".join([value] * 300_000)
    says = json.dumps(f"{many} \\")
    for inside, refused in ((says, False), (f"[{many}]", True)):
        rows = ['{"text": "one", "x": []}', f'{{"text": "two", "x": {inside}}}']
        path = tmp_path / name
        path.write_text("\n".join(rows) if name == "a.jsonl" else f"[{', '.join(rows)}]")
        documents = open_source("d", str(path)).documents()
        if refused:
            assert "a row of more than 100,000 values" in refusal(list, documents)
        else:
            assert [document.text for document in documents] == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1" + " " * 200_000 + "x", "line 1: found"),
        ("1 " * 100_000 + "x", "line 1: found"),
        ("9" * 6000, "lists layer 99999999999999999999, expected 0 to"),
        ("none\n" * 300_000, "longer than 1 MiB"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_lists_of_layers(tmp_path, content, says):
    path = tmp_path / "layers.txt"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert says in refusal(read_pattern, path, Checkpoint.find(model_dir()))


def test_lists_of_units():
    assert "expected ascending numbers" in refusal(from_ranges, "0-99999999999")
    assert "is unknown" in refusal(place_of, f"layers.{'9' * 5000}.mlp")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("+".join("W" * 900), "more than 150 operators within operators"),
        ("+".join("W" * 200), "more than 150 operators within operators"),
        ("-" * 1900 + "W", "more than 150 operators within operators"),
        ("(" * 1900, "more than 150 operators within operators"),
        ("W +" * 300_000 + "W", "characters; expected at most 2,000"),
        ("W W", "found 'W' at character 3, expected an operator, or the end"),
    ],
)
def test_metrics(line, says):
    assert says in refusal(metric_named, f"{line} ")


def array(value):
    """The bytes of an array as a file of arrays holds it."""
    import io

    stream = io.BytesIO()
    np.save(stream, value)
    return stream.getvalue()


def archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(f"{name}.npy", content)
    return path


class Runs:
    """What makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def nested_archive(path, names):
    """An archive whose every entry is an array of the bytes of the next one: each byte stands for many."""
    inside, entries = b"", []
    for name in reversed(names):
        content = array(np.frombuffer(inside, np.uint8))
        entry = zipfile.ZipInfo(f"{name}.npy")
        entry.CRC, entry.file_size, entry.compress_size = zlib.crc32(content), len(content), len(content)
        inside = entry.FileHeader() + content
        entries.append((entry, len(inside)))
    with zipfile.ZipFile(path, "w") as file:
        file.fp.write(inside)
        file.start_dir = len(inside)
        for entry, size in entries:
            entry.header_offset = len(inside) - size
            file.filelist.append(entry)
        file.writestr("last.npy", array(np.ones(3)))
    return path


ENDLESS = array(np.zeros(3)).replace(b"(3,)", b"(999999999999,)")


@pytest.mark.parametrize("read", [Ranking.load, lambda path: dict(MomentsFile(path))])
def test_archives_of_arrays(tmp_path, read):
    path = tmp_path / "orders.npz"
    good = array(np.ones(3))
    for content in (b"", b"PK", b"\x93NUMPY", good, json.dumps({}).encode()):
        path.write_bytes(content)
        assert "holds no" in refusal(read, path)
    zeros = array(np.zeros(1_000_000))
    assert "packed" in refusal(read, archive(path, {"importance/a": zeros}, zipfile.ZIP_DEFLATED))
    assert "holds no" in refusal(read, archive(path, {"importance/a": ENDLESS}))
    for odd in (np.array(["word"]), np.array(3.0)):
        assert "no array of numbers" in refusal(read, archive(path, {"importance/a": array(odd)}))
    pickled = array(np.array([Runs(tmp_path / "ran")], dtype=object))
    assert "holds no" in refusal(read, archive(path, {"importance/a": pickled}))
    assert not (tmp_path / "ran").exists()
    nested = nested_archive(path, [f"importance/{i}" for i in range(100)])
    assert len(np.load(nested)["importance/0"]) > 90 * len(np.load(nested)["importance/99"])
    assert "entries are longer than the file" in refusal(read, nested)


def test_vectors_made_elsewhere(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "vectors.parquet"
    path.write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in refusal(PrecomputedEmbedder, str(path), 0)
    for vectors in ([[1.0], [1.0, 2.0]], [["a"], ["b"]], [None, [1.0]]):
        pq.write_table(pa.table({"id": ["a", "b"], "vector": vectors}), path)
        assert "column vector" in refusal(PrecomputedEmbedder, str(path), 0)
