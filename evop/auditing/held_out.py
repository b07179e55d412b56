"""The passages of an audit's splits; those of domains that a search saw nothing of are a split of their own."""

from __future__ import annotations

from collections.abc import Sequence

from calibration import CalibrationSet, Passage
from evop.auditing.audit_file import HELD_OUT
from evop.auditing.candidates import Candidate

AUDITED = ("audit", "unseen", HELD_OUT)


def audited_passages(calibration: CalibrationSet, candidates: Sequence[Candidate], split: str) -> list[Passage]:
    """List the passages of one of ``AUDITED``.

    A domain that the search of one pattern saw nothing of stands apart for all of them, so that they are measured on
    the same groups.

    Args:
        calibration: the set that is audited.
        candidates: the patterns under audit; each knows the domains that its search left out.
        split: ``audit``, ``unseen`` or ``held-out``.
    """
    origins = [candidate.file.origin for candidate in candidates if candidate.file.origin]
    apart = {domain for origin in origins for domain in origin.held_out}
    stored = [name for name in AUDITED if name != HELD_OUT] if split == HELD_OUT else [split]
    passages = [passage for name in stored for passage in calibration.split(name)]
    return [passage for passage in passages if (passage.domain in apart) == (split == HELD_OUT)]
