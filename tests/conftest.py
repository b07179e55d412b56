"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before anything imports torch: tiny models are faster on one thread, and on a busy machine by far.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def headroom() -> Iterator[None]:
    """Tightens every tolerance where ``EVOP_HEADROOM`` is set."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("EVOP_HEADROOM"):
            import tolerance

            tolerance.tighten_comparisons(patch)
        yield


@pytest.fixture
def new_cell(record_property: Callable[[str, object], None]) -> Callable[..., dict[str, Any]]:
    """Makes the record of one cell of the matrix that is printed when all tests are done."""
    import matrix

    def recorded(*words: Any) -> dict[str, Any]:
        cell = matrix.new_cell(*words)
        record_property(matrix.PROPERTY, cell)
        return cell

    return recorded


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the matrix of the cells that were tested, whichever process tested them.

    It stands here and not in a folder further down, for the process that gathers the reports of others reads no more.
    """
    import matrix

    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    told = [(dict(report.user_properties).get(matrix.PROPERTY), report.outcome != "failed") for report in calls]
    if cells := [(cell, passed) for cell, passed in told if cell]:
        terminalreporter.section("masked == saved: models, grains and deploys")
        for line in matrix.lines(cells):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model by its name in ``tiny.TINY``; each is built once a session."""
    from tiny import build

    root, made = tmp_path_factory.mktemp("tiny"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = build(name, root / name)
        return made[name]

    return folder
