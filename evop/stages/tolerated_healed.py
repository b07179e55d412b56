"""The healed answer of a budget: healed by the stage of that name, then held against what is tolerated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from calibration import CalibrationSet
from evop.auditing.itself import held
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.json_file import sha256
from evop.files.names import HEALED, HEALED_ACCOUNT, PATTERN, POINT
from evop.model.checkpoint import Checkpoint
from evop.model.held import HeldModel
from evop.recipes.execution import Execution
from evop.recipes.heal import HealRecipe
from evop.recipes.search import SearchRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.healing.adapters import refuse_without_peft
from evop.recovery.healing.setup import refuse_what_cannot_heal
from evop.recovery.text import LearningText
from evop.removal.ranking import Ranking
from evop.searching.bearings import judgement
from evop.searching.folder import SearchRun
from evop.searching.passages import held_out_domains, objective_passages
from evop.searching.plan import SearchPlan
from evop.searching.point_file import Judgement, PointFile
from evop.searching.tolerated import tolerated
from evop.stages.heal import heal
from evop.stages.one_search import Searcher

MOST = 4
"""Answers that are healed at most: each costs as much as a training."""
ASKED = sorted(set(HealRecipe.model_fields) - set(Execution.model_fields) - {"learning_rate"})
"""What of a recipe decides what a healing comes to."""


@dataclass(frozen=True)
class Healer:
    """Heals the answers of budgets, and judges them as they would be shipped.

    Attributes:
        plan: what is searched; its recipe says how long is healed.
        searcher: has the model and the calibration set.
        report: is given a line where something was chosen or left out.
    """

    plan: SearchPlan
    searcher: Searcher
    report: Callable[[str], None]

    @property
    def calibration(self) -> CalibrationSet:
        """The calibration set."""
        return self.searcher.calibration

    @cached_property
    def recipe(self) -> HealRecipe:
        """How every answer is healed: for as long as was asked, run as the search is."""
        search: SearchRecipe = self.plan.recipe
        running = {name: getattr(search, name) for name in Execution.model_fields}
        length = {} if search.heal_tokens is None else {"tokens": search.heal_tokens}
        shared = {name: getattr(search, name) for name in ("seed", "max_tokens", "min_group_tokens")}
        return HealRecipe.of(**length, **shared, **running)

    def refuse_early(self) -> None:
        """Refuse before the first search what would end a healing after it.

        Raises:
            EvopError: nothing to learn from, a way of running that no training goes with, or peft is not installed.
        """
        held_out = held_out_domains(self.calibration, self.plan.recipe.hold_out_domain)
        LearningText.refuse_without_text(self.calibration, held_out)
        refuse_what_cannot_heal(self.recipe)
        refuse_without_peft()

    def is_done(self, run: SearchRun) -> bool:
        """Tell whether the answer of a budget, as it is now, was healed so before; its weights may be gone."""
        return self._account(run) is not None

    def is_kept(self, run: SearchRun) -> bool:
        """Tell whether the weights of an answer that was healed so are there."""
        return self.is_done(run) and (run.folder / HEALED).is_dir()

    def healed(self, run: SearchRun, point: PointFile) -> PointFile:
        """Heal the answer of a budget and judge what came of it, unless that was done before.

        Returns:
            The account of the budget, as it stands in its file from now on.

        Raises:
            EvopError: the answer cannot be healed, or loses what is no number.
        """
        if "healed" in point.judgements and self.is_done(run):
            return point
        place = run.folder / HEALED
        if not self.is_kept(run):
            delete_healed(run.folder)
            self.searcher.let_go()
            asked = self.recipe.model_dump()
            heal(self.plan.checkpoint.name, run.folder, self.calibration, place, report=self.report, **asked)
        account = self._account(run)
        assert account is not None, "healed just now"
        judged = {**point.judgements, "healed": self._judged(run)}
        point = point.model_copy(update={"judgements": judged, "healed_tokens": account.tokens})
        point.write(run.folder / POINT)
        return point

    def forget(self, run: SearchRun) -> None:
        """Delete the healed weights of a budget that cannot be the answer; what they came to stays.

        The account goes to ``healed.json``, so that the same command does not heal again what it has judged.
        """
        account = self._account(run)
        if account is not None and (run.folder / HEALED).is_dir():
            account.write(run.folder / HEALED_ACCOUNT)
        delete_healed(run.folder, but_the_account=account is not None)

    def _account(self, run: SearchRun) -> HealFile | None:
        """Read how the answer of a budget was healed; None where it was not, or otherwise."""
        kept = run.folder / HEALED_ACCOUNT
        try:
            file = HealFile.read(kept) if kept.is_file() else HealFile.of(run.folder / HEALED)
        except EvopError:
            return None
        asked = self.recipe.model_dump(mode="json")
        if file is None or any(file.recipe.get(name) != asked[name] for name in ASKED):
            return None
        own = sha256(run.folder / PATTERN), self.calibration.fingerprint
        return file if (file.pattern_sha256, file.calibration) == own else None

    def _judged(self, run: SearchRun) -> Judgement:
        """Measure the healed checkpoint itself on ``select``, and hold every group against what it may lose."""
        recipe, space = self.plan.recipe, self.plan.budget.space
        header = run.header or {}
        dense = HeldModel(self.plan.checkpoint, recipe.device, header["dtype"], recipe.trust_remote_code)
        found = objective_passages(self.calibration, dense.loaded.tokenizer, recipe).without(header["at_chance"])
        tolerance = tolerated(recipe, self.calibration, found.search)
        assert tolerance is not None, "healed with tolerances alone"
        tables = []
        for model in (dense, held(Checkpoint.find(run.folder / HEALED), dense)):
            how = recipe.max_tokens, recipe.batch_size, recipe.loss
            tables.append(Evaluator(model.loaded, space, Ranking(), *how, cache_mb=0).dense(found.select))
            model.let_go()
        if not tables[1].finite:
            raise EvopError(f"losses of {run.folder / HEALED} are not finite; heal less, by fewer --heal-tokens")
        return judgement(found.select, tables[0], tables[1].loss, tolerance)


def delete_healed(point: Path, but_the_account: bool = False) -> None:
    """Delete the healed checkpoint of a budget, and the account of one that was deleted before.

    The name goes first: wherever a kill comes, the folder of that name is whole or not there.

    Args:
        point: the folder of the budget's search.
        but_the_account: whether that stays.
    """
    gone = point / f".{HEALED}.gone"
    shutil.rmtree(gone, ignore_errors=True)
    if (point / HEALED).is_dir():
        (point / HEALED).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    if not but_the_account:
        (point / HEALED_ACCOUNT).unlink(missing_ok=True)
