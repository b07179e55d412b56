"""``evop run``: one recipe, every stage; what is done and unchanged is not done again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from calibration import CalibrationSet, build_calibration_set
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.files.json_file import inside, sha256, whole
from evop.files.names import AUDIT, LATENCY, PATTERN, TRIALS
from evop.model.checkpoint import Checkpoint
from evop.recipes.audit import AuditRecipe
from evop.recipes.run import Cell, RunRecipe
from evop.report.frontier_plot import draw_frontier
from evop.searching.progress import Watch
from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.prune import prune
from evop.stages.run_folder import RunFolder
from evop.stages.run_set import refuse_another_set
from evop.stages.search import SearchResult, asked_space, plan, search
from evop.timing.chosen_table import given_or_measured
from patterns import PatternError

HOW_IT_RUNS = {
    "device",
    "batch_size",
    "trust_remote_code",
    "store",
    "engine",
    "workers",
    "share",
    "cache_mb",
    "profile",
}
"""Options that do not change what a stage finds."""

Report = Callable[[str], None]


@contextmanager
def _unwatched() -> Iterator[Watch]:
    yield lambda progress: None


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: the recipe's ``out``.
        table: one row a search, as from ``compare``.
        pruned: the checkpoints.
        picture: the frontier, where there are several budgets, or None.
    """

    folder: Path
    table: pd.DataFrame
    pruned: tuple[Path, ...]
    picture: Path | None


def run(
    recipe: str | Path | RunRecipe,
    *,
    report: Report = lambda line: None,
    watching: Callable[[], AbstractContextManager[Watch]] = _unwatched,
) -> RunResult:
    """Calibrate, search in every cell, audit every budget, prune; run again, it goes on where it was.

    Args:
        recipe: a recipe in YAML, or one built in Python.
        report: is given one line a step.
        watching: opens what is shown the progress of one search.

    Raises:
        EvopError: bad input, or an ``out`` that holds something else.
        KeyboardInterrupt: a search was stopped by Ctrl-C; what it found so far is kept.
    """
    asked = recipe if isinstance(recipe, RunRecipe) else RunRecipe.read(recipe)
    checkpoint = Checkpoint.find(asked.model, asked.revision)
    for cell in asked.cells:  # rather now than after the hours that the cells before it take
        with _named(f"search {cell.name}"):
            asked_space(checkpoint, cell.recipe) if cell.recipe.cost == "latency" else plan(checkpoint, cell.recipe)
    folder = RunFolder(asked.out)
    folder.claim(asked, None if isinstance(recipe, RunRecipe) else Path(recipe))
    times = _timed(asked, folder, checkpoint, report)
    job = _Run(asked, folder, checkpoint, _calibrated(asked, folder, report), report, watching, times)
    job.search()
    job.audit()
    pruned = job.prune()
    return job.conclude(pruned)


