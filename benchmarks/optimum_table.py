"""The tables of ``optimum.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Row = dict[str, Any]
"""One search: its curve [patterns, tokens, best value], and what its answer is worth."""


def write_tables(space: str, rows: Sequence[Row], marks: Sequence[int], folder: Path) -> str:
    """Write ``optimum-<space>.md`` and ``.csv``; returns the Markdown."""
    small = "optimum" in rows[0]
    flat = [_reached(row) if small else _at_marks(row, marks) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(flat).to_csv(folder / f"optimum-{space}.csv", index=False, float_format="%.5f")
    text = _small_table(rows, flat) if small else _large_table(rows, flat, marks)
    text += "\n" + _luck_table(rows)
    (folder / f"optimum-{space}.md").write_text(text)
    return f"\n{space}\n\n{text}"


def _best(row: Row, within: Callable[[float, float], bool]) -> float:
    return min((value for patterns, tokens, value in row["curve"] if within(patterns, tokens)), default=np.inf)


def _arrived(row: Row, value: float) -> tuple[float, float, float]:
    """The first step of a curve that is as good as a value; infinitely late where there is none."""
    return next((step for step in row["curve"] if step[2] <= value + 1e-12), (np.inf, np.inf, value))


def _plain(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "curve"}


def _reached(row: Row) -> Row:
    quarter, hit = row["size"] / 4, _arrived(row, row["optimum"])
    return {
        **_plain(row),
        "gap": _best(row, lambda patterns, tokens: patterns <= quarter) - row["optimum"],
        "gap_tokens": _best(row, lambda patterns, tokens: tokens <= quarter) - row["optimum"],
        "reached_patterns": hit[0],
        "reached_tokens": hit[1],
    }


def _at_marks(row: Row, marks: Sequence[int]) -> Row:
    def at(mark: int) -> float:
        return _best(row, lambda patterns, tokens: tokens <= mark + 1e-9)

    return {**_plain(row), **{f"at_{mark}": at(mark) for mark in marks}}


def _small_table(rows: Sequence[Row], flat: Sequence[Row]) -> str:
    size = rows[0]["size"]
    quarter = size // 4
    lines = [
        f"{size} patterns, a quarter is {quarter}; {len({row['sample'] for row in rows})} samples.",
        "",
        f"| strategy | optimum within {quarter} patterns | within {quarter} patterns' tokens "
        f"| gap at {quarter} patterns | patterns until reached | tokens until reached |",
        "|---|---|---|---|---|---|",
    ]
    for name, mine in _by_strategy(flat):
        gaps = [f"{sum(row[key] <= 1e-12 for row in mine)} of {len(mine)}" for key in ("gap", "gap_tokens")]
        until = [_spread([row[key] for row in mine], ".0f") for key in ("reached_patterns", "reached_tokens")]
        lines.append(f"| {name} | {' | '.join(gaps)} | {_spread([r['gap'] for r in mine])} | {' | '.join(until)} |")
    return "\n".join(lines) + "\n"


def _large_table(rows: Sequence[Row], flat: Sequence[Row], marks: Sequence[int]) -> str:
    ends = {row["sample"]: row["claimed"] for row in rows if row["strategy"] == "genetic"}
    heads = [f"at {mark} patterns' tokens" for mark in marks]
    heads += ["patterns until as good as genetic ends", "tokens until then"] if ends else []
    lines = [
        f"Samples: {len({row['sample'] for row in rows})}. The best found, nats per token.",
        "",
        f"| strategy | {' | '.join(heads)} | patterns in all |",
        "|---" * (len(heads) + 2) + "|",
    ]
    for name, mine in _by_strategy(flat):
        cells = [_spread([row[f"at_{mark}"] for row in mine]) for mark in marks]
        if ends:
            arrived = [_arrived(row, ends[row["sample"]]) for row in rows if row["strategy"] == name]
            cells += [_spread([hit[i] for hit in arrived], ".0f") for i in (0, 1)]
        lines.append(f"| {name} | {' | '.join(cells)} | {np.median([row['patterns'] for row in mine]):.0f} |")
    return "\n".join(lines) + "\n"


def _luck_table(rows: Sequence[Row]) -> str:
    """Medians over samples."""
    what = ("claimed", "audit", "claimed_selected", "select_selected", "audit_selected", "random")
    lines = [
        "| strategy | best: on search | best: on audit | chosen on select: on search | on select | on audit "
        "| a random pattern on audit |",
        "|---" * (len(what) + 1) + "|",
    ]
    for name, mine in _by_strategy(rows):
        lines.append(f"| {name} | {' | '.join(f'{np.median([row[key] for row in mine]):.3f}' for key in what)} |")
    return "\n".join(lines) + "\n"


def _by_strategy(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    return [(name, [r for r in rows if r["strategy"] == name]) for name in dict.fromkeys(r["strategy"] for r in rows)]


def _spread(values: Sequence[float], form: str = ".4f") -> str:
    """Median [smallest, largest]; ``never`` for what did not happen."""

    def one(value: float) -> str:
        return format(value, form) if np.isfinite(value) else "never"

    ordered = sorted(values)
    median = ordered[len(ordered) // 2] if np.inf in ordered else float(np.median(ordered))
    return f"{one(median)} [{one(ordered[0])}, {one(ordered[-1])}]"
