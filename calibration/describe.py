"""What is in a calibration set, group by group, as plain rows for a table."""

from typing import TypedDict

from calibration.calibration_set import CalibrationSet


class GroupCounts(TypedDict):
    """One group: passages by split, estimated tokens of ``train`` and of all splits, and whether it is held out."""

    domain: str
    cluster: int
    name: str
    search: int
    select: int
    audit: int
    unseen: int
    train: int
    train_tokens: int
    tokens: int
    held_out: bool


def describe(calibration_set: CalibrationSet) -> list[GroupCounts]:
    """Make one row per group, domain by domain.

    What must be known besides is in ``calibration_set.manifest.notes``.
    """
    return [
        GroupCounts(
            domain=entry.domain,
            cluster=entry.cluster,
            name=entry.name,
            search=entry.passages["search"],
            select=entry.passages["select"],
            audit=entry.passages["audit"],
            unseen=entry.passages["unseen"],
            train=entry.passages["train"],
            train_tokens=entry.tokens["train"],
            tokens=sum(entry.tokens.values()),
            held_out=entry.unseen,
        )
        for entry in calibration_set.manifest.groups
    ]
