"""The tables of an audit: its groups, its patterns, and tasks of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import GroupRow, HarnessRow, RandomRow, SummaryRow
from evop.auditing.harness_rows import ALL
from evop.removal.size import bytes_words, size_words
from evop.removal.space import COST_CONTEXT
from evop.removal.zeros_file import Zeros
from evop.report.naming import row_name
from evop.report.sheet import Cell, Row, Sheet, chance, count, estimate, number, spread

KINDS = {"text": "text", "item": "questions"}
"""Kind of groups -> what a person calls it."""
WORSE = "worse: for more than chance, by the exact one-sided McNemar test, corrected for the number of groups (Holm)"


def group_sheet(
    audit: AuditFile, split: str, kind: str, shown: Mapping[str, str] | None = None, random: str | None = None
) -> Sheet:
    """Lay out one line per group of a split, who pays most under the first pattern on top.

    Args:
        audit: the audit.
        split: ``audit`` or ``unseen``.
        kind: ``text``, or ``item`` for questions.
        shown: pattern -> what its columns are called; None for all patterns under their own names.
        random: the name of the random patterns that are shown beside them; None for all, or for none beside ``shown``.
    """
    called = _called(audit) if shown is None else shown
    each = [{row.group: row for row in audit.groups_of(name, split, kind)} for name in called]
    names = audit.randoms if shown is None else [random]
    randoms = [row for row in audit.random if (row.split, row.kind) == (split, kind) and row.name in names]
    if kind == "text":
        own, under = _text_cells, _text_columns
        heads = ["group", "documents", "tokens", "dense perplexity"]
        heads += [f"{name}: {what}" for name in called.values() for what in ("perplexity", "excess [95%]")]
        title = f"{split}, text: excess loss over the dense model, nats per token"
        legend = f"[low, high]: {audit.interval}; [–] where a group is one document"
    else:
        own, under = _question_cells, _question_columns
        heads = ["group", "questions", "dense right, % [95%]"]
        what_changed = ("right, %", "lost, points [95%]", "p (Holm)")
        heads += [f"{name}: {what}" for name in called.values() for what in what_changed]
        title = f"{split}, questions: answered rightly ({audit.metric})"
        legend = f"[low, high]: Wilson's of what is right, Student's t of what was lost; {WORSE}"
    heads += [f"{row.name}: {'excess' if kind == 'text' else 'lost, points'}, median [range]" for row in randoms]
    scale, form = SCALES[kind]
    lines = []
    for group, first in each[0].items():
        cells = [Cell(first.label), *own(first), *(cell for rows in each for cell in under(rows[group]))]
        cells += [spread(row.groups[group], scale, form) for row in randoms]
        lines.append(Row(tuple(cells), first.domain))
    return Sheet(title, tuple(heads), tuple(lines), legend, folded=True)


def _called(audit: AuditFile) -> dict[str, str]:
    """Row -> what a table calls it."""
    return {pattern.name: row_name(pattern) for pattern in audit.patterns}


def _text_cells(row: GroupRow) -> tuple[Cell, ...]:
    return count(row.documents), count(row.tokens), number(row.dense_perplexity, 1)


def _question_cells(row: GroupRow) -> tuple[Cell, ...]:
    low, high = _percent(row.dense_accuracy_low), _percent(row.dense_accuracy_high)
    return count(row.passages), estimate(100 * (row.dense_accuracy or 0), low, high, ".1f")


def _text_columns(row: GroupRow) -> tuple[Cell, ...]:
    return number(row.perplexity, 1), estimate(row.excess, row.low, row.high)


def _question_columns(row: GroupRow) -> tuple[Cell, ...]:
    lost = estimate(100 * row.excess, _percent(row.low), _percent(row.high), "+.1f")
    return number(_percent(row.accuracy), 1), lost, chance(row.p_holm, row.worse)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def summary_sheet(audit: AuditFile, kind: str) -> Sheet:
    """Lay out one line per split and pattern: the worst group, the 90th percentile and the mean over the groups.

    Random patterns of a size are one line, with their median and range.

    Args:
        audit: the audit.
        kind: ``text``, in nats per token, or ``item``, in percentage points of the questions.
    """
    heads = ["split", "pattern", "worst group [95%]", "one of", "90th percentile", "mean"]
    heads += ["behind the best pattern [95%]", "found with 80%"]
    title = "all patterns, text: excess loss, nats per token"
    legend = "one of: so many groups hold the worst with a chance of 95%; a tie: the interval of the distance holds 0; "
    found = (
        "found with 80%: how much more than the others a group has to lose for that to be found with a chance of 80%"
    )
    if kind == "item":
        heads.append("groups worse")
        title = "all patterns, questions: right answers lost, percentage points"
        found = "found with 80%: the loss that is called worse with a chance of 80%"
    called = _called(audit)
    rows = [_summary_line(row, called[row.pattern]) for row in audit.summary if row.kind == kind]
    for row in (row for row in audit.random if row.kind == kind):
        at = max(i for i, line in enumerate(rows) if line.cells[0].text == row.split) + 1
        rows.insert(at, _random_line(row))
    return Sheet(title, tuple(heads), tuple(rows), legend + found, names=2)


SCALES = {"text": (1.0, ".3f"), "item": (100.0, "+.1f")}
"""Kind of groups -> what a loss is multiplied by to be shown, and how it is written."""


def _summary_line(row: SummaryRow, name: str) -> Row:
    scale, form = SCALES[row.kind]
    digits = 3 if row.kind == "text" else 1
    cells = [Cell(row.split), Cell(name), _scaled(scale, form, row.worst, row.worst_low, row.worst_high)]
    cells += [count(len(row.worst_among)), number(scale * row.p90, digits), number(scale * row.mean, digits)]
    cells += [_gap(row, scale, form), number(None if row.detectable is None else scale * row.detectable, digits)]
    cells += [] if row.worse is None else [Cell(f"{row.worse} of {row.groups}", row.worse)]
    return Row(tuple(cells))


def _random_line(row: RandomRow) -> Row:
    scale, form = SCALES[row.kind]
    cells = [Cell(row.split), Cell(f"{row.name} (median of {row.patterns}) [range]"), spread(row.worst, scale, form)]
    cells += [Cell("–"), Cell("–"), spread(row.mean, scale, form), Cell("–"), Cell("–")]
    cells += [] if row.worse is None else [spread(row.worse, 1.0, ".0f")]
    return Row(tuple(cells))


def _scaled(scale: float, form: str, value: float, low: float | None, high: float | None) -> Cell:
    low, high = (None if end is None else scale * end for end in (low, high))
    return estimate(scale * value, low, high, form)


def _gap(row: SummaryRow, scale: float, form: str) -> Cell:
    if row.pattern == row.against:
        return Cell("best", 0.0)
    cell = _scaled(scale, form.lstrip("+"), row.gap, row.gap_low, row.gap_high)
    return Cell(f"{cell.text}{' a tie' if row.tie else ''}", cell.value)


def removed_sheet(audit: AuditFile) -> Sheet:
    """Lay out one line per pattern: what share of the model is gone."""
    heads = ["pattern", "asked: reached, of the blocks", "block parameters", "all parameters"]
    heads += ["FLOPs per token", "KV cache"]
    zeros = any(pattern.zeros is not None for pattern in audit.patterns)
    timed = any(pattern.reached.latency is not None for pattern in audit.patterns)
    rows = []
    for pattern in audit.patterns:
        gone = pattern.reached
        shares = [gone.block_params, gone.params, gone.flops, gone.kv, *([gone.latency] if timed else [])]
        names = Cell(row_name(pattern)), Cell(size_words(pattern) if pattern.left else "not known what left")
        cells = [*names, *(number(_percent(share), 1, "%") for share in shares)]
        rows.append(Row((*cells, *(_zero_cells(pattern.zeros) if zeros else ()))))
    legend = f"FLOPs and KV cache at {COST_CONTEXT:,} tokens of context"
    heads += ["predicted time"] if timed else []
    heads += ["weights that are zero", "matrices as stored", "if packed"] if zeros else []
    legend += "; zeros are stored and multiplied by a stock runtime: nothing is smaller or faster" if zeros else ""
    fits = {pattern.fit.words for pattern in audit.patterns if pattern.fit is not None}
    legend += "".join(f"; bytes are of {words}" for words in sorted(fits))
    return Sheet("what is removed", tuple(heads), tuple(rows), legend, names=2)


def _zero_cells(zeros: Zeros | None) -> tuple[Cell, ...]:
    if zeros is None:
        return Cell("–"), Cell("–"), Cell("–")
    share = number(_percent(zeros.zeros / zeros.weights), 1, "%")
    return share, Cell(bytes_words(zeros.stored_bytes)), Cell(bytes_words(zeros.packed_bytes))


def harness_sheet(audit: AuditFile) -> Sheet:
    """Lay out one line per task, metric, group and pattern; the whole task, then who lost most under the first."""
    heads = ("group", "pattern", "metric", "samples", "dense", "pruned", "change [95%]", "p (Holm)")
    called, first = _called(audit), audit.harness[0].pattern if audit.harness else ""
    tasks = list(dict.fromkeys((row.task, row.metric) for row in audit.harness))
    lost = {(row.task, row.metric, row.group): row.pruned - row.dense for row in audit.harness if row.pattern == first}

    def place(row: HarnessRow) -> tuple[int, bool, float, str]:
        key = row.task, row.metric
        return tasks.index(key), row.group != ALL, lost.get((*key, row.group), 0.0), row.group

    rows = [
        Row(
            (
                Cell(row.label),
                Cell(called[row.pattern]),
                Cell(row.metric),
                count(row.n),
                number(row.dense, 3),
                number(row.pruned, 3),
                estimate(row.pruned - row.dense, row.low, row.high, "+.3f"),
                chance(row.p_holm, row.worse),
            )
        )
        for row in sorted(audit.harness, key=place)
    ]
    legend = f"change: pruned minus dense, Student's t over samples; {WORSE}"
    return Sheet("tasks of lm_eval", heads, tuple(rows), legend, names=3)
