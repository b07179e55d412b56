"""The points of a search by tolerances as lines over what is removed: of the worst group, and of every domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evop.searching.frontier_file import SHIPPED, FrontierFile, Point
from evop.searching.point_file import DomainBorne, JudgedAs


@dataclass(frozen=True)
class FrontierLine:
    """The points of one line: what each removes, and how its groups stand to what they may lose.

    Attributes:
        name: what a reader calls it.
        judge: what its patterns were judged as.
        points: those that were judged so, by what they remove.
        answer: name of the largest that is within what is tolerated; None for none.
    """

    name: str
    judge: JudgedAs
    points: tuple[Point, ...]
    answer: str | None

    @classmethod
    def of(cls, frontier: FrontierFile, name: str = "") -> list[FrontierLine]:
        """Take the lines of a run: one for everything that its patterns were judged as, what is shipped first."""
        order = sorted(frontier.edges, key=lambda judge: judge != frontier.judge)
        names = {judge: f"{name}, {SHIPPED[judge]}".removeprefix(", ") for judge in order}
        lines = [cls(names[judge], judge, judged_so(frontier.points, judge), frontier.edges[judge]) for judge in order]
        return [line for line in lines if line.points]

    @property
    def start(self) -> float:
        """Where the line begins: at nothing, which costs nothing; NaN where only points at the edge were judged so."""
        return float("nan") if self.judge == "healed" else 0.0

    @property
    def removed(self) -> np.ndarray:
        """What each point removes, the start first: float64 [1 + points]."""
        return np.array([self.start, *(point.removed for point in self.points)])

    @property
    def worst(self) -> np.ndarray:
        """The largest of loss over tolerance, and its interval's ends: float64 [3, 1 + points]."""
        judged = [point.judgements[self.judge] for point in self.points]
        return _columns(self.start, [(each.measured, each.low, each.high) for each in judged])

    def domain(self, domain: str, kind: str) -> np.ndarray | None:
        """Take one domain's loss and its interval's ends, in its unit: float64 [3, 1 + points]; None if it has none."""
        found = [self._of(point, domain, kind) for point in self.points]
        if (domain, kind) not in self.domains:
            return None
        ends = [(np.nan,) * 3 if each is None else (each.measured, each.low, each.high) for each in found]
        return _columns(self.start, ends) * self.domains[domain, kind] * scale_of(kind)

    def has_interval(self, point: Point, domain: str, kind: str) -> bool:
        """Tell whether a domain of a point has an interval; of single documents it has none."""
        row = self._of(point, domain, kind)
        return row is not None and row.high is not None

    def _of(self, point: Point, domain: str, kind: str) -> DomainBorne | None:
        rows = point.judgements[self.judge].domains
        return next((each for each in rows if (each.domain, each.kind) == (domain, kind)), None)

    @property
    def domains(self) -> dict[tuple[str, str], float]:
        """Domain and kind of its groups -> what they may lose."""
        rows = [each for point in self.points for each in point.judgements[self.judge].domains]
        return {(each.domain, each.kind): each.tolerance for each in rows}


def judged_so(points: Sequence[Point], judge: JudgedAs) -> tuple[Point, ...]:
    """List the points that were judged so, by what they remove."""
    return tuple(sorted((point for point in points if judge in point.judgements), key=lambda point: point.removed))


def _columns(start: float, ends: Sequence[tuple[float, float | None, float | None]]) -> np.ndarray:
    """Lay measured values and the ends of their intervals side by side, the start of the line first."""
    rows = [
        (start, start, start),
        *((value, *(value if end is None else end for end in more)) for value, *more in ends),
    ]
    return np.array(rows).T


def scale_of(kind: str) -> float:
    """Say by what a loss is multiplied to be drawn: a share of the questions is drawn in points."""
    return 1.0 if kind == "text" else 100.0
