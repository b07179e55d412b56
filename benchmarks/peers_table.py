"""The rows and the tables of ``peers.py``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from peers_judge import Judge, summary

from evop.model.checkpoint import Checkpoint
from evop.model.loaded import choose_device
from evop.removal.cut import Cut, places_of
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.timing.speed import measure_speeds
from evop.timing.stand_in import stand_in
from evop.timing.workload import Workload
from patterns import PatternSpace

SPREAD = ("worst", "mean", "foreign")
"""Figures that stand in a table as median and range over the seeds."""
SECONDS = 120.0
"""No further round of timing begins after so many seconds."""


@dataclass(frozen=True)
class Answer:
    """A pattern of whole blocks that somebody found.

    Attributes:
        who: the contender.
        budget: what limited the search, or whose code it was.
        seed: of the calibration set and of the search.
        removed: names of the parts that are gone.
        patterns: number of patterns that were measured.
        tokens: tokens scored.
        cpu_seconds: seconds of processor time.
    """

    who: str
    budget: str
    seed: int
    removed: tuple[str, ...]
    patterns: int
    tokens: int
    cpu_seconds: float

    @property
    def blocks(self) -> list[str]:
        """The blocks that are gone, as the judge calls them."""
        return [f"{place[1]}.{place[0]}" for name in self.removed for place in places_of(name)]


def stored_answers(content: Mapping[str, Any]) -> list[Answer]:
    """Read what the rivals' own code found."""
    keys = ("seed", "patterns", "tokens", "cpu_seconds")
    return [
        Answer(
            who=f"{stored['method']} (its own code)",
            budget="own code",
            removed=tuple(f"layers.{block}" for block in stored["removed"]),
            **{key: stored[key] for key in keys},
        )
        for stored in content["answers"]
    ]


def frame_of(checkpoint: Checkpoint, judge: Judge, answers: Sequence[Answer], speeds: Path) -> pd.DataFrame:
    """One row an answer: what it removes, what it loses, what it cost."""
    space = pattern_space(checkpoint, "subblock", "any")
    shares = _shares(checkpoint, space, answers, speeds)
    rows = []
    for answer in answers:
        blocks = answer.blocks
        reached = space.reached(space.pattern(f"layers.{block}" for block in blocks))
        rows.append(
            {
                "contender": answer.who,
                "budget": answer.budget,
                "seed": answer.seed,
                "dropped": f"{sum('attn' in block for block in blocks)}+{sum('mlp' in block for block in blocks)}",
                **summary(judge.excess(blocks)),
                "params": reached.block_params,
                "flops": reached.flops,
                "kv": reached.kv,
                "time": shares[_shape(blocks)],
                "patterns": answer.patterns,
                "tokens": answer.tokens,
                "cpu_seconds": answer.cpu_seconds,
                "removed": " ".join(sorted(blocks, key=lambda block: int(block.partition(".")[0]))),
            }
        )
    return pd.DataFrame(rows)


def gaps_of(judge: Judge, ours: Iterable[Answer], theirs: Sequence[Answer]) -> pd.DataFrame:
    """Each of evop's answers minus each rival's on the same sample: one row a pair."""
    rows = []
    for mine in ours:
        for other in (answer for answer in theirs if answer.seed == mine.seed):
            row: dict[str, Any] = {
                "contender": mine.who,
                "budget": mine.budget,
                "rival": other.who.partition(" (")[0],
                "seed": mine.seed,
            }
            for what, (value, low, high) in judge.gap(mine.blocks, other.blocks).items():
                row |= {what: value, f"{what}_low": low, f"{what}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def table(frame: pd.DataFrame) -> str:
    """Medians and ranges over the seeds as Markdown."""
    lines = [
        "| contender | budget | seeds | attn + MLP dropped | worst of 8 | mean of 8 | worst of 2 foreign | "
        "parameters | FLOPs | KV cache | time | patterns | tokens | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (who, budget), mine in frame.groupby(["contender", "budget"], sort=False):
        shares = [f"{mine[key].median():.1%}" for key in ("params", "flops", "kv", "time")]
        cost = [f"{mine['patterns'].median():,.0f}", f"{mine['tokens'].median() / 1e6:.2f} M"]
        cells = [
            *(str(who), str(budget), f"{len(mine)}", ", ".join(mine["dropped"].unique())),
            *(_spread(mine[key]) for key in SPREAD),
            *(*shares, *cost, f"{mine['cpu_seconds'].median():,.0f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def gap_table(frame: pd.DataFrame) -> str:
    """One row a contender and rival; every seed with its interval, an interval without 0 in bold."""
    lines = ["| contender | budget | rival | seed | worst of 8 | mean of 8 |", "|---|---|---|---|---|---|"]
    for row in frame.sort_values(["rival", "contender", "budget", "seed"], kind="stable").to_dict("records"):
        cells = []
        for what in ("worst", "mean"):
            low, high = row[f"{what}_low"], row[f"{what}_high"]
            text = f"{row[what]:+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        lines.append(
            f"| {row['contender']} | {row['budget']} | {row['rival']} | {row['seed']} | {cells[0]} | {cells[1]} |"
        )
    return "\n".join(lines) + "\n"


def _spread(values: pd.Series) -> str:
    if len(values) < 2:
        return f"{values.iloc[0]:.3f}"
    return f"{values.median():.3f} [{values.min():.3f}, {values.max():.3f}]"


def _shape(blocks: Iterable[str]) -> str:
    """Name what decides how fast a pattern is: how many layers lack attention, the MLP, both."""
    gone = set(blocks)
    attn, mlp = ({block.partition(".")[0] for block in gone if block.endswith(kind)} for kind in ("attn", "mlp"))
    return f"{len(attn - mlp)} {len(mlp - attn)} {len(attn & mlp)}"


def _shares(checkpoint: Checkpoint, space: PatternSpace, answers: Iterable[Answer], file: Path) -> dict[str, float]:
    """Time a model of every shape in turns with the dense one: the share of a request's time that is gone."""
    known: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
    patterns = {
        _shape(answer.blocks): space.pattern(f"layers.{block}" for block in answer.blocks) for answer in answers
    }
    if not patterns.keys() <= known.keys():
        where, cuts = choose_device("cpu"), {shape: Ranking().cut_of(space, p) for shape, p in patterns.items()}
        models = {name: stand_in(checkpoint, cut, where, "float32") for name, cut in {"dense": Cut(), **cuts}.items()}
        speeds = measure_speeds(models, Workload.of(checkpoint.resolved), SECONDS)
        known = {shape: 1 - speeds[shape].share[1] for shape in patterns}
        file.write_text(json.dumps(known, indent=1))
    return known
