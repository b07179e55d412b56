"""``frontier.json``: how much can go within what is tolerated, and every budget that was tried on the way."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from evop.files.json_file import JsonFile, JsonPart
from evop.files.names import FRONTIER, HEALED, POINTS
from evop.removal.pattern_facts import ModelName
from evop.searching.point_file import JudgedAs, Judgement, PointFile

WORDS = {
    "params": "the decoder blocks' parameters",
    "flops": "the FLOPs per token",
    "kv": "the KV cache",
    "latency": "the predicted time of a request",
}
"""What a budget counts, in words."""
REACHED = {"params": "block_params", "flops": "flops", "kv": "kv", "latency": "latency"}
"""What a budget counts -> the fraction that says how much of it went."""
SHIPPED: dict[JudgedAs, str] = {"masked": "as it is", "refit": "refitted", "healed": "healed"}
"""What a pattern was judged as, in words."""


class Point(JsonPart):
    """One budget that was tried: its folder, what its answer removes, and how its groups stand."""

    name: str
    """The folder of its search, in ``points``: a pattern like any other."""
    remove: float
    removed: float
    """The fraction that the answer removes of what the budget counts."""
    judgements: dict[JudgedAs, Judgement]
    evaluations: int
    tokens: int
    pattern_sha256: str
    healed_tokens: int | None = None
    """Tokens that its healing learned from; None where its answer was not healed."""

    @classmethod
    def of(cls, name: str, file: PointFile) -> Point:
        """Take what a frontier says of a search."""
        return cls(
            name=name,
            remove=file.remove,
            removed=getattr(file.reached, REACHED[file.cost]),
            judgements=file.judgements,
            evaluations=file.evaluations,
            tokens=file.tokens,
            pattern_sha256=file.pattern_sha256,
            healed_tokens=file.healed_tokens,
        )


class FrontierFile(JsonFile):
    """What came of a search with tolerances.

    Attributes:
        version: version of evop that wrote the file.
        model: the model.
        calibration: fingerprint of the calibration set.
        cost: what the budgets count.
        tolerate: what may be lost, in the words of ``--tolerate``.
        judge: what patterns were judged as.
        answer: name of the point whose pattern is the answer; None where nothing can go.
        edges: what patterns were judged as -> the name of the largest point that is within; None for none.
        points: the budgets that were tried, ascending.
        unmet: budgets that the model cannot meet.
        labels: group key -> what a person reads.
    """

    SCHEMA: ClassVar[str] = "evop.frontier/3"
    version: str
    model: ModelName
    calibration: str
    cost: str
    tolerate: list[str]
    judge: JudgedAs
    answer: str | None
    edges: dict[JudgedAs, str | None]
    points: list[Point]
    unmet: list[float]
    labels: dict[str, str]

    @model_validator(mode="after")
    def _points_of_its_own(self) -> Self:
        if self.cost not in WORDS or self.judge not in self.edges:
            raise ValueError(f"found cost {self.cost[:60]!r} and no edge of judge {self.judge}")
        named = [*((judge, name) for judge, name in self.edges.items() if name is not None), *self._answered]
        for judge, name in named:
            point = self.point(name)
            if point is None or judge not in point.judgements:
                raise ValueError(f"names {name[:60]!r}, which is no point that was judged {judge}")
        if strange := next((point.name for point in self.points if not point.judgements.keys() & self.edges), None):
            raise ValueError(f"point {strange[:60]!r} was judged as nothing that has an edge")
        return self

    @property
    def _answered(self) -> list[tuple[JudgedAs, str]]:
        """What the answer was judged as, and its name; nothing where nothing can go."""
        return [] if self.answer is None else [(self.judge, self.answer)]

    @classmethod
    def find(cls, folder: Path) -> FrontierFile | None:
        """Read the frontier of a run; None where the folder is none of a search by tolerances."""
        place = folder / FRONTIER
        return cls.read(place) if place.is_file() else None

    def point(self, name: str | None) -> Point | None:
        """Find a point by its name; None for no name."""
        return next((point for point in self.points if point.name == name), None)

    def judged(self, point: Point) -> JudgedAs:
        """Say what a point was judged as: as what is shipped, or else as what comes next to it."""
        return next(judge for judge in self.edges if judge in point.judgements)

    @property
    def tokens(self) -> int:
        """Tokens that all searches scored, each as if it ran alone."""
        return sum(point.tokens for point in self.points)

    @property
    def evaluations(self) -> int:
        """Number of patterns that all searches measured."""
        return sum(point.evaluations for point in self.points)

    @property
    def statement(self) -> list[str]:
        """Say what can go, what stands in the way of more, and what it took; one sentence each."""
        return [*self._edge(self.judge), *self._healed(), *self._beside(), self._took()]

    def _edge(self, judge: JudgedAs) -> list[str]:
        """Say how much can go of a pattern that is shipped so, and why no more."""
        best, shipped = self.point(self.edges[judge]), SHIPPED[judge]
        if best is None:
            sentences = [f"Nothing can go ({shipped}) so that no group surely loses more than is tolerated."]
        else:
            sentences = [
                f"{best.removed:.1%} of {WORDS[self.cost]} can go ({shipped}): "
                f"{best.judgements[judge].words(self.labels)}."
            ]
        more = self._next(best, judge)
        if more is not None:
            sentences.append(f"At {more.removed:.1%}, {more.judgements[judge].words(self.labels)}.")
        return sentences

    def _beside(self) -> list[str]:
        """Say how much could go otherwise: without a refit, or without healing."""
        sentences = []
        for judge, name in self.edges.items():
            if judge != self.judge:
                best = self.point(name)
                much = "nothing could" if best is None else f"{best.removed:.1%} can"
                sentences.append(f"Judged {SHIPPED[judge]}, {much} go.")
        return sentences

    def _healed(self) -> list[str]:
        """Say where the healed model lies, and what healing took."""
        if self.judge != "healed":
            return []
        healed = [point for point in self.points if point.healed_tokens is not None]
        answers = "1 answer was" if len(healed) == 1 else f"{len(healed)} answers were"
        tokens = sum(point.healed_tokens or 0 for point in healed)
        took = f"{answers} healed, from {tokens:,} tokens in all"
        if self.answer is None:
            return [f"{took}; no weights were kept."]
        kept = "" if len(healed) == 1 else "; its weights alone were kept"
        return [f"The healed model lies in {POINTS}/{self.answer}/{HEALED} of the run; {took}{kept}."]

    def _took(self) -> str:
        tried = ", ".join(f"{point.remove:.0%}" for point in self.points)
        return (
            f"Budgets tried: {tried}; {self.evaluations:,} evaluations, {self.tokens:,} tokens, each search counted as "
            "if it ran alone."
        )

    def _next(self, best: Point | None, judge: JudgedAs) -> Point | None:
        """Find the point that removes least beyond another of those that were judged so and are too much."""
        least = 0.0 if best is None else best.removed
        above = [point for point in self.points if point.removed > least and judge in point.judgements]
        too_much = [point for point in above if point.judgements[judge].verdict != "within"]
        return min(too_much, key=lambda point: point.removed, default=None)


def point_folder(run: Path, name: str) -> Path:
    """Name the folder of a point of a run."""
    return run / POINTS / name


def healed_answer(run: Path) -> Path | None:
    """Name the healed checkpoint that a search by tolerances has judged its answer as; None for any other search.

    Raises:
        EvopError: the frontier cannot be read.
    """
    frontier = FrontierFile.find(run)
    if frontier is None or frontier.answer is None or frontier.judge != "healed":
        return None
    return point_folder(run, frontier.answer) / HEALED
