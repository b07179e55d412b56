"""``point.json``: one budget of a search with tolerances, and how the groups of its answer stand to them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from calibration.passage import domain_of
from evop.files.json_file import JsonFile, JsonPart, sha256
from evop.files.names import PATTERN
from evop.losses.bearing import Bearing, Verdict
from evop.losses.tolerance import amount
from evop.recipes.search import SearchRecipe
from evop.removal.pattern_facts import ReachedFractions
from evop.removal.pattern_file import PatternFile
from evop.searching.search_file import SearchFile
from evop.version import __version__

JudgedAs = Literal["masked", "refit", "healed"]


class GroupBorne(JsonPart):
    """One group: what it lost on ``select`` and what it may; nats per token, or share of its questions.

    ``low`` and ``high`` are the ends of the 95% interval of this group's loss alone; None for a single document.
    """

    group: str
    kind: Literal["text", "item"]
    tolerance: float
    loss: float
    low: float | None
    high: float | None


class DomainBorne(JsonPart):
    """One domain: the group of it that uses most of what it may lose, in shares of that.

    ``low`` and ``high`` are the ends of the 95% interval of the largest true share in the domain, for all its groups
    together; None where every group is a single document.
    """

    domain: str
    kind: Literal["text", "item"]
    tolerance: float
    """What its groups may lose: nats per token, or share of the questions."""
    measured: float
    largest: float
    """The estimate of the largest true one, without what chance adds to a largest."""
    low: float | None
    high: float | None


class Judgement(JsonPart):
    """All groups of one pattern beside what they may lose.

    The largest of loss over tolerance is 1 where a group loses just what it may.
    """

    groups: list[GroupBorne]
    domains: list[DomainBorne]
    measured: float
    """The largest as measured."""
    largest: float
    """The estimate of the largest true one, without what chance adds to a largest."""
    low: float | None
    """Ends of its 95% interval, for all groups together; None where every group is a single document."""
    high: float | None
    worst_group: str
    """The group in which it was measured."""
    verdict: Verdict
    """``within``: the upper end is at most 1; ``beyond``: the lower end is above; else ``open``."""

    @model_validator(mode="after")
    def _worst_of_these(self) -> Self:
        if self.worst_group not in {row.group for row in self.groups}:
            raise ValueError(f"worst_group is {self.worst_group[:60]!r}, expected one of groups")
        return self

    @classmethod
    def of(cls, bearing: Bearing) -> Judgement:
        """Write down a bearing."""
        rows = zip(bearing.groups, bearing.kinds, bearing.tolerance, bearing.loss, *bearing.interval, strict=True)
        largest = bearing.largest
        return cls(
            groups=[
                GroupBorne(
                    group=group,
                    kind=kind,
                    tolerance=float(tolerance),
                    loss=rounded(loss) or 0.0,
                    low=rounded(low),
                    high=rounded(high),
                )
                for group, kind, tolerance, loss, low, high in rows
            ],
            domains=_domains(bearing),
            measured=rounded(largest.measured) or 0.0,
            largest=rounded(largest.value) or 0.0,
            low=rounded(largest.low),
            high=rounded(largest.high),
            worst_group=bearing.groups[bearing.worst],
            verdict=bearing.verdict,
        )

    @property
    def worst(self) -> GroupBorne:
        """The group that uses most of what it may lose."""
        return next(row for row in self.groups if row.group == self.worst_group)

    def words(self, labels: dict[str, str]) -> str:
        """Say in words how the worst group stands: ``law/2 loses 0.081 of the 0.1 it may``."""
        row, high = self.worst, "" if self.high is None else f", up to {self.high:.0%} of it in some group"
        does = "loses" if row.loss > row.tolerance or self.verdict == "within" else "may lose more: it lost"
        return (
            f"{labels.get(row.group, row.group)} {does} {amount(max(row.loss, 0.0), row.kind)} of the "
            f"{amount(row.tolerance, row.kind)} that is tolerated{high}"
        )


class PointFile(JsonFile):
    """One budget of a search with tolerances.

    Attributes:
        version: version of evop that wrote the file.
        remove: the budget.
        cost: what it counts.
        reached: the fractions that the answer removes.
        tolerate: what may be lost, in the words of ``--tolerate``.
        judgements: how the best finalist stands, by what it was judged as: ``masked``, ``refit`` or ``healed``.
        evaluations: number of distinct patterns that were measured.
        tokens: tokens that the search scored, as if it ran alone.
        stopped: why it stopped.
        limits: how long it might go on, and what decides its answer beside its log.
        pattern_sha256: sha256 of the answer's pattern file.
        healed_tokens: tokens that its healing learned from; None where it was not healed.
    """

    SCHEMA: ClassVar[str] = "evop.point/3"
    version: str
    remove: float
    cost: str
    reached: ReachedFractions
    tolerate: list[str]
    judgements: dict[JudgedAs, Judgement]
    evaluations: int
    tokens: int
    stopped: str
    limits: dict[str, float | int | str | None]
    pattern_sha256: str
    healed_tokens: int | None = None

    @property
    def unhealed(self) -> PointFile:
        """The account without what a healing came to."""
        judgements = {judge: judged for judge, judged in self.judgements.items() if judge != "healed"}
        return self.model_copy(update={"judgements": judgements, "healed_tokens": None})

    @classmethod
    def of(
        cls,
        recipe: SearchRecipe,
        account: SearchFile,
        pattern: PatternFile,
        folder: Path,
        judgements: dict[JudgedAs, Judgement],
    ) -> PointFile:
        """Describe a search that has written its answer.

        Args:
            recipe: what was asked.
            account: the account of the search.
            pattern: its answer.
            folder: the folder of the search.
            judgements: how the answer stands, by what it was judged as.
        """
        return cls(
            version=__version__,
            remove=pattern.asked[pattern.cost],
            cost=pattern.cost,
            reached=pattern.reached,
            tolerate=list(recipe.tolerate),
            judgements=judgements,
            evaluations=account.evaluations,
            tokens=account.tokens["total"],
            stopped=account.stopped,
            limits=limits_of(recipe),
            pattern_sha256=sha256(folder / PATTERN),
        )


def _domains(bearing: Bearing) -> list[DomainBorne]:
    """Write down the domains of a bearing; all groups of a domain and a kind have one tolerance."""
    rows = zip(bearing.groups, bearing.kinds, bearing.tolerance, strict=True)
    tolerance = {(domain_of(group), kind): float(each) for group, kind, each in rows}
    return [
        DomainBorne(
            domain=domain,
            kind="text" if kind == "text" else "item",
            tolerance=tolerance[domain, kind],
            measured=rounded(worst.measured) or 0.0,
            largest=rounded(worst.value) or 0.0,
            low=rounded(worst.low),
            high=rounded(worst.high),
        )
        for (domain, kind), worst in bearing.domains.items()
    ]


def limits_of(recipe: SearchRecipe) -> dict[str, float | int | str | None]:
    """List what decides the answer of a search beside its log."""
    return {name: getattr(recipe, name) for name in ("evaluations", "tokens", "minutes", "judge")}


def rounded(value: float) -> float | None:
    """Round to what files hold: six digits after the point; None for no number."""
    return None if np.isnan(value) else round(float(value), 6)
