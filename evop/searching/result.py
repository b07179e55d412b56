"""The result of a search: what it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from evop.errors import EvopError
from evop.evaluator import Profile
from evop.files.json_file import sha256
from evop.files.names import SEARCH, TRIALS
from evop.removal.pattern_file import PatternFile
from evop.searching.frontier_file import FrontierFile, point_folder
from evop.searching.search_file import SearchFile
from evop.timing.answer_speed import answer_speed
from evop.timing.speed_file import SpeedFile


@dataclass(frozen=True)
class SearchResult:
    """What a search left behind.

    Attributes:
        folder: the folder of the search.
        pattern: the answer.
        account: why the search stopped, what it cost, who its finalists were.
        speed: speed of the answer, predicted beside measured; None where the budget counts no time.
        frontier: how much can go within what is tolerated; None where it was said how much is to go.
        interrupted: whether Ctrl-C was pressed, be it after the last trial.
        profile: where the time of this process and its workers went, added up.
    """

    folder: Path
    pattern: PatternFile
    account: SearchFile
    speed: SpeedFile | None = None
    frontier: FrontierFile | None = None
    interrupted: bool = False
    profile: Profile = field(default_factory=Profile)

    @property
    def statement(self) -> list[str]:
        """How much can go within what is tolerated, in sentences; none where that was not asked."""
        return [] if self.frontier is None else self.frontier.statement

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """Read a finished search from its folder; of one by tolerances, the search of its answer.

        Raises:
            EvopError: the search has not finished, or went on after it had answered.
        """
        frontier = FrontierFile.find(folder)
        if frontier is not None and frontier.answer is not None:
            inner = cls.read(point_folder(folder, frontier.answer))
            return replace(inner, folder=folder, frontier=frontier)
        pattern, account = PatternFile.find(folder), SearchFile.read(folder / SEARCH)
        if sha256(folder / TRIALS) != account.trials_sha256:
            raise EvopError(
                f"{folder}: its trials are not those that search.json answers for; the search went on after it had "
                "answered: run its command again"
            )
        if pattern.origin is None or pattern.origin.trials_sha256 != account.trials_sha256:
            raise EvopError(f"{folder}: pattern.json is not the answer of the search beside it; run its command again")
        if pattern.claim is not None and pattern.claim.excess.keys() - account.groups.keys():
            raise EvopError(f"{folder}: pattern.json claims of groups that search.json lacks; run its command again")
        return cls(folder, pattern, account, None if pattern.latency is None else answer_speed(folder))
