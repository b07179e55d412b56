"""The part of the page on what was refitted and healed: who comes back, and who does not."""

from __future__ import annotations

from collections.abc import Mapping

from evop.auditing.audit_file import AuditFile
from evop.recovery.heal_file import HealFile
from evop.report.audit_sheets import KINDS
from evop.report.page_parts import Picture, Section
from evop.report.recovered import recovered_rows, recovered_words
from evop.report.recovery_plot import healing_figure, slope_figure

SLOPES = (
    "A line is a group, through rows that take out the same. Solid: it lost less in the last than in the first; "
    "dashed: it lost more. Thick: the worst group of the last."
)
CURVES = (
    "A line is a group, measured on the split select while the model learned; domains have a colour and a mark each. "
    "Thick: the worst group of the weights that were kept. What may be relied on is measured on audit."
)


def recovery_section(
    audit: AuditFile, heals: Mapping[str, HealFile], labels: Mapping[str, str], tolerate: float | None
) -> list[Section]:
    """Make the section; none where nothing was recovered.

    Args:
        audit: the audit.
        heals: healed row -> the account of its healing.
        labels: group key -> what a person reads.
        tolerate: the excess of text that its user tolerates; else each healing's own.
    """
    pictures: list[Picture] = []
    words: list[str] = []
    for rows in recovered_rows(audit):
        words += recovered_words(audit, rows, tolerate)
        panels = [(split, kind) for split in audit.splits for kind in audit.kinds(split)]
        for split, kind in panels:
            figure = slope_figure(audit, rows, split, kind)
            pictures.append(Picture.of(figure, "" if pictures else SLOPES, f"{rows[0].name}: {split}, {KINDS[kind]}"))
    for number, (name, heal) in enumerate(heals.items()):
        figure = healing_figure(heal, labels, _tolerated(heal) if tolerate is None else tolerate)
        title = f"{name}: every group while it healed ({heal.tokens:,} tokens, stopped by: {heal.stopped})"
        pictures.append(Picture.of(figure, "" if number else CURVES, title))
    if not pictures:
        return []
    return [Section("recovery", "recovery", "Who comes back, who does not", tuple(words), tuple(pictures))]


def _tolerated(heal: HealFile) -> float | None:
    """Find the excess that a healing was to reach; None where it had no such end."""
    asked = heal.recipe.get("tolerate")
    return float(asked) if isinstance(asked, int | float) else None
