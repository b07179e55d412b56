"""The comparison of search runs as a person reads it: one table for each model and calibration set."""

from __future__ import annotations

import math

import pandas as pd
from rich.table import Table

from evop.console.plain import PlainConsole
from evop.console.tables import new_table
from evop.recipes.cell import cell_name
from evop.stages.compare import SETTINGS

LEGEND = (
    "removed: of block parameters / all parameters / FLOPs per token / KV-cache bytes per token (at 2,048 tokens){}; "
    "search, select: the objective as the search claims it, and the worst group of both"
)
TIMED_LEGEND = " / predicted time"
AUDIT_LEGEND = (
    "; audit, unseen: {}, on {} and clusters never searched, [95% interval]; "
    "random: audit's worst group under random patterns of equal size, in the median"
)
WHAT = {
    "text": ("excess over the dense model, nats per token", "text"),
    "item": ("right answers lost, share of the questions", "questions"),
}
OTHER = {"text": "questions worst", "item": "text worst"}
"""The column of the worst group of the other kind."""
OTHER_LEGEND = "; {}: audit's worst group of {}, {}"
BORNE_LEGEND = (
    "; with --tolerate, search and select count in what is tolerated: 1 is all of it; of tolerated: how much of it the "
    "worst group uses on select, the upper end of the 95% interval; within: all of the interval is, beyond: none of "
    "it, open: neither"
)
COMPLETED_LEGEND = "; *: nothing measured met the budget yet, the answer was completed from the ranking"
NEUTRAL = {"scale": "none", "importance": "none", "importance_over": "mean", "compensate": "none"}
"""What goes without saying, where all searches have it."""


def print_comparison(console: PlainConsole, frame: pd.DataFrame) -> None:
    """Print search runs side by side, one table per model and calibration set.

    Args:
        console: the console.
        frame: the frame that ``compare`` made.
    """
    kinds = frame.groupby(["model_fingerprint", "calibration"], sort=False)
    if len(kinds) > 1:
        _say(console, f"{len(kinds)} tables: numbers over different models or calibration sets cannot be compared")
    for (fingerprint, calibration), runs in kinds:
        shared = [f"{_word(key)} {runs[key].iloc[0]}" for key in (*SETTINGS, "seed") if _is_shared(runs, key)]
        _say(
            console,
            f"\n{runs['model'].iloc[0]} ({str(fingerprint)[:12]}), calibration set "
            f"{str(calibration)[:12]}: {runs['folder'].nunique()} searches; {', '.join(shared)}",
        )
        console.print(_table(runs))
        for _, row in runs[runs["audit_calibration"].notna() & (runs["audit_calibration"] != calibration)].iterrows():
            _say(console, f"{row['run']} was audited on another calibration set ({row['audit_calibration'][:12]})")


