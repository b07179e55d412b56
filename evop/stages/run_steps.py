"""The steps of a run: searches and audits, and what all steps share; what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.auditing.itself import is_checkpoint
from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import PATTERN, TRIALS
from evop.model.checkpoint import Checkpoint
from evop.recipes.audit import AuditRecipe
from evop.recipes.cell import Cell
from evop.recipes.run import RunRecipe
from evop.searching.folder import SearchRun
from evop.searching.frontier_file import healed_answer
from evop.searching.plan import SearchPlan
from evop.searching.progress import Watch
from evop.searching.result import SearchResult
from evop.stages.audit import audit
from evop.stages.run_folder import RunFolder
from evop.stages.search import alone, run_plan
from patterns import PatternError

ON_A_MACHINE = {"device", "batch_size", "trust_remote_code", "engine", "workers"}
HOW_IT_RUNS = ON_A_MACHINE | {"store", "share", "cache_mb", "profile"}
"""Names of options that do not change what a stage finds."""
Report = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One thing that a run does.

    Attributes:
        head: says which of the many steps it is.
        is_done: says whether it was done before, and nothing that it rests on has changed since.
        do: does it.
    """

    head: str
    is_done: Callable[[], bool]
    do: Callable[[], None]

    def take(self, report: Report) -> None:
        """Do it, unless it is done."""
        if self.is_done():
            report(f"{self.head}: done before, unchanged")
            return
        with named(self.head):
            self.do()


