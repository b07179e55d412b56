"""The matrix of law 1: which tiny model holds which grain under which deploy, as the conformance tests found it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GRAINS = ("layer", "subblock", "head", "channel", "mixed", "weight")
PROPERTY = "cell"
"""Under this name a test hands its record on: with its report, so that it crosses from a worker of pytest-xdist."""
LEGEND = (
    "number: the largest logit difference of masked and saved over several patterns, in their standard deviations",
    "+: the parameters claimed are gone, tokens generated with a cache are those without, saved again it is the same",
    "(a): refused, for the reason below",
)


def new_cell(model: str, grain: str, deploy: str, changed: str = "") -> dict[str, Any]:
    """An empty record of one cell; a test fills it as it goes, so that a failed one shows how far it came."""
    return {
        "model": model,
        "column": (grain, deploy, changed),
        "refused": None,
        "patterns": 0,
        "claimed": 0,
        "gone": 0,
        "difference": 0.0,
        "ratio": 0.0,
        "generated": 0,
        "saved": 0,
    }


def add(cell: dict[str, Any], **found: float) -> None:
    """Add what one pattern, or one checkpoint, came to: differences by their largest, all else by its sum."""
    for name, value in found.items():
        cell[name] = max(cell[name], value) if name in ("difference", "ratio") else cell[name] + value


@dataclass(frozen=True)
class Row:
    """A cell as it is printed."""

    cell: dict[str, Any]
    passed: bool

    def text(self, letters: dict[str, str]) -> str:
        """What stands in the table."""
        cell = self.cell
        if not self.passed:
            return "FAILED"
        if cell["refused"]:
            return f"({letters[cell['refused']]})"
        whole = cell["claimed"] == cell["gone"] and cell["generated"] and cell["saved"]
        return ("+ " if whole else "? ") + (f"{cell['ratio']:.0e}".replace("e-0", "e-") if cell["ratio"] else "0")


def lines(cells: Iterable[tuple[dict[str, Any], bool]]) -> list[str]:
    """The matrix as text.

    Args:
        cells: records, and whether their tests passed (a refusal that was tested has).
    """
    rows = [Row(cell, passed) for cell, passed in cells]
    models = sorted({row.cell["model"] for row in rows})
    columns = sorted({tuple(row.cell["column"]) for row in rows}, key=_order)
    refused = sorted({row.cell["refused"] for row in rows if row.cell["refused"]})
    letters = dict(zip(refused, "abcdefghijklmnopqrstuvwxyz", strict=False))
    table = [["", *(column[0] for column in columns), "removed"], ["", *(" ".join(c[1:]) for c in columns), "claimed"]]
    for model in models:
        mine = {tuple(row.cell["column"]): row for row in rows if row.cell["model"] == model}
        found = [mine[column].text(letters) if column in mine else "" for column in columns]
        table.append([model, *found, _parameters([row.cell for row in mine.values()])])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    printed = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [*LEGEND, "", *printed, "", *(f"({letter}) {reason}" for reason, letter in letters.items()), _total(rows)]


def _order(column: tuple[str, ...]) -> tuple[int, str, str]:
    grain, deploy, changed = column
    return GRAINS.index(grain), changed, deploy


def _parameters(cells: list[dict[str, Any]]) -> str:
    claimed, gone = (sum(cell[key] for cell in cells) for key in ("claimed", "gone"))
    return f"{claimed:,} = gone" if claimed == gone else f"{claimed:,}, BUT {gone:,} GONE"


def _total(rows: list[Row]) -> str:
    held = [row.cell for row in rows if not row.cell["refused"]]
    worst = max((cell["difference"] for cell in held), default=0.0)
    counts = {key: sum(cell[key] for cell in held) for key in ("patterns", "generated", "saved")}
    return (
        f"{len(held)} cells held, {len(rows) - len(held)} refused; {counts['patterns']} checkpoints, "
        f"{counts['generated']} of them generated with a cache, {counts['saved']} saved again; "
        f"largest difference of two logits {worst:.1e}"
    )
