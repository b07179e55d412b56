"""The table of a refit: what every group lost before it and after, on text that it did not learn from."""

from __future__ import annotations

from collections.abc import Iterable

from evop.recovery.refit_file import RefitFile, Tried
from evop.report.sheet import Cell, Row, Sheet, number

LEGEND = (
    "loss beyond the dense model's, in nats per token; on select and on what was held out of the anchor, which nothing "
    "was fitted to, but by which the best way was chosen"
)


def refit_sheet(file: RefitFile) -> Sheet:
    """Tabulate every way to refit that was tried: its objective, its worst group, and the groups."""
    groups = sorted(file.best.excess, key=lambda group: -file.tried[0].excess[group])
    rows = [
        _row("worse half's mean", (tried.value for tried in file.tried)),
        _row("worst group", (tried.worst for tried in file.tried)),
        *(_row(group, (tried.excess[group] for tried in file.tried)) for group in groups),
    ]
    return Sheet(f"refit: {_words(file.best)} was chosen", ("", *map(_words, file.tried)), tuple(rows), LEGEND)


def _row(name: str, values: Iterable[float]) -> Row:
    return Row((Cell(name), *(number(value, 4) for value in values)))


def _words(tried: Tried) -> str:
    return "as pruned" if tried.method == "none" else f"{tried.method}, ridge {tried.ridge:g}, to layer {tried.through}"
