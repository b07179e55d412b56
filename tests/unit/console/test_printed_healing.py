"""What a person sees while a model is healed, and when it is."""

import io
from pathlib import Path

import pytest

from evop.console.healing import _line, print_healed
from evop.console.plain import PlainConsole
from evop.recovery.heal_file import HealFile
from evop.stages.heal import HealResult
from evop.stages.heal_progress import HealProgress


@pytest.mark.parametrize(
    ("left", "words"), [(None, ""), ((60.0, 150.0), " · 1 to 2 min left")], ids=["unknown", "known"]
)
def test_the_line(left, words):
    progress = HealProgress(500_000, 0.25, "law/3 lease, rent", 0.3017, left)
    assert _line(progress) == f"500,000 tokens (25%) · worst group law/3 lease, rent 0.3017{words}"


def printed(excesses, best_at):
    """What is printed of a curve with some excesses of two groups at 0, 100, … tokens."""
    curve = [
        {"tokens": 100 * i, "loss": None, "excess": {"law/0": law, "code/1": code}, "weights": {"law/0": 1.0}}
        for i, (law, code) in enumerate(excesses)
    ]
    model = {"name": "m", "revision": None, "fingerprint": "f"}
    file = HealFile(
        version="1", model=model, pattern_sha256="p", calibration="c", recipe={}, tokens=100 * (len(curve) - 1),
        stopped="tokens", best_at=best_at, curve=curve,
    )  # fmt: skip
    out = io.StringIO()
    labels = {"law/0": "law/0 lease", "code/1": "code/1 self"}
    print_healed(PlainConsole(file=out, width=160), HealResult(Path("healed"), file, labels, {}))
    return out.getvalue()


def test_what_came_back():
    words = printed([(0.4, 0.2), (0.3, 0.18), (0.1, 0.12), (0.15, 0.05)], 200)
    assert "worst 0.4000 -> 0.1200, mean 0.3000 -> 0.1100, on select" in words
    assert "the weights after 200 tokens were chosen; stopped after 300: the tokens ended" in words
    rows = [line.split() for line in words.splitlines() if "lease" in line or "self" in line]
    assert [row[0] for row in rows] == ["law/0", "code/1"]  # the worst at the start comes first
    assert rows[0][-1] == "+0.1000"
    assert "nothing that was learned" not in words


def test_nothing_came_back():
    assert "nothing that was learned was better than the start" in printed([(0.4, 0.2), (0.5, 0.3)], 0)
