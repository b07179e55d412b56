"""Files torn at every byte of their last record, and with bits flipped: never taken for another answer."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import build

from calibration.checksum import with_checksum
from evop.errors import EvopError
from evop.files.tensors import read_tensors, write_tensors
from evop.fitness.store import LossStore
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.model.sums import refuse_changed, write_sums
from evop.recovery.healing.student import Student
from evop.removal.pattern_file import PatternFile
from patterns import Measurement, Pattern, PatternError, Trial, TrialLog
from patterns.checked_lines import with_checksum as checked_line
from patterns.checked_lines import without_checksum

GOLDEN = Path(__file__).parents[1] / "golden" / "pattern.json"
TRIALS = [
    Trial(at // 2, Pattern((at, 1)), True, 4, Measurement(0.1 * at, {"law/0": 0.3 * at, "ü/1": 1.5}, 100))
    for at in range(5)
]
"""Two at the end are written together, as a search writes a batch."""


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "trials.jsonl"
    written = TrialLog.create(path, {"seed": 1})
    written.append(TRIALS[:3])
    written.append(TRIALS[3:])
    return path


def flips(content, at):
    """A file with one bit of one byte turned, for every byte."""
    for place in at:
        yield content[:place] + bytes([content[place] ^ (1 << (place % 8))]) + content[place + 1 :]


def test_a_log_torn_anywhere_is_gone_on_with_to_the_same_bytes(log):
    whole = log.read_bytes()
    begins = whole.index(b"\n", whole.index(TRIALS[2].to_json()[:-1].encode())) + 1
    for end in range(begins, len(whole)):
        log.write_bytes(whole[:end])
        found = TrialLog.open(log)
        assert log.read_bytes() == whole[:end]  # whoever reads writes nothing
        assert found.trials == TRIALS[: len(found.trials)]
        found.append(TRIALS[len(found.trials) :])
        assert log.read_bytes() == whole
    for end in range(0, whole.index(b"\n") + 1, 5):
        log.write_bytes(whole[:end])
        with pytest.raises(PatternError):
            TrialLog.open(log)


def test_nothing_of_a_torn_end_is_left_behind_a_shorter_one(log):
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"round": 9, "half of a long line": "' + b"x" * 5000)
    TrialLog.open(log).append(TRIALS[:1])
    after = log.read_bytes()
    assert after.startswith(whole)
    assert TrialLog.open(log).trials == [*TRIALS, TRIALS[0]]
    assert len(after) < len(whole) + 1000


def test_a_changed_log_is_refused_and_says_what_is_good(log):
    whole = log.read_bytes()
    for content in flips(whole, range(len(whole) - 1)):
        log.write_bytes(content)
        with pytest.raises(PatternError):
            TrialLog.open(log)
    lines = whole.splitlines(keepends=True)
    for wrong in (lines + lines[1:], lines[:2] + lines[3:], lines[:2] + lines[1:], [*lines[:3], lines[4], lines[3]]):
        log.write_bytes(b"".join(wrong))
        with pytest.raises(PatternError, match=r"line \d is damaged"):
            TrialLog.open(log)
    log.write_bytes(b"".join(lines[:3]) + lines[3].replace(b"1.5", b"1.6"))
    with pytest.raises(PatternError, match=r"the 3 before it are good: keep these \(head -n 3\)"):
        TrialLog.open(log)


def test_a_store_forgets_what_is_damaged_and_knows_nothing_else(tmp_path):
    identity = {"space": "s"}
    sums = {Pattern((at,)): {"law/0": 0.1 * at, "law/1": None} for at in range(3)}
    first = LossStore(tmp_path, identity)
    for pattern, losses in sums.items():
        first.put(pattern, 0, losses)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    begins = whole.index(b"\n") + 1
    torn = [whole[:end] for end in range(begins, len(whole))]
    for content in (*torn, *flips(whole, range(begins, len(whole)))):
        path.write_bytes(content)
        store = LossStore(tmp_path, identity)
        for pattern, losses in sums.items():
            assert store.get(pattern, 0) in ({}, losses)
            store.put(pattern, 0, losses)
        again = LossStore(tmp_path, identity)
        assert all(again.get(pattern, 0) == losses for pattern, losses in sums.items())


def test_tensors_are_read_as_they_were_written_or_not(tmp_path):
    path = tmp_path / "corrections.safetensors"
    tensors = {"layers.0": torch.arange(6.0).reshape(2, 3), "layers.1": torch.ones(2, dtype=torch.bfloat16)}
    write_tensors(tensors, path, {"of": "pattern"})
    whole, (read, said) = path.read_bytes(), read_tensors(path)
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    for content in (*flips(whole, range(len(whole))), *(whole[:end] for end in range(0, len(whole), 7))):
        path.write_bytes(content)
        try:
            found, words = read_tensors(path)
        except (ValueError, OSError):
            continue
        assert words == said
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_checkpoint_whose_weights_were_changed_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path
    (folder / "model.safetensors").write_bytes(rng.bytes(4000))
    (folder / "config.json").write_text(json.dumps({"vocab_size": 512}))
    write_sums(folder)
    refuse_changed(folder)
    for name in ("model.safetensors", "config.json"):
        whole = (folder / name).read_bytes()
        for content in flips(whole, rng.integers(len(whole), size=50)):
            (folder / name).write_bytes(content)
            with pytest.raises(EvopError, match="was changed since evop wrote it"):
                refuse_changed(folder)
        (folder / name).write_bytes(whole)
    refuse_changed(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(EvopError, match=r"model\.safetensors is missing, which SHA256SUMS names; copy the whole"):
        refuse_changed(folder)


def test_whoever_loads_a_changed_checkpoint_is_told(tmp_path):
    folder = build("llama", tmp_path / "model")
    write_sums(folder)
    load_model(Checkpoint.find(folder), "cpu", "float32")
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"\x11")
    for load in (lambda own: load_model(own, "cpu", "float32"), lambda own: Student.load(own, "full")):
        with pytest.raises(EvopError, match=r"model\.safetensors was changed since evop wrote it"):
            load(Checkpoint.find(folder))


def test_a_digit_of_a_checked_file_cannot_change(tmp_path):
    path = tmp_path / "pattern.json"
    whole = GOLDEN.read_bytes()
    wanted = json.loads(whole)
    assert with_checksum({key: value for key, value in wanted.items() if key != "checksum"}) == wanted
    path.write_bytes(whole)
    read = PatternFile.read(path)
    for content in flips(whole, range(0, len(whole), 7)):
        path.write_bytes(content)
        try:
            found = PatternFile.read(path)
        except EvopError:
            continue
        assert found == read


@pytest.mark.parametrize(
    "row",
    ["[]", "7", "{}", '{"round": 0, "levels": 3}', '{"round": 0, "levels": ' + "[" * 100_000 + "]" * 100_000 + "}"],
)
def test_lines_whose_checksum_fits_and_that_are_no_trials(log, row):
    """As somebody writes them who knows how checksums are made."""
    lines = log.read_bytes().split(b"\n")
    _, before = without_checksum(lines[0])
    log.write_bytes(lines[0] + b"\n" + checked_line(row, before).encode() + b"\n")
    with pytest.raises(PatternError, match="line 2 is damaged") as caught:
        TrialLog.open(log)
    assert "\n" not in str(caught.value)


def test_a_line_whose_end_is_gone_is_damaged(log):
    whole = log.read_bytes()
    assert whole.endswith(b'"}\n')
    log.write_bytes(whole[:-3] + b"\n")
    with pytest.raises(PatternError, match="line 6 is damaged"):
        TrialLog.open(log)