@dataclass(frozen=True)
class _Run:
    """Everything the stages of one run share."""

    recipe: RunRecipe
    folder: RunFolder
    checkpoint: Checkpoint
    calibration: CalibrationSet
    report: Report
    watching: Callable[[], AbstractContextManager[Watch]]
    times: Path | None = None
    """The table of times that all cells share; None where their budget counts no time."""

    def _step(self, line: str) -> None:
        self.report(f"  {line}")

    def search(self) -> None:
        """Every cell's search."""
        cells = self.recipe.cells
        for number, cell in enumerate(cells, 1):
            head, place = f"search {number} of {len(cells)}: {cell.name}", self.folder.search(cell)
            options = _identity(cell.recipe)
            if self._is_searched(cell, options):
                self.report(f"{head}: done before, unchanged")
                continue
            self.report(f"{head}: goes on" if (place / TRIALS).is_file() else head)
            with _named(head), self.watching() as watch:
                asked = cell.recipe.model_dump() | {"store": cell.recipe.store or str(self.folder.store)}
                asked |= {} if self.times is None else {"latency_table": str(self.times)}
                result = search(self.recipe.model, self.calibration, place, watch=watch, report=self._step, **asked)
            if result.interrupted:
                raise KeyboardInterrupt
            found = result.account
            self.folder.add_done("searches", cell.name, options)
            self.report(
                f"{head}: {found.evaluations} evaluations, {found.tokens['total']:,} tokens, stopped by: "
                f"{found.stopped}{', completed from the ranking' if found.completed else ''}"
            )

    def _is_searched(self, cell: Cell, options: dict[str, Any]) -> bool:
        if self.folder.done.searches.get(cell.name) != options:
            return False
        try:
            account = SearchResult.read(self.folder.search(cell)).account
        except EvopError:  # a file is missing, or of another version: the search writes them again from its log
            return False
        return (account.model.fingerprint, account.calibration) == self._parents

    def audit(self) -> None:
        """One audit a budget, all of its patterns side by side."""
        if self.recipe.audit is False:
            return
        asked = AuditRecipe.of(**self.recipe.audit, **self.recipe.execution)
        options, budgets = _identity(asked), self.recipe.budgets
        for number, (remove, cells) in enumerate(budgets.items(), 1):
            place = self.folder.audit(remove)
            head = f"audit {number} of {len(budgets)}: {place.name}"
            if self.folder.done.audits.get(place.name) == options and self._is_audited(place, cells):
                self.report(f"{head}: done before, unchanged")
                continue
            self.report(f"{head}: {len(cells)} pattern(s)")
            runs = [self.folder.search(cell) for cell in cells]
            self.folder.withdraw_done("audits", place.name)
            with _named(head):
                audit(self.recipe.model, self.calibration, runs, place, report=self._step, **asked.model_dump())
            self.folder.add_done("audits", place.name, options)

    def _is_audited(self, place: Path, cells: tuple[Cell, ...]) -> bool:
        try:
            found = AuditFile.find(place)
        except EvopError:
            return False
        measured = {row.name: row.sha256 for row in found.patterns if row.sha256}
        same = (found.model.fingerprint, found.calibration) == self._parents
        return same and measured == self.folder.pattern_hashes(cells)

    @property
    def _parents(self) -> tuple[str, str]:
        """Fingerprints of what every stage starts from."""
        return self.checkpoint.fingerprint, self.calibration.fingerprint

    def prune(self) -> tuple[Path, ...]:
        """A checkpoint of every cell chosen, by its folder."""
        chosen = self._chosen()
        for number, (place, cell) in enumerate(chosen.items(), 1):
            head = f"checkpoint {number} of {len(chosen)}: {place.name}, the pattern of {cell.name}"
            if self._is_pruned(place, cell):
                self.report(f"{head}: done before, unchanged")
                continue
            self.report(head)
            if (place / PATTERN).is_file():
                shutil.rmtree(place)
            with _named(head):
                prune(
                    self.recipe.model,
                    self.folder.search(cell),
                    place,
                    audit=None if self.recipe.audit is False else self.folder.audit(cell.recipe.remove),
                    revision=self.recipe.revision,
                    trust_remote_code=self.recipe.trust_remote_code,
                    report=self._step,
                )
        return tuple(chosen)

    def _is_pruned(self, place: Path, cell: Cell) -> bool:
        """Whether a checkpoint holds the pattern, and the audit, that there are now."""
        now = {PATTERN: self.folder.pattern(cell)}
        if self.recipe.audit is not False:
            now[AUDIT] = self.folder.audit(cell.recipe.remove) / AUDIT
        elif (place / AUDIT).is_file():
            return False
        return all((place / n).is_file() and sha256(place / n) == sha256(source) for n, source in now.items())

    def _chosen(self) -> dict[Path, Cell]:
        if self.recipe.prune == "none":
            return {}
        if self.recipe.prune == "all":
            return {self.folder.pruned(cell): cell for cell in self.recipe.cells}
        budgets = self.recipe.budgets.items()
        return {self.folder.pruned(remove): min(cells, key=self._claimed) for remove, cells in budgets}

    def _claimed(self, cell: Cell) -> float:
        claim = SearchResult.read(self.folder.search(cell)).pattern.claim
        assert claim is not None, "a search writes what it claims"
        return claim.select

    def conclude(self, pruned: tuple[Path, ...]) -> RunResult:
        """The table, and the frontier where there are several budgets."""
        place, budgets = self.folder.folder, self.recipe.budgets
        audits = [] if self.recipe.audit is False else [self.folder.audit(remove) for remove in budgets]
        table = compare([self.folder.search(cell) for cell in self.recipe.cells], audits)
        picture = place / "frontier.png" if audits and len(budgets) > 1 else None
        with whole(place / "comparison.csv") as csv:
            table.to_csv(csv, index=False)
        if picture:
            with whole(picture) as drawn:
                draw_frontier(table, drawn)
        return RunResult(place, table, pruned, picture)


def _calibrated(recipe: RunRecipe, folder: RunFolder, report: Report) -> CalibrationSet:
    """The set given, the set of an earlier run of the same recipe, or a new one."""
    if isinstance(recipe.calibration, str):
        report(f"calibration set: {recipe.calibration}, as given")
        return CalibrationSet.load(recipe.calibration)
    if folder.set.is_dir():
        found = CalibrationSet.load(folder.set)
        refuse_another_set(found.manifest, recipe.calibration, folder.set)
        report(f"calibration set: {folder.set}: done before, unchanged")
        return found
    report(f"calibration set: {folder.set}")
    built = build_calibration_set(recipe.calibration, report=lambda line: report(f"  {line}"))
    built.save(folder.set)
    return built


def _timed(recipe: RunRecipe, folder: RunFolder, checkpoint: Checkpoint, report: Report) -> Path | None:
    """The table of times all cells share, measured once; every cell's budget is then known to be one it can meet."""
    cells = [cell for cell in recipe.cells if cell.recipe.cost == "latency"]
    if not cells:
        return None
    first = cells[0].recipe
    place = inside(first.latency_table, LATENCY) if first.latency_table else folder.latency
    again = {"latency_table": str(place)} if place.is_file() else {}
    table = given_or_measured(checkpoint, asked_space(checkpoint, first), first.model_copy(update=again), report)
    if place == folder.latency:
        table.write(place)
    for cell in cells:
        with _named(f"search {cell.name}"):
            plan(checkpoint, cell.recipe, table=table)
    return place


def _identity(recipe: Any) -> dict[str, Any]:
    """What a stage was asked for, as JSON has it, without how it is run."""
    return recipe.model_dump(mode="json", exclude=HOW_IT_RUNS)


@contextmanager
def _named(head: str) -> Iterator[None]:
    """Say in an error which of the many it was."""
    try:
        yield
    except (EvopError, PatternError) as error:
        raise EvopError(f"{head}: {error}") from error
