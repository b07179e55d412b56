import json

import pytest
from by_hand import change_by_hand, write_by_hand

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import HEAL, PATTERN
from evop.recovery.heal_file import HealFile, HealPoint
from evop.removal.pattern_facts import ModelName


def healed(folder, **changed):
    """Write a checkpoint's heal.json beside a pattern.json of some bytes."""
    (folder / PATTERN).write_text("{}")
    points = [
        HealPoint(tokens=0, loss=None, excess={"law/0": 0.4, "code/1": 0.9}, weights={"law/0": 0.5, "code/1": 0.5}),
        HealPoint(tokens=100, loss=0.7, excess={"law/0": 0.3, "code/1": 0.5}, weights={"law/0": 0.4, "code/1": 0.6}),
    ]
    content = {
        "version": "1",
        "model": ModelName(name="m", revision=None, fingerprint="f"),
        "pattern_sha256": sha256(folder / PATTERN),
        "calibration": "c",
        "recipe": {"tokens": 100},
        "tokens": 100,
        "stopped": "tokens",
        "best_at": 100,
        "curve": points,
    }
    file = HealFile(**{**content, **changed})
    file.write(folder / HEAL)
    return file


def test_what_is_written_is_read(tmp_path):
    file = healed(tmp_path)
    assert HealFile.of(tmp_path) == file.model_copy(update={"schema_": HealFile.SCHEMA})
    assert HealFile.of(tmp_path).best.excess["code/1"] == 0.5


def test_a_checkpoint_without_the_file_was_not_healed(tmp_path):
    assert HealFile.of(tmp_path) is None


def test_the_file_of_another_checkpoint_is_refused(tmp_path):
    healed(tmp_path, pattern_sha256="0" * 64)
    with pytest.raises(EvopError, match="another lies beside it"):
        HealFile.of(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("best_at", 50, "no point of the curve"),
        ("curve", [], "at least 1 item"),
        ("speed", 3, "Extra inputs"),
    ],
)
def test_a_file_changed_by_hand_is_refused(key, value, problem, tmp_path):
    healed(tmp_path)
    change_by_hand(tmp_path / HEAL, **{key: value})
    with pytest.raises(EvopError, match=problem):
        HealFile.of(tmp_path)


def test_a_curve_that_does_not_ascend_is_refused(tmp_path):
    healed(tmp_path)
    content = json.loads((tmp_path / HEAL).read_text())
    content["curve"].reverse()
    write_by_hand(tmp_path / HEAL, content)
    with pytest.raises(EvopError, match="do not ascend"):
        HealFile.of(tmp_path)
