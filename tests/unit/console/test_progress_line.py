"""The line of a search on its way."""

import io

from evop.console.plain import PlainConsole
from evop.console.watching import watching
from evop.searching.progress import Progress


def line(progress):
    stream = io.StringIO()
    with watching(PlainConsole(file=stream, width=200)) as watch:
        watch(progress)
    return stream.getvalue().strip()


def test_the_best_is_in_the_unit_that_is_minimised():
    counted = ("searching", 3, 0.83, 0.4158, "law/1 tax", 0.5, None)
    assert line(Progress(*counted)) == "3 evaluations (50%) · best 0.8300 · its worst group law/1 tax 0.4158"
    told = line(Progress(*counted, in_tolerances=True))
    assert "best 83% of what is tolerated · its worst group law/1 tax 0.4158" in told
