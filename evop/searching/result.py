"""The result of a search: what it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evop.errors import EvopError
from evop.evaluator import Profile
from evop.files.json_file import sha256
from evop.files.names import SEARCH, TRIALS
from evop.removal.pattern_file import PatternFile
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
        interrupted: whether Ctrl-C was pressed, be it after the last trial.
        profile: where the time of this process and its workers went, added up.
    """

    folder: Path
    pattern: PatternFile
    account: SearchFile
    speed: SpeedFile | None = None
    interrupted: bool = False
    profile: Profile = field(default_factory=Profile)

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """Read a finished search from its folder.

        Raises:
            EvopError: the search has not finished, or went on after it had answered.
        """
        pattern, account = PatternFile.find(folder), SearchFile.read(folder / SEARCH)
        if sha256(folder / TRIALS) != account.trials_sha256:
            raise EvopError(
                f"{folder}: its trials are not those that search.json answers for; the search went on after it had "
                "answered: run its command again"
            )
        return cls(folder, pattern, account, None if pattern.latency is None else answer_speed(folder))
