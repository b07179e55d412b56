"""Measurements that searches share: what is passed over, what is refused."""

import json

import pytest

from evop.errors import EvopError
from evop.fitness.store import LossStore
from patterns import Fidelity, Pattern

IDENTITY = {"space": "s", "halves": None, "search_tokens": "t", "dtype": "float32", "loss": "nll"}
A, B = Pattern((0, 1)), Pattern((1, 0))
SUMS = {"law/0": 12.25, "code/1": 0.1 + 0.2}


@pytest.fixture
def filled(tmp_path):
    """The file of a store with two measurements."""
    store = LossStore(tmp_path / "store", IDENTITY)
    store.put(A, 0, SUMS)
    store.put(A, 1, {})
    (file,) = (tmp_path / "store").iterdir()
    return file


def opened(file):
    return LossStore(file.parent, IDENTITY)


def test_what_was_put_is_got_bit_for_bit_by_another(filled):
    store = opened(filled)
    assert store.get(A, 0) == SUMS
    assert store.get(A, 1) == {}
    assert store.get(A, 2) == store.get(B, 0) == {}


def test_without_a_folder_it_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LossStore(None, IDENTITY)
    store.put(A, 0, SUMS)
    assert store.get(A, 0) == SUMS
    assert LossStore(None, IDENTITY).get(A, 0) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", IDENTITY)
def test_other_spaces_samples_meters_and_dtypes_have_files_of_their_own(filled, key):
    other = LossStore(filled.parent, {**IDENTITY, key: "other"})
    assert other.get(A, 0) == {}
    assert len(list(filled.parent.iterdir())) == 2


@pytest.mark.parametrize(
    "torn", [b'{"levels": [1, 0], "str', b'{"levels": [1, 0], "increment": 0, "sums": {', b"\xff\xfe"]
)
def test_a_torn_line_is_passed_over_and_what_follows_it_is_read(filled, torn):
    with filled.open("ab") as file:
        file.write(torn)
    store = opened(filled)
    assert store.get(A, 0) == SUMS
    assert store.get(B, 0) == {}
    store.put(B, 0, {"law/0": 1.0})
    assert opened(filled).get(B, 0) == {"law/0": 1.0}
    assert opened(filled).get(A, 0) == SUMS


@pytest.mark.parametrize(
    "line", ["{}", "[]", "3", "null", '"x"', '{"levels": 3, "increment": 0, "sums": {}}', '{"schema": 1}']
)
def test_lines_that_are_no_measurements_are_passed_over(filled, line):
    with filled.open("a") as file:
        file.write(f"{line}\n")
    assert opened(filled).get(A, 0) == SUMS


def test_a_file_that_was_opened_and_not_yet_written_is_begun(filled):
    """Two searches that start at once: one has made the file, the other looks before its first line is there."""
    filled.write_bytes(b"")
    store = opened(filled)
    store.put(B, 0, SUMS)
    assert json.loads(filled.read_text().splitlines()[0])["space"] == "s"
    assert opened(filled).get(B, 0) == SUMS


@pytest.mark.parametrize(
    "content", ["no store\n", '{"schema": "evop.store/0"}\n', '{"schema": "evop.trials/1"}\n', "[]\n"]
)
def test_a_file_that_holds_something_else_is_refused(filled, content):
    filled.write_text(content)
    with pytest.raises(EvopError, match="holds something else; delete it, it only saves time"):
        opened(filled)
    assert filled.read_text() == content


def test_searches_of_other_fidelities_share_nothing(tmp_path):
    """An increment is counted from the fidelity before: the same number means other passages."""
    folder, fidelities = str(tmp_path), (Fidelity(1, 10), Fidelity(4, 40))
    LossStore.of_search(folder, IDENTITY, fidelities).put(A, 1, SUMS)
    assert LossStore.of_search(folder, IDENTITY, fidelities).get(A, 1) == SUMS
    assert LossStore.of_search(folder, IDENTITY, (Fidelity(2, 20), Fidelity(4, 40))).get(A, 1) == {}


def test_a_file_is_no_folder_to_share(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EvopError, match=rf"^--store {place}: a file lies there; expected a folder, or a name"):
            LossStore(place, {})
