"""The report's tables: every group, every pattern, every model timed."""

from __future__ import annotations

from evop.auditing.audit_file import AuditFile, GroupRow
from evop.report.groups_plot import group_rows
from evop.report.page_parts import Cell, Row, Sheet
from evop.timing.speed_file import SpeedFile


def group_sheet(audit: AuditFile, split: str, kind: str) -> Sheet:
    """A row a group, three columns a pattern."""
    found = {(row.pattern, row.group): row for row in audit.groups if (row.split, row.kind) == (split, kind)}
    text = kind == "text"
    heads = ["group", "documents", *(["tokens", "dense perplexity"] if text else ["items", "dense right %"])]
    for pattern in audit.patterns:
        heads += [
            f"{pattern.name}: {what}" for what in (("perplexity", "excess") if text else ("right %", "lost, points"))
        ]
        heads += [f"{pattern.name}: 95%" if text else f"{pattern.name}: p (Holm)"]
    rows = []
    for first in group_rows(audit, split, kind):
        cells = [Cell(first.label), _count(first.documents), _count(first.tokens if text else first.passages)]
        cells.append(_number(first.dense_perplexity, 1) if text else _number(100 * (first.dense_accuracy or 0), 1))
        for pattern in audit.patterns:
            cells += _text(found[pattern.name, first.group]) if text else _item(found[pattern.name, first.group])
        rows.append(Row(tuple(cells), first.domain))
    return Sheet(
        f"{split}: all {'groups' if text else 'groups of questions'} as numbers", tuple(heads), tuple(rows), True
    )


def summary_sheet(audit: AuditFile) -> Sheet:
    """A row a pattern, split and kind."""
    heads = (
        "pattern",
        "split",
        "of",
        "removed",
        "worst",
        "95%",
        "p90",
        "mean",
        "gap to the best",
    )
    reached = {pattern.name: pattern.reached for pattern in audit.patterns}
    rows = []
    for row in audit.summary:
        gap = "best" if row.pattern == row.against else f"{row.gap:.3f}{' (a tie)' if row.tie else ''}"
        cells = (
            Cell(row.pattern),
            Cell(row.split),
            Cell("text" if row.kind == "text" else "items"),
            _number(100 * reached[row.pattern].block_params, 1, "%"),
            _number(row.worst, 3),
            Cell(_interval(row.worst_low, row.worst_high)),
            _number(row.p90, 3),
            _number(row.mean, 3),
            Cell(gap, row.gap),
        )
        rows.append(Row(cells))
    return Sheet("all patterns, side by side", heads, tuple(rows))


def harness_sheet(audit: AuditFile) -> Sheet:
    """A row a pattern, task, metric and group."""
    heads = ("group", "pattern", "metric", "n", "dense", "pruned", "change", "95%", "p (Holm)")
    rows = []
    for row in audit.harness:
        sure = Cell("–") if row.p_holm is None else Cell(f"{row.p_holm:.3f}{' worse' if row.worse else ''}", row.p_holm)
        cells = (
            Cell(row.label),
            Cell(row.pattern),
            Cell(row.metric),
            _count(row.n),
            _number(row.dense, 3),
            _number(row.pruned, 3),
            _number(row.pruned - row.dense, 3),
            Cell(_interval(row.low, row.high)),
            sure,
        )
        rows.append(Row(cells))
    return Sheet("tasks of lm_eval", heads, tuple(rows))


def speed_sheet(speed: SpeedFile, flops: dict[str, float]) -> Sheet:
    """A row a model: size, speed, and the time of the request beside what its FLOPs alone would give.

    Args:
        speed: the dense model first.
        flops: name -> fraction of the dense model's FLOPs a token that is left.
    """
    heads = (
        "model", "parameters, M", "bytes, MB", "prefill tokens/s", "decode tokens/s", "first token, ms", "KV cache, MB",
        "time, measured", "time, by FLOPs",
    )  # fmt: skip
    rows = []
    for model in speed.models:
        ideal = flops.get(model.name)
        cells = (
            Cell(model.name),
            _number(model.parameters / 1e6, 2),
            Cell("–") if model.bytes is None else _number(model.bytes / 1e6, 1),
            _number(model.prefill_tokens_per_second, 0),
            _number(model.decode_tokens_per_second, 1),
            _number(1e3 * model.first_token_seconds, 1),
            _number(model.kv_bytes / 1e6, 2),
            Cell(f"{model.share[1]:.2f} [{model.share[0]:.2f}, {model.share[2]:.2f}]", model.share[1]),
            Cell("–") if ideal is None else _number(ideal, 2),
        )
        rows.append(Row(cells))
    return Sheet("size and speed", heads, tuple(rows))


def _text(row: GroupRow) -> list[Cell]:
    return [_number(row.perplexity, 1), _number(row.excess, 3), Cell(_interval(row.low, row.high))]


def _item(row: GroupRow) -> list[Cell]:
    sure = Cell("–") if row.p_holm is None else Cell(f"{row.p_holm:.3f}{' worse' if row.worse else ''}", row.p_holm)
    return [_number(100 * (row.accuracy or 0), 1), _number(100 * row.excess, 1), sure]


def _count(value: int) -> Cell:
    return Cell(f"{value:,}", value)


def _number(value: float | None, digits: int, unit: str = "") -> Cell:
    return Cell("–") if value is None else Cell(f"{value:,.{digits}f}{unit}", round(value, 6))


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"
