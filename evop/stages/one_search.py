"""One search at one budget, as it was planned, with a model that may be in memory already."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from calibration import CalibrationSet
from evop.errors import EvopError
from evop.files.names import CORRECTIONS
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.removal.space import THINNED
from evop.searching.folder import SearchRun
from evop.searching.identity import identity_asked
from evop.searching.loop import SearchLoop
from evop.searching.plan import SearchPlan
from evop.searching.progress import Progress, Watch
from evop.searching.result import SearchResult
from evop.searching.setup import set_up
from evop.timing.answer_speed import time_answer


@dataclass
class Searcher:
    """Runs searches of one model, which is loaded when the first of them needs it.

    Attributes:
        calibration: the calibration set.
        watch: is shown the progress.
        report: is given a line where something was chosen for the caller.
    """

    calibration: CalibrationSet
    watch: Watch
    report: Callable[[str], None]
    _loaded: LoadedModel | None = field(default=None, init=False)

    def search(self, plan: SearchPlan, run: SearchRun) -> SearchResult:
        """Search what was planned; time the answer where the budget counts time.

        Args:
            plan: what is searched, and how.
            run: the folder of the search.

        Raises:
            EvopError: a folder that holds another search, or a model that cannot be loaded or measured.
        """
        for line in filter(None, (plan.choice, plan.too_few)):
            self.report(line)
        run.refuse_another(identity_asked(plan, self.calibration))
        recipe, loaded = plan.recipe, self.loaded(plan, run)
        setup = set_up(plan, self.calibration, run, loaded, self.watch)
        result = SearchLoop(recipe, run, setup, self.watch, self.report).run_search()
        if plan.table is None or result.interrupted:
            return result
        self.watch(Progress("timing"))
        cut = result.pattern.cut(run.folder / CORRECTIONS)
        speed = time_answer(run.folder, result.pattern, cut, loaded, plan.table, self.report)
        return replace(result, speed=speed)

    def loaded(self, plan: SearchPlan, run: SearchRun) -> LoadedModel:
        """Load the model of a plan, in the dtype that the log of its search has, if there is one."""
        dtype = run.header["dtype"] if run.header and plan.recipe.dtype == "auto" else plan.recipe.dtype
        if self._loaded is None or dtype not in ("auto", self._loaded.dtype):
            self.watch(Progress("loading"))
            recipe = plan.recipe
            self._loaded = load_model(plan.checkpoint, recipe.device, dtype, recipe.trust_remote_code)
            _refuse_offloaded(self._loaded, recipe)
        return self._loaded

    def let_go(self) -> None:
        """Free the memory of the model; the next search loads it again."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _refuse_offloaded(loaded: LoadedModel, recipe: SearchRecipe) -> None:
    """Check that weights which have to be ranked lie in memory.

    Raises:
        EvopError: some were left on the disk, because the model does not fit into the devices.
    """
    if recipe.grain in THINNED and any(weight.is_meta for weight in loaded.model.parameters()):
        raise EvopError(
            f"{loaded.checkpoint.name} does not fit into the devices, and --grain {recipe.grain} needs all its weights "
            "there; use --grain subblock or layer, or --dtype bfloat16"
        )
