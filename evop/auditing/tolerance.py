"""What an audit can find, beside what its reader tolerates: before it, from a calibration set alone, and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calibration import CalibrationSet
from calibration.passage import Passage
from evop.auditing.audit_file import AuditFile
from evop.auditing.split_losses import FEWEST_ITEMS
from evop.losses.power import CHURN, detectable_items, detectable_mean
from evop.losses.tolerance import Tolerances

DOCUMENT_SPREAD = 0.12
"""Standard deviation of a document's excess about its group's, in nats per token; it stands for a model that is not
there yet. On the embedded model with a quarter removed, ``benchmarks/coverage.py`` measures 0.065 to 0.08 under
searched patterns and up to 0.14 under random ones: between the two, so that more is asked for rather than less."""


@dataclass(frozen=True)
class Found:
    """The loss that an audit finds with a chance of 80% in half of its groups.

    Attributes:
        kind: ``text``, in nats per token, or ``item``, as a share of the questions.
        loss: the loss; infinite where the loss of everything is not found.
        says: a sentence that says so.
    """

    kind: str
    loss: float
    says: str


def foreseen(calibration: CalibrationSet) -> list[Found]:
    """Compute what an audit of a calibration set will find, of text and of questions."""
    audited = calibration.split("audit")
    found = []
    documents = _per_group([passage for passage in audited if passage.kind == "text"])
    if len(documents) > 1:
        n, groups = _middle(documents), len(documents)
        loss = float("inf")
        if n > 1:
            loss = detectable_mean(DOCUMENT_SPREAD / np.sqrt(n) * np.sqrt(1 + 1 / (groups - 1)), n - 1, groups)
        found.append(Found("text", loss, _of_text(groups, n, loss)))
    questions = _per_group([passage for passage in audited if passage.kind == "item"], documents=False)
    questions = [count for count in questions if count >= FEWEST_ITEMS] or questions
    if questions:
        n, groups = _middle(questions), len(questions)
        lost = detectable_items(n, groups)
        says = (
            f"audit, questions: {groups} groups of {n} in the median; a group that loses {_points(lost)} is found with "
            f"a chance of 80% (exact McNemar, corrected for the groups; {CHURN:.0%} of the answers taken to change by "
            "chance)"
        )
        found.append(Found("item", float("inf") if lost is None else lost, says))
    return found


def measured(audit: AuditFile) -> Iterator[Found]:
    """List what an audit did find of text and of questions, under the pattern where it finds least."""
    for kind in audit.kinds("audit"):
        rows = [row for row in audit.summary if (row.split, row.kind) == ("audit", kind)]
        losses = [float("inf") if row.detectable is None else row.detectable for row in rows]
        row, loss = rows[int(np.argmax(losses))], max(losses)
        if kind == "text":
            says = f"audit, text: a group that loses {_nats(loss)} more than the others is found with a chance of 80%"
        else:
            says = f"audit, questions: a group that loses {_points(row.detectable)} is found with a chance of 80%"
        yield Found(kind, loss, says)


def warnings(found: Sequence[Found], tolerances: Tolerances | None) -> list[str]:
    """Warn where a larger loss than is tolerated in some domain could go unseen.

    Args:
        found: what is found.
        tolerances: what is tolerated; None where nothing was said.
    """
    tolerated = {"text": None, "item": None} if tolerances is None else tolerances.least
    more = {"text": "documents and --audit-passages", "item": "--audit-items"}
    lines = []
    for each in found:
        least = tolerated[each.kind]
        if least is not None and each.loss > least:
            words = f"{least:g} nats per token" if each.kind == "text" else _points(least)
            lines.append(
                f"warning: {each.says}, which is more than the {words} that you tolerate: a loss between the two may "
                f"go unseen; calibrate with more {more[each.kind]}, or fewer clusters"
            )
    return lines


def _of_text(groups: int, n: int, loss: float) -> str:
    return (
        f"audit, text: {groups} groups of {n} documents in the median; a group that loses {_nats(loss)} more than the "
        f"others is found with a chance of 80% (documents taken to vary by {DOCUMENT_SPREAD} nats, as on the embedded "
        "model with a quarter removed)"
    )


def _per_group(passages: Sequence[Passage], documents: bool = True) -> list[int]:
    """Count the documents, or the passages, of each group."""
    members: dict[str, list[str]] = {}
    for passage in passages:
        members.setdefault(passage.group, []).append(passage.document)
    return [len(set(some) if documents else some) for some in members.values()]


def _middle(counts: Sequence[int]) -> int:
    return sorted(counts)[(len(counts) - 1) // 2]


def _nats(loss: float) -> str:
    return "no amount" if np.isinf(loss) else f"{loss:.3f} nats per token"


def _points(share: float | None) -> str:
    return "no number of points" if share is None else f"{100 * share:.0f} points"
