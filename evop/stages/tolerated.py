"""The largest removal within what is tolerated: searches at several budgets, which share what they measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from calibration import CalibrationSet
from calibration.seeded import generator
from evop.errors import EvopError
from evop.files.json_file import sha256, whole
from evop.files.names import CORRECTIONS, DROP_LIST, FRONTIER, FRONTIER_PAGE, LATENCY, PATTERN, POINT, SEARCH, TRIALS
from evop.removal.pattern_facts import ModelName
from evop.report.frontier_page import frontier_page
from evop.searching.bisection import FIRST, STEPS, next_budget, next_healed
from evop.searching.folder import STORE, SearchRun, refuse_another_kind
from evop.searching.frontier_file import SHIPPED, FrontierFile, Point, point_folder
from evop.searching.plan import SearchPlan
from evop.searching.point_file import JudgedAs, PointFile, limits_of
from evop.searching.progress import Watch
from evop.searching.result import SearchResult
from evop.searching.search_file import SearchFile
from evop.stages.one_search import Searcher
from evop.stages.tolerated_healed import MOST, Healer
from evop.version import __version__
from patterns import Pattern, PatternError, TrialLog, finalists

STARTS = 3
"""Patterns of each neighbouring budget that a search begins with."""
SEARCHED: dict[JudgedAs, JudgedAs] = {"masked": "masked", "refit": "refit", "healed": "refit"}
"""What patterns are judged as -> what the search of each budget judges them as: what is healed is refitted first."""


@dataclass
class ToleratedSearch:
    """Looks for the largest removal at which no group surely loses more than it may.

    Attributes:
        plan: what is searched, and how; its budget is the first that is tried.
        searcher: runs the search of each budget.
        folder: the folder of the run.
        report: is given a line for each budget.
        points: budget in steps -> what came of it.
        unmet: budgets that the model cannot meet.
    """

    plan: SearchPlan
    searcher: Searcher
    folder: Path
    report: Callable[[str], None]
    points: dict[int, PointFile] = field(default_factory=dict)
    unmet: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        recipe = self.plan.recipe
        self.judge: JudgedAs = recipe.judge
        self.healer = Healer(self.plan, self.searcher, self.report) if self.judge == "healed" else None
        searched = {"store": recipe.store or str(self.folder / STORE), "judge": SEARCHED[self.judge]}
        self.plan = replace(self.plan, recipe=recipe.model_copy(update=searched))

    def run(self) -> SearchResult:
        """Find the edge, and write the frontier; then the answer, if anything can go.

        Raises:
            EvopError: nothing can go, or the folder holds something else.
            KeyboardInterrupt: a search was stopped by Ctrl-C; what it measured so far is kept.
        """
        refuse_another_kind(self.folder)
        if self.healer is not None:
            self.healer.refuse_early()
        edges: dict[JudgedAs, int | None] = {}
        for judge in dict.fromkeys((SEARCHED[self.judge], "masked")):
            edges[judge] = self._edge(judge)
        if self.healer is not None:
            edges = {"healed": self._healed_edge(self.healer, edges["refit"]), **edges}
        frontier = self._frontier(self.judge, {name: None if at is None else name_of(at) for name, at in edges.items()})
        with whole(self.folder / FRONTIER_PAGE) as page:
            page.write_text(frontier_page(frontier), encoding="utf-8")
        frontier.write(self.folder / FRONTIER)
        if frontier.answer is None:
            raise EvopError(
                f"{' '.join(frontier.statement[:2])} Tolerate more, or calibrate with more --select-passages; the "
                f"budgets that were tried are in {self.folder / FRONTIER}"
            )
        self._answer(point_folder(self.folder, frontier.answer))
        return SearchResult.read(self.folder)

    def _edge(self, judge: JudgedAs) -> int | None:
        """Search at several budgets until the largest within what is tolerated is known; None where there is none."""
        while True:
            within = [at for at in self.points if self.points[at].judgements[judge].verdict == "within"]
            beyond = [at for at in self.points if at not in within] + list(self.unmet)
            # What a budget's answer removes beyond it can go too.
            reached = [max(at, round(STEPS * self._removed(at))) for at in within]
            at = next_budget(reached, beyond, FIRST)
            if at is None:
                return max(within, key=self._removed, default=None)
            self._try(at, judge)

    def _healed_edge(self, healer: Healer, edge: int | None) -> int | None:
        """Heal answers near an edge until the largest within what is tolerated is known, or enough were healed."""
        verdicts: dict[int, str] = {}
        while True:
            within = [at for at, verdict in verdicts.items() if verdict == "within"]
            best = max(within, key=self._removed, default=None)
            beyond = [at for at in verdicts if at not in within] + list(self.unmet)
            reached = [max(at, round(STEPS * self._removed(at))) for at in within]
            at = next_healed(reached, beyond, self.points, edge or 0) if len(verdicts) < MOST else None
            is_done = at is None and (best is None or healer.is_kept(self._run(best)))
            for other in self.points if is_done else verdicts:
                if other != best:  # nobody can use its weights
                    healer.forget(self._run(other))
            if is_done:
                return best
            if at is None:  # the answer's weights were lost: they are made and judged again
                assert best is not None
                at, self.points[best] = best, self.points[best].unhealed
            self._try(at, "refit")
            if at not in self.unmet:
                self.points[at] = healer.healed(self._run(at), self.points[at])
                verdicts[at] = self.points[at].judgements["healed"].verdict
                self._tell(at, "healed")

    def _run(self, at: int) -> SearchRun:
        """Find the search of a budget."""
        return SearchRun(point_folder(self.folder, name_of(at)))

    def _removed(self, at: int) -> float:
        return Point.of("", self.points[at]).removed

    def _try(self, at: int, judge: JudgedAs) -> None:
        """Search at a budget, unless that was done before."""
        if at in self.points:
            return
        try:
            plan = self.plan.at(at / STEPS)
        except PatternError as error:
            self.unmet.add(at)
            self.report(f"{at / STEPS:.0%}: {error}")
            return
        run = self._run(at)
        done = self._done(run, plan)
        if done is None:
            # A search that was begun before goes on from what it began with, whatever its neighbours have found since.
            starts = self._starts(at, plan) if run.header is None else _starts_of(run)
            result = self.searcher.search(replace(plan, starts=tuple(starts)), run)
            if result.interrupted:
                raise KeyboardInterrupt
            done = PointFile.read(run.folder / POINT)
        self.points[at] = done if self.healer is not None and self.healer.is_done(run) else done.unhealed
        self._tell(at, judge)

    def _tell(self, at: int, judge: JudgedAs) -> None:
        labels = SearchFile.read(point_folder(self.folder, name_of(at)) / SEARCH).groups
        words = self.points[at].judgements[judge].words(labels)
        self.report(f"{at / STEPS:.0%} ({SHIPPED[judge]}): {words}")

    def _done(self, run: SearchRun, plan: SearchPlan) -> PointFile | None:
        """Read what came of a budget before; None where its search has not ended, or may now go on for longer."""
        if not (run.folder / POINT).is_file() or not (run.folder / PATTERN).is_file():
            return None
        try:
            point = PointFile.read(run.folder / POINT)
        except EvopError:  # of an older version: judged anew, from the log
            return None
        account = SearchFile.read(run.folder / SEARCH)
        same = point.tolerate == list(plan.recipe.tolerate) and point.limits == limits_of(plan.recipe)
        whole = point.pattern_sha256 == sha256(run.folder / PATTERN) and account.trials_sha256 == sha256(run.trials)
        model, calibration = self.plan.checkpoint.fingerprint, self.searcher.calibration.fingerprint
        ours = (account.model.fingerprint, account.calibration) == (model, calibration)
        return point if same and whole and ours and point.stopped != "interrupted" else None

    def _starts(self, at: int, plan: SearchPlan) -> list[Pattern]:
        """Bring the best of the neighbouring budgets to this one."""
        below = max((other for other in self.points if other < at), default=None)
        above = min((other for other in self.points if other > at), default=None)
        rng = generator("starts", plan.recipe.seed, at)
        starts: dict[Pattern, None] = {}
        for other in (below, above):
            if other is not None:
                trials = TrialLog.open(point_folder(self.folder, name_of(other)) / TRIALS).trials
                whole = max(trial.fidelity for trial in trials)
                best = finalists(trials, whole, STARTS)
                starts |= dict.fromkeys(plan.budget.repair(trial.pattern, rng) for trial in best)
        return list(starts)

    def _frontier(self, judge: JudgedAs, edges: dict[JudgedAs, str | None]) -> FrontierFile:
        """Describe all budgets that were tried."""
        order = sorted(self.points)
        return FrontierFile(
            version=__version__,
            model=ModelName.of(self.plan.checkpoint),
            calibration=self.searcher.calibration.fingerprint,
            cost=self.plan.recipe.cost,
            tolerate=list(self.plan.recipe.tolerate),
            judge=judge,
            answer=edges[judge],
            edges=edges,
            points=[Point.of(name_of(at), self.points[at]) for at in order],
            unmet=[at / STEPS for at in sorted(self.unmet)],
            labels=self.searcher.calibration.labels,
        )

    def _answer(self, point: Path) -> None:
        """Copy the pattern of a point, and what belongs to it, to where the pattern of a run lies; the pattern last."""
        for name in (CORRECTIONS, DROP_LIST, PATTERN):
            (self.folder / name).unlink(missing_ok=True)
        # The times are the same for all points, and may be there already: of one that was stopped they must not go.
        for name in (CORRECTIONS, LATENCY, DROP_LIST, PATTERN):
            if (point / name).is_file() and not (self.folder / name).is_file():
                shutil.copyfile(point / name, self.folder / name)


def tolerated_search(
    plan: SearchPlan,
    calibration: CalibrationSet,
    folder: Path,
    watch: Watch,
    report: Callable[[str], None],
) -> SearchResult:
    """Search the largest removal within what is tolerated.

    Args:
        plan: what is searched, and how.
        calibration: the calibration set.
        folder: the folder of the run.
        watch: is shown the progress of each search.
        report: is given a line for each budget.

    Raises:
        EvopError: nothing can go, or bad input as for any search.
        KeyboardInterrupt: a search was stopped by Ctrl-C; what it measured so far is kept.
    """
    return ToleratedSearch(plan, Searcher(calibration, watch, report), folder, report).run()


def name_of(at: int) -> str:
    """Name the point of a budget in steps: ``0.20``."""
    return f"{at / STEPS:.2f}"


def _starts_of(run: SearchRun) -> list[Pattern]:
    """Read what a search that was begun before has begun with."""
    return [Pattern(tuple(levels)) for levels in (run.header or {}).get("starts") or []]
