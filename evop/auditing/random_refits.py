"""Random patterns refitted as the audited ones were: what a refit gives back of any pattern of the size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from calibration import CalibrationSet
from evop.auditing.audit_rows import REFITTED
from evop.auditing.candidates import Candidate, RandomPatterns
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.model.held import HeldModel
from evop.recovery.chain import METHODS, ChainRefit
from evop.recovery.text import READINGS, LearningText
from evop.removal.cut import Cut
from evop.removal.pattern_facts import RefitNote
from evop.removal.ranking import Ranking


@dataclass(frozen=True)
class RandomRefits:
    """Refits the first random patterns of a size by the split ``train`` of the audited set, without an anchor.

    They are refitted as the audited pattern was: by its method and ridge, through the same layer.

    Attributes:
        calibration: the audited set.
        dense: the dense model.
        count: how many random patterns of each size are refitted; 0 for none.
        max_tokens: tokens per passage at most.
        batch_size: passages per batch; None to try out how many fit.
        report: is given a line for each size, with what it costs.
    """

    calibration: CalibrationSet
    dense: HeldModel
    count: int
    max_tokens: int
    batch_size: int | None
    report: Callable[[str], None]

    def beside(
        self, candidates: Sequence[Candidate], randoms: Sequence[RandomPatterns]
    ) -> tuple[list[Candidate], list[RandomPatterns]]:
        """Put refitted random patterns beside those as they are, and refitted candidates beside them.

        Raises:
            EvopError: inputs that are not finite.
        """
        drawn = {patterns.name: patterns for patterns in randoms}
        refitted: dict[tuple[str, str, float, int], RandomPatterns] = {}
        placed = []
        for candidate in candidates:
            note, beside = candidate.file.refit, candidate.beside
            # Weights that strategy darwin trained are no refit that others could get alike.
            if note is None or note.method not in METHODS or beside is None or candidate.heal is not None:
                placed.append(candidate)
                continue
            if self._has_text(candidate):
                key = (beside, note.method, note.ridge, note.through)
                if key not in refitted:
                    name = REFITTED if not refitted else f"{REFITTED} as {candidate.name}"
                    refitted[key] = self._refitted(name, drawn[beside], note, candidate)
                candidate = replace(candidate, beside=refitted[key].name)
            placed.append(candidate)
        if any(candidate.itself is not None for candidate in candidates):
            self.dense.let_go()  # checkpoints are measured before it
        return placed, [*randoms, *refitted.values()]

    def _has_text(self, candidate: Candidate) -> bool:
        """Tell whether there is text to refit by, and say so where there is none."""
        if not self.count:
            return False
        try:
            LearningText.refuse_without_text(self.calibration, _held_out(candidate))
        except EvopError as error:
            self.report(f"no random patterns are refitted beside {candidate.name}: {error}")
            return False
        return True

    def _refitted(self, name: str, drawn: RandomPatterns, note: RefitNote, candidate: Candidate) -> RandomPatterns:
        """Refit some random patterns, and say what it cost."""
        loaded, cuts = self.dense.loaded, drawn.cuts[: self.count]
        learning = LearningText.of(self.calibration, loaded.tokenizer, self.max_tokens, _held_out(candidate))
        evaluator = Evaluator(loaded, candidate.space, Ranking(), self.max_tokens, self.batch_size, cache_mb=0)
        begun = time.perf_counter()

        def refit(cut: Cut) -> Cut:
            weights = evaluator.backoff(
                lambda batch_tokens: ChainRefit(loaded, cut, learning, note.method, batch_tokens).weights(note.ridge)
            )
            return replace(cut, weights={place: new for place, new in weights.items() if place[1] <= note.through})

        found = tuple(refit(cut) for cut in cuts)
        readings = READINGS + (note.method == "both")  # what blocks read with takes one more
        read, seconds = readings * len(cuts) * learning.tokens, time.perf_counter() - begun
        self.report(
            f"{name}: the first {len(cuts)} of {drawn.name} (seeds 0 to {len(cuts) - 1}), by {note.method}, ridge "
            f"{note.ridge:g}, {read:,} tokens read, {seconds:,.0f} s"
        )
        return RandomPatterns(name, found)


def _held_out(candidate: Candidate) -> list[str]:
    return candidate.file.origin.held_out if candidate.file.origin else []
