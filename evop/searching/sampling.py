"""How a search measures patterns on its sample: as they are, or each trained a little first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration import CalibrationSet
from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelities_of
from evop.fitness.folds import CrossFit
from evop.fitness.sample import Sample
from evop.fitness.store import LossStore
from evop.fitness.tuned_sample import TunedSample, tuned_fidelities
from evop.model.loaded import LoadedModel
from evop.recipes.search import SearchRecipe
from evop.recovery.text import LearningText
from evop.recovery.tuning import Tuning
from evop.searching.passages import held_out_domains
from evop.tokens.passages import TokenPassages
from patterns import Fidelity


@dataclass(frozen=True)
class Sampling:
    """Says at which fidelities a search measures, and what trains patterns before.

    Attributes:
        passages: the passages that are searched on.
        fidelities: the fidelities, ascending.
        tuner: trains patterns before they are measured; None where nothing does.
    """

    passages: TokenPassages
    fidelities: tuple[Fidelity, ...]
    tuner: Tuning | None = None

    @classmethod
    def of(
        cls, recipe: SearchRecipe, calibration: CalibrationSet, loaded: LoadedModel, passages: TokenPassages
    ) -> Sampling:
        """Train patterns first where the strategy says so, by no text of a domain that is held out.

        Raises:
            EvopError: the set has no text to learn from.
        """
        if recipe.strategy != "darwin":
            return cls(passages, fidelities_of(passages))
        held_out = held_out_domains(calibration, recipe.hold_out_domain)
        text = LearningText.of(calibration, loaded.tokenizer, recipe.max_tokens, held_out)
        tuner = Tuning(loaded, text, recipe.seed)
        return cls(passages, tuned_fidelities(passages, tuner), tuner)

    @property
    def dense(self) -> int:
        """Number of tokens that the dense model scores: it is measured at every fidelity."""
        if self.tuner is None:  # each goes on from the one before
            return self.passages.total
        return sum(fidelity.tokens - fidelity.trained for fidelity in self.fidelities)

    def sample(
        self, recipe: SearchRecipe, identity: Mapping[str, Any], evaluator: Evaluator, cross: CrossFit | None
    ) -> Sample:
        """Make the sample; what other searches have measured is of use where nothing is trained."""
        if self.tuner is not None:
            return TunedSample(evaluator, self.passages, self.fidelities, tuner=self.tuner)
        store = LossStore.of_search(recipe.store, identity, self.fidelities)
        return Sample(evaluator, self.passages, self.fidelities, store, cross)