def _table(runs: pd.DataFrame) -> Table:
    table = new_table("")
    table.collapse_padding = True
    named = not all(_cell_of(row) for _, row in runs[~_is_after(runs)].iterrows())
    settings = [key for key in SETTINGS if _varies(runs, key)]
    audited = bool(runs["audit_worst"].notna().any())
    table.caption_justify = "left"
    timed = "latency" in runs and bool(runs["latency"].notna().any())
    kind = _kind(runs)
    other = bool(runs["other_worst"].notna().any())
    legend = LEGEND.format(timed * TIMED_LEGEND) + audited * AUDIT_LEGEND.format(*WHAT[kind])
    borne = bool(runs["verdict"].notna().any())
    legend += borne * BORNE_LEGEND + other * OTHER_LEGEND.format(
        OTHER[kind], *reversed(WHAT["item" if kind == "text" else "text"])
    )
    table.caption = legend + bool(runs["completed"].any()) * COMPLETED_LEGEND
    if named:
        table.add_column("run", overflow="fold", min_width=12)
    table.add_column("strategy", no_wrap=True)
    for key in settings:
        table.add_column(_word(key), overflow="fold")
    seeds = ["seed"] if _varies(runs, "seed") else []
    for name in ("remove", "removed %", *seeds, "evals", "tokens", "search", "select"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("worst group", overflow="fold", min_width=8)
    for name in ("audit worst", "audit mean", "unseen worst", "random") if audited else ():
        table.add_column(name, justify="right", no_wrap=name == "audit worst", min_width=6)
    if borne:
        table.add_column("of tolerated", justify="right", min_width=8)
    if other:
        table.add_column(OTHER[kind], justify="right", min_width=6)
    budget = None
    for (_, row), is_after in zip(runs.iterrows(), _is_after(runs), strict=True):
        if budget not in (None, (row["cost"], row["budget"])):
            table.add_section()
        budget = row["cost"], row["budget"]
        cells = [str(row["run"])] if named else []
        own = str(row["run"]) if is_after else _cell_of(row)
        cells += [row["strategy"] if named else own, *(_setting(row[key]) for key in settings)]
        cells += [row["budget"], _reached(row), *(str(row[key]) for key in seeds), *_claimed(row)]
        cells += [*(_audited(row) if audited else ()), *([_borne(row)] if borne else [])]
        cells += [_loss(row["other_worst"])] if other else []
        table.add_row(*cells)
    return table


def _is_after(runs: pd.DataFrame) -> pd.Series:
    """Tell which rows are of what was recovered from a search's answer: those after the first of a folder."""
    return runs.duplicated("folder")


def _kind(runs: pd.DataFrame) -> str:
    """Find the kind of groups that the audits were read by, the same for all audited runs of a table."""
    audited = runs[runs["audit_worst"].notna()]
    return str((runs if audited.empty else audited)["audit_kind"].iloc[0])


def _cell_of(row: pd.Series) -> str:
    """Name the strategy as a recipe's cell does, and what it came to where that differs; empty for another name."""
    end = cell_name("", row["budget"], row["seed"])
    cell = row["run"].removesuffix(end)
    if cell == row["run"]:
        return ""
    return cell if cell == row["strategy"] else f"{cell}: {row['strategy']}"


def _reached(row: pd.Series) -> str:
    keys = [key for key in ("block_params", "params", "flops", "kv", "latency") if pd.notna(row.get(key))]
    return "/".join(f"{100 * row[key]:.1f}" for key in keys)


def _claimed(row: pd.Series) -> list[str]:
    tokens = f"{row['tokens'] / 1e6:.1f} M" if row["tokens"] >= 1e6 else f"{row['tokens'] / 1e3:.0f} k"
    evaluations = f"{row['evaluations']:,}{'*' if row['completed'] else ''}"
    claimed = [_loss(row[split]) for split in ("search", "select")]
    # Of a group's label, its key alone: domain/cluster.
    worst = row["claimed_worst_group"].split(" ")[0]
    return [evaluations, tokens, *claimed, worst]


def _audited(row: pd.Series) -> list[str]:
    interval = "[–]" if math.isnan(row["audit_low"]) else f"[{row['audit_low']:.3f}, {row['audit_high']:.3f}]"
    worst = "–" if math.isnan(row["audit_worst"]) else f"{row['audit_worst']:.3f} {interval}"
    return [worst, *(_loss(row[key]) for key in ("audit_mean", "unseen_worst", "random_worst"))]


def _borne(row: pd.Series) -> str:
    """Say how much of what is tolerated is used on ``select`` at most, and what that says: ``93%: within``."""
    if pd.isna(row["verdict"]):
        return "–"
    most = row["used"] if pd.isna(row["used_high"]) else row["used_high"]
    return f"{most:.0%}: {row['verdict']}"


def _loss(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _varies(runs: pd.DataFrame, key: str) -> bool:
    return runs[key].nunique(dropna=False) > 1


def _is_shared(runs: pd.DataFrame, key: str) -> bool:
    """Tell whether all searches have one value, and it is worth a word."""
    value = runs[key].iloc[0]
    if key == "tail" and set(runs["objective"]) != {"cvar"}:  # no other objective has one
        return False
    return not _varies(runs, key) and bool(pd.notna(value)) and value != NEUTRAL.get(key)


def _setting(value: object) -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _word(key: str) -> str:
    return key.replace("_", " ")


def _say(console: PlainConsole, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
