"""What a search leaves behind."""

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
    """What a search left behind: its folder, its answer, its account."""

    folder: Path
    pattern: PatternFile
    account: SearchFile
    speed: SpeedFile | None = None
    """Of the answer, predicted beside measured, where the budget counts time."""
    interrupted: bool = False
    """Whether Ctrl-C was pressed, be it after the last trial."""
    profile: Profile = field(default_factory=Profile)
    """Where the time of this process and its workers went, added up."""

    @classmethod
    def read(cls, folder: Path) -> SearchResult:
        """A finished run from its folder.

        Raises:
            EvopError: it has not finished, or went on after it had answered.
        """
        pattern, account = PatternFile.find(folder), SearchFile.read(folder / SEARCH)
        if sha256(folder / TRIALS) != account.trials_sha256:
            raise EvopError(
                f"{folder}: its trials are not those that search.json answers for; the search went on after it had "
                "answered: run its command again"
            )
        return cls(folder, pattern, account, None if pattern.latency is None else answer_speed(folder))
