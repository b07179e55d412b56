"""The line of progress says how long is left in words that suit it."""

import pytest

from evop.console.watching import _line
from evop.searching.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "40 evaluations (25%)"),
        ((20.2, 41.0), "40 evaluations (25%) · 20 to 41 s left"),
        ((60.0, 150.0), "40 evaluations (25%) · 1 to 2 min left"),
        ((301.0, 310.0), "40 evaluations (25%) · 5 min left"),
        ((9000.0, 20880.0), "40 evaluations (25%) · 2.5 to 5.8 h left"),
    ],
)
def test_time_left(seconds, words):
    assert _line(Progress("searching", 40, share=0.25, seconds_left=seconds)) == words
