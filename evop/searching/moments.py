"""The moments that the levels of a search are refitted by: gathered once, and kept beside its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from calibration import SPLITS, CalibrationSet
from calibration.passage import domain_of
from evop.evaluator import Evaluator
from evop.importance.moments import gathered_moments, moment_passes, moment_sizes
from evop.recipes.search import SearchRecipe
from evop.removal.moments_file import MomentsFile, refuse_short_disk, write_moments
from evop.removal.ranking import Ranking
from evop.searching.folder import SearchRun
from evop.searching.progress import Progress, Watch
from evop.tokens.passages import TokenPassages, tokenize

TRAIN = "train"
"""The split of a calibration set that holds text to learn from; sets may lack it."""


def moment_texts(
    recipe: SearchRecipe, calibration: CalibrationSet, tokenizer: Any, samples: Sequence[TokenPassages]
) -> list[TokenPassages]:
    """Choose what levels are refitted on: the split ``train`` of the searched domains where the set has one.

    No document of ``train`` is searched, so it serves the halves of a sample too. Without it, it is what units are
    ranked on.

    Args:
        recipe: says whether levels are refitted at all.
        calibration: the calibration set.
        tokenizer: the model's.
        samples: the search sample; behind it each half, where fitness is held out.

    Returns:
        One text for all rankings, or one for each; none where levels keep their weights.
    """
    if recipe.compensate != "obs":
        return []
    searched = {domain_of(group) for group in samples[0].groups}
    learnt = [p for p in calibration.split(TRAIN) if p.domain in searched] if TRAIN in SPLITS else []
    return [tokenize(learnt, tokenizer, recipe.max_tokens)] if learnt else list(samples)


def moment_tokens(evaluator: Evaluator, texts: Sequence[TokenPassages]) -> dict[str, int]:
    """Count the tokens that gathering the moments takes: purpose -> tokens; nothing where levels keep their weights."""
    if not texts:
        return {}
    passes = moment_passes(moment_sizes(evaluator.loaded, evaluator.space))
    return {"moments": passes * sum(text.total for text in texts)}


def refuse_no_room(run: SearchRun, evaluator: Evaluator, texts: Sequence[TokenPassages]) -> None:
    """Check that the folder of a new search has room for its moments.

    Raises:
        EvopError: it has not.
    """
    if texts:
        refuse_short_disk(run.folder, moment_sizes(evaluator.loaded, evaluator.space), len(texts))


def with_moments(
    rankings: Sequence[Ranking], run: SearchRun, evaluator: Evaluator, texts: Sequence[TokenPassages], watch: Watch
) -> list[Ranking]:
    """Give rankings the moments that lie beside the log, or that are gathered now for a new search.

    Args:
        rankings: that of the whole sample; behind it those of its halves, where fitness is held out.
        run: the folder of the search.
        evaluator: the dense model, and the space.
        texts: from ``moment_texts``.
        watch: is shown the progress.

    Raises:
        EvopError: a file that is missing or torn, a full disk, or an input that is not finite.
    """
    if not texts:
        return list(rankings)
    paths = run.moments[: len(texts)]
    if run.header is None:
        watch(Progress("moments"))
        for path, text in zip(paths, texts, strict=True):
            write_moments(path, gathered_moments(evaluator, text))
    files = [MomentsFile(path) for path in paths]
    files = files if len(files) == len(rankings) else files * len(rankings)
    return [replace(ranking, moments=file) for ranking, file in zip(rankings, files, strict=True)]