@dataclass(frozen=True)
class RunSteps:
    """The steps of one run, and everything they share.

    Attributes:
        recipe: the recipe of the run.
        folder: says where everything lies.
        checkpoint: the model.
        calibration: the calibration set.
        plans: cell's name -> the plan of its search.
        report: is given one line per step.
        watching: opens what is shown the progress of one search.
    """

    recipe: RunRecipe
    folder: RunFolder
    checkpoint: Checkpoint
    calibration: CalibrationSet
    plans: Mapping[str, SearchPlan]
    report: Report
    watching: Callable[[], AbstractContextManager[Watch]]

    def searches(self) -> Iterator[Step]:
        """List every cell's search."""
        cells = self.recipe.cells
        for number, cell in enumerate(cells, 1):
            head, options = f"search {number} of {len(cells)}: {cell.name}", identity(cell.recipe)
            yield Step(head, self._is_searched(cell, options), self._search(head, cell, options))

    def audits(self) -> Iterator[Step]:
        """List one audit per budget, all of its patterns side by side."""
        if self.recipe.audit is False:
            return
        options = AuditRecipe.of(**self.recipe.audit, **self.recipe.execution)
        for number, (budget, cells) in enumerate(self.recipe.budgets.items(), 1):
            place = self.folder.audit(budget)
            head = f"audit {number} of {len(self.recipe.budgets)}: {place.name}"
            yield Step(head, self._is_audited(place, cells, options), self._audit(head, place, cells, options))

    @cached_property
    def chosen(self) -> dict[Path, Cell]:
        """Folder of a checkpoint -> the cell that it is made of; chosen once, when the searches are done."""
        if self.recipe.prune == "none":
            return {}
        if self.recipe.prune == "all":
            return {self._checkpoint(cell): cell for cell in self.recipe.cells}
        budgets = self.recipe.budgets.items()
        return {self._checkpoint(budget): min(cells, key=self._claimed) for budget, cells in budgets}

    @property
    def refits(self) -> bool:
        """Whether the answer of every search is refitted."""
        return self.recipe.refit is not False

    def shipped(self, cell: Cell) -> Path | None:
        """Find the healed checkpoint that the search of a cell has judged; None where it judged a pattern."""
        return healed_answer(self.folder.search(cell))

    def say(self, line: str) -> None:
        """Report a line of a step, under the head of it."""
        self.report(f"  {line}")

    def _search(self, head: str, cell: Cell, options: dict[str, Any]) -> Callable[[], None]:
        def do() -> None:
            place = self.folder.search(cell)
            self.report(f"{head}: goes on" if (place / TRIALS).is_file() else head)
            with alone(run := SearchRun(place), False, self.say), self.watching() as watch:
                result = run_plan(self.plans[cell.name], self.calibration, run, watch, self.say)
            if result.interrupted:
                raise KeyboardInterrupt
            self.folder.add_done("searches", cell.name, options)
            self.report(
                f"{head}: {result.account.evaluations} evaluations, {result.account.tokens['total']:,} tokens, stopped "
                f"by: {result.account.stopped}{', completed from the ranking' if result.account.completed else ''}"
            )
            for line in result.statement:
                self.say(line)

        return do

    def _is_searched(self, cell: Cell, options: dict[str, Any]) -> Callable[[], bool]:
        def is_done() -> bool:
            if self.folder.done.searches.get(cell.name) != options:
                return False
            try:
                account = SearchResult.read(self.folder.search(cell)).account
                shipped = self.shipped(cell)
            except EvopError:  # a file is missing, or of another version: the search writes them again from its log
                return False
            if shipped is not None and not is_checkpoint(shipped):
                return False
            return (account.model.fingerprint, account.calibration) == self._parents

        return is_done

    def _audit(self, head: str, place: Path, cells: tuple[Cell, ...], options: AuditRecipe) -> Callable[[], None]:
        def do() -> None:
            runs = self._audited(cells)
            self.report(f"{head}: {len(runs)} pattern(s)")
            self.folder.withdraw_done("audits", place.name)
            audit(self.recipe.model, self.calibration, runs, place, report=self.say, **options.model_dump())
            self.folder.add_done("audits", place.name, identity(options))

        return do

    def _is_audited(self, place: Path, cells: tuple[Cell, ...], options: AuditRecipe) -> Callable[[], bool]:
        def is_done() -> bool:
            if self.folder.done.audits.get(place.name) != identity(options):
                return False
            try:
                file = AuditFile.find(place)
            except EvopError:
                return False
            measured = sorted((row.sha256, row.checkpoint or "") for row in file.patterns)
            same = (file.model.fingerprint, file.calibration) == self._parents
            return same and measured == sorted(map(_hashes, self._audited(cells)))

        return is_done

    def _audited(self, cells: tuple[Cell, ...]) -> list[Path]:
        """List what an audit measures: the patterns of cells, and the checkpoints that were healed of them."""
        patterns = [place for cell in cells for place in self.folder.patterns(cell, self.refits)]
        patterns += [shipped for cell in cells if (shipped := self.shipped(cell)) is not None]
        if self.recipe.heal is False:
            return patterns
        return patterns + [self.folder.healed(place) for place, cell in self.chosen.items() if cell in cells]

    def _checkpoint(self, chosen: str | Cell) -> Path:
        """Name the folder of a checkpoint by what it is: pruned, or healed where searches judge what they healed."""
        place = self.folder.pruned(chosen)
        return self.folder.healed(place) if self.recipe.search["judge"] == "healed" else place

    def _claimed(self, cell: Cell) -> float:
        """Read what the search of a cell claims on ``select``; of one that removes as much as can go, what stays."""
        result = SearchResult.read(self.folder.search(cell))
        if result.frontier is not None:
            answer = result.frontier.point(result.frontier.answer)
            return -answer.removed if answer else 0.0
        assert result.pattern.claim is not None, "a search writes what it claims"
        return result.pattern.claim.select

    @property
    def _parents(self) -> tuple[str, str]:
        """Fingerprints of what every stage starts from."""
        return self.checkpoint.fingerprint, self.calibration.fingerprint


def identity(recipe: Any) -> dict[str, Any]:
    """List what a stage was asked for, as JSON has it, without how it is run."""
    return recipe.model_dump(mode="json", exclude=HOW_IT_RUNS)


@contextmanager
def named(head: str) -> Iterator[None]:
    """Say in an error which of the many steps raised it.

    Raises:
        EvopError: the error that was raised inside, with ``head`` before its words.
    """
    try:
        yield
    except (EvopError, PatternError) as error:
        raise EvopError(f"{head}: {error}") from error


def _hashes(place: Path) -> tuple[str, str]:
    """Hash a pattern, and the weights where it is a checkpoint: healed longer, it has the same pattern."""
    return sha256(place / PATTERN), Checkpoint.find(place).fingerprint if is_checkpoint(place) else ""
