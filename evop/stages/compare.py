"""``evop compare``: search runs side by side, with what audits say of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from calibration.json_text import json_value
from evop.errors import EvopError
from evop.files.json_file import paths_of, sha256
from evop.files.names import PATTERN, POINT, POINTS, SEARCH, TRIALS
from evop.losses.loss import Loss
from evop.removal.pattern_file import PatternFile
from evop.removal.size import budget_name, size_words
from evop.report.naming import row_name
from evop.searching.frontier_file import SHIPPED
from evop.searching.point_file import PointFile
from evop.stages.compare_audits import AuditedRow, audited_rows, audits_beside, recovered_from, rows_of
from evop.stages.one_error import one_error
from evop.stages.search import SearchResult

SETTINGS = (
    *(
        "grain",
        "width_step",
        "deploy",
        "objective",
        "tail",
        "loss",
        "scale",
        "importance",
        "importance_over",
        "compensate",
    ),
    *("tolerate", "elitism", "patience", "max_tokens", "dtype", "cost"),
)
"""What else tells searches apart, as the header of their log names it; None where this search has no such thing."""

DEPTHS = ("*", "*/*", *(f"{depth}/{POINTS}/*" for depth in ("*", "*/*")))
"""Where runs lie in a folder of some, such as a recipe's ``out``; of a search by tolerances, the budgets it tried."""


@one_error
def compare(paths: str | Path | Sequence[str | Path], audits: str | Path | Sequence[str | Path] = ()) -> pd.DataFrame:
    """Lay search runs side by side: what was asked, reached, spent, claimed, and measured by an audit.

    Args:
        paths: folders of search runs, or folders that hold some, such as a recipe's ``out``.
        audits: audits to look into; those beside the runs are found without.

    Returns:
        One row per finished search, and under it one for everything that an audit says was refitted or healed from
        its pattern (``recovery``; its ``run`` is the row's name in the audit). Searches over one model and calibration
        set stand together, by budget, the worst audited group's excess ascending (those without an audit behind them,
        by what is claimed). Fractions of 1: ``budget`` is all that was asked, ``remove`` its first fraction,
        ``asked`` what was reached of each. ``search`` and ``select`` are the objective as claimed, ``pooled`` that on
        both; ``claimed_worst`` is the worst group's excess on both. Where something was tolerated, ``used`` is the
        largest loss on ``select`` as a share of that, ``used_high`` the upper end of its interval, ``verdict`` what
        that says, and ``judged`` what the pattern was judged as.
        ``audit_worst`` is that on ``audit``, with its interval, by the row ``audit_row`` of an audit, over groups of
        one ``audit_kind`` for all runs of a model and set: ``item``, shares of the questions lost, where all were
        searched by right answers, else ``text``, nats per token; ``random_worst`` is the median over random patterns
        of equal size, ``other_worst`` the worst group of the other kind.

    Raises:
        EvopError: no finished search there, or a given audit that measured none of them.
    """
    places = {place: sha256(place / PATTERN) for place in runs_of(paths)}
    named, beside = audited_rows(paths_of(audits)), audited_rows(audits_beside(places))
    for place in paths_of(audits):
        if not any(place == row.place for digest in places.values() for row in rows_of(digest, named)):
            raise EvopError(f"--audit {place} measured none of these runs' patterns; leave it out, or audit them")
    searched: list[tuple[dict[str, Any], list[AuditedRow]]] = []
    for place, digest in places.items():
        row, pattern = _row(place), PatternFile.find(place)
        searched.append((row, rows_of(digest, named) or rows_of(digest, beside)))
        searched += [(_recovered(row, each), [each]) for each in recovered_from(pattern, digest, [*named, *beside])]
    frame = _by_kind(searched)
    frame["_sort"] = frame["audit_worst"].fillna(frame["claimed_worst"])
    frame["_bare"] = frame["audit_worst"].isna()
    # What was recovered follows what it was recovered from.
    frame["_run"] = frame["run"]
    helpers = ["_bare", "_sort", "_run"]
    frame[helpers] = frame.groupby("folder", sort=False)[helpers].transform("first")
    keys = ["model_fingerprint", "calibration", "cost", "remove", "budget", *helpers, "folder"]
    return frame.sort_values(keys, kind="stable", ignore_index=True).drop(columns=helpers)


