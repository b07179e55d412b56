"""The rows of audits that a comparison looks into: which of them are of a search's answer, and recovered from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, RandomRow, SummaryRow
from evop.files.names import AUDIT, CONFIG, POINTS
from evop.recovery.recovered import parts_digest
from evop.removal.pattern_file import PatternFile

ORDER = ("none", "refitted", "healed")
"""What was recovered stands in this order."""


@dataclass(frozen=True)
class AuditedRow:
    """One audit, and one pattern that it measured."""

    place: Path
    file: AuditFile
    pattern: AuditedPattern

    def row(self, split: str, kind: str) -> SummaryRow | None:
        """Find the pattern's summary over one kind of groups of a split; None where the audit has none."""
        return self.file.summary_of(self.pattern.name, split, kind)

    def random(self, kind: str) -> RandomRow | None:
        """Find what random patterns of equal size lose on one kind of groups of ``audit``."""
        return self.file.random_of(self.pattern.random, "audit", kind)


def audits_beside(runs: Iterable[Path]) -> list[Path]:
    """List audits in the folder a run lies in, and in the one above where that is a recipe's ``runs``.

    The budgets of a search by tolerances lie in ``points`` of its folder, which is the run.
    """
    around = {run.resolve().parent for run in runs}
    around = {place.parent.parent if place.name == POINTS else place for place in around}
    around |= {place.parent for place in around if place.name == "runs"}
    places = sorted(path.parent for place in around for path in place.glob(f"*/{AUDIT}"))
    # A checkpoint has a copy of an audit, which may be an older one.
    return [place for place in places if not (place / CONFIG).is_file()]


def audited_rows(places: Iterable[Path]) -> list[AuditedRow]:
    """Read all rows of some audits, in the order given."""
    files = [(place, AuditFile.find(place)) for place in places]
    return [AuditedRow(place, file, pattern) for place, file in files for pattern in file.patterns]


def rows_of(digest: str, rows: Sequence[AuditedRow]) -> list[AuditedRow]:
    """List the rows of a search's answer as it is, masks before checkpoints.

    Args:
        digest: sha256 of its pattern file; a healed checkpoint has the same file, and is none of them.
        rows: the rows of all audits.
    """
    own = [row for row in rows if row.pattern.sha256 == digest and row.pattern.recovery != "healed"]
    return sorted(own, key=lambda row: row.pattern.checkpoint is not None)


def recovered_from(pattern: PatternFile, digest: str, rows: Sequence[AuditedRow]) -> list[AuditedRow]:
    """List the rows of what was refitted or healed from a search's answer, each once, refitted ones first.

    Args:
        pattern: the answer.
        digest: sha256 of its file.
        rows: the rows of all audits.
    """
    parts = parts_digest(pattern)
    found: dict[tuple[str | None, ...], AuditedRow] = {}
    for row in rows:
        each = row.pattern
        same = (row.file.model.fingerprint, each.parts) == (pattern.model.fingerprint, parts)
        is_answer = each.sha256 == digest and each.recovery != "healed"
        if same and each.recovery != "none" and not is_answer:
            found.setdefault((row.file.calibration, each.recovery, each.sha256, each.checkpoint), row)
    return sorted(found.values(), key=lambda row: (ORDER.index(row.pattern.recovery), row.pattern.healed_tokens or 0))