def runs_of(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the finished searches in folders, each once; in a folder of runs, unfinished ones are left out.

    Raises:
        EvopError: a folder without one, or a search that has not finished.
    """
    runs: dict[Path, Path] = {}
    for place in paths_of(paths):
        if (place / SEARCH).is_file():
            inner = [place]
        elif (place / TRIALS).is_file():
            raise EvopError(f"{place}: the search has not finished; run its command again")
        else:
            inner = sorted(path.parent for depth in DEPTHS for path in place.glob(f"{depth}/{SEARCH}"))
        if not inner:
            raise EvopError(f"{place}: no finished search there; expected a search run, or a folder of them")
        runs |= {run.resolve(): run for run in inner if run.resolve() not in runs}
    return list(runs.values())


def _by_kind(rows: list[tuple[dict[str, Any], list[AuditedRow]]]) -> pd.DataFrame:
    """Put beside each run what its audits measured, over the kind of groups that all runs of a model and set have."""
    on_text = {_over(row) for row, _ in rows if Loss.named(row["loss"]).text}
    kinds = [("text", "item") if _over(row) in on_text else ("item", "text") for row, _ in rows]
    pairs = zip(rows, kinds, strict=True)
    frame = pd.DataFrame([row | _audited(audits, row["calibration"], *kind) for (row, audits), kind in pairs])
    return frame.astype(dict.fromkeys(AUDITED_NUMBERS, float))


def _over(row: dict[str, Any]) -> tuple[str, str]:
    """Name the model and the calibration set of a run, by their fingerprints."""
    return row["model_fingerprint"], row["calibration"]


def _row(place: Path) -> dict[str, Any]:
    result = SearchResult.read(place)
    pattern, account = result.pattern, result.account
    origin, claim = pattern.origin, pattern.claim
    if origin is None or claim is None:
        raise EvopError(f"{place / PATTERN} does not say how it was found; expected a search run's own")
    header = _header(place)
    settings = {key: header.get(key) for key in SETTINGS}
    settings["tolerate"] = ", ".join(origin.tolerate or ()) or None
    return {
        "run": place.resolve().name,
        "folder": str(place),
        "model": account.model.name,
        "model_fingerprint": account.model.fingerprint,
        "calibration": account.calibration,
        "strategy": origin.strategy,
        **settings,
        "remove": next(iter(pattern.asked.values()), float("nan")),
        "budget": budget_name(pattern.remove, None if pattern.fit is None else pattern.fit.bytes),
        "asked": size_words(pattern),
        **pattern.reached.model_dump(exclude={"of_blocks"}),
        "seed": origin.seed,
        "evaluations": account.evaluations,
        "tokens": account.tokens["total"],
        "stopped": account.stopped,
        "completed": account.completed,
        "search": claim.search,
        "select": claim.select,
        "pooled": claim.pooled,
        "claimed_worst": claim.excess[claim.worst_group],
        "claimed_worst_group": account.groups[claim.worst_group],
        "recovery": "none" if pattern.refit is None else "refitted",
        "healed_tokens": None,
        **_borne(place),
    }


def _borne(place: Path) -> dict[str, Any]:
    """Say how a search's answer stands to what is tolerated, as what it was judged as last; None where nothing is."""
    if not (place / POINT).is_file():
        return dict.fromkeys(("judged", "used", "used_high", "verdict"))
    judgements = PointFile.read(place / POINT).judgements
    judge = next(judge for judge in reversed(SHIPPED) if judge in judgements)
    judged = judgements[judge]
    return {"judged": judge, "used": judged.measured, "used_high": judged.high, "verdict": judged.verdict}


def _recovered(row: dict[str, Any], audited: AuditedRow) -> dict[str, Any]:
    """Fill the row of what was recovered from a search's answer: what the search claims is not of it."""
    claims: dict[str, Any] = dict.fromkeys(("search", "select", "pooled", "claimed_worst"), float("nan"))
    claims |= dict.fromkeys(("judged", "used", "used_high", "verdict"))
    pattern = audited.pattern
    own = {"run": row_name(pattern), "recovery": pattern.recovery, "healed_tokens": pattern.healed_tokens}
    return row | claims | {"claimed_worst_group": ""} | own


def _audited(audits: list[AuditedRow], calibration: str, kind: str, other: str) -> dict[str, Any]:
    """Fill the columns of an audit; an audit over the search's own calibration set goes first.

    Args:
        audits: the audits of the pattern.
        calibration: fingerprint of the set that the pattern was searched on.
        kind: the kind of groups; an audit without such groups is read by the other kind.
        other: the other kind.
    """
    chosen = min(audits, key=lambda audit: audit.file.calibration != calibration, default=None)
    if chosen and not chosen.row("audit", kind):
        kind, other = other, kind
    audit, unseen, beside = (
        (chosen.row("audit", kind), chosen.row("unseen", kind), chosen.row("audit", other)) if chosen else (None,) * 3
    )
    random = chosen.random(kind) if chosen else None
    return {
        "audit": str(chosen.place) if chosen else None,
        "audit_row": chosen.pattern.name if chosen else None,
        "audit_calibration": chosen.file.calibration if chosen else None,
        "audit_kind": kind,
        "audit_worst": audit.worst if audit else None,
        "audit_low": audit.worst_low if audit else None,
        "audit_high": audit.worst_high if audit else None,
        "audit_worst_group": audit.worst_group if audit else None,
        "audit_mean": audit.mean if audit else None,
        "unseen_worst": unseen.worst if unseen else None,
        "unseen_mean": unseen.mean if unseen else None,
        "random_worst": random.worst.median if random else None,
        "other_worst": beside.worst if beside else None,
        "other_worst_group": beside.worst_group if beside else None,
    }


AUDITED_NUMBERS = (
    *("audit_worst", "audit_low", "audit_high", "audit_mean"),
    *("unseen_worst", "unseen_mean", "random_worst", "other_worst"),
)
"""The columns of losses that an audit fills; NaN in the frame where it has none."""


def _header(place: Path) -> dict[str, Any]:
    """Read the first line of a search's log; the rest may be long."""
    path = place / TRIALS
    try:
        if not path.is_file():
            raise ValueError("it is missing, a folder or a pipe")
        with path.open("rb") as file:
            return dict(json_value(file.readline()))
    except (OSError, ValueError, TypeError) as error:
        raise EvopError(f"{path} cannot be read ({error}); a search run's log belongs beside its pattern") from error
