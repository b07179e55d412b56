"""What the groups of a search's answer may lose, and what they lose on ``select``, which the search did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evop.losses.bearing import DRAWS, Bearing, Borne
from evop.losses.means import excess_means, simulated_noise
from evop.losses.table import LossTable
from evop.removal.cut import Cut
from evop.searching.point_file import Judgement
from evop.searching.setup import SearchSetup
from evop.tokens.passages import TokenPassages

SEED = tuple(b"select")


def judged_cut(setup: SearchSetup, cut: Cut) -> Judgement:
    """Measure a cut on ``select``, document by document, and hold every group against its tolerance."""
    evaluator, passages = setup.fitness.sample.evaluator, setup.passages.select
    dense, pruned = evaluator.of_cuts([Cut(), cut], passages)
    return judgement(passages, dense, pruned.loss, setup.fitness.scale or {})


def judgement(
    passages: TokenPassages, dense: LossTable, losses: np.ndarray, tolerance: Mapping[str, float]
) -> Judgement:
    """Hold losses against tolerances.

    Args:
        passages: what was measured.
        dense: losses of the dense model.
        losses: losses of the pruned one, float64 [passages].
        tolerance: group -> what it may lose.
    """
    is_item = np.array([passages.item(i) is not None for i in range(len(passages.ids))])
    parts = []
    for kind, members in (("text", np.flatnonzero(~is_item)), ("item", np.flatnonzero(is_item))):
        if len(members):
            extra = (losses - dense.loss)[members]
            part = passages.take(members.tolist())
            parts.append(_borne(kind, part, extra, dense.counts[members], tolerance))
    return Judgement.of(Bearing.of(parts, SEED))


def _borne(
    kind: str, passages: TokenPassages, extra: np.ndarray, counts: np.ndarray, tolerance: Mapping[str, float]
) -> Borne:
    """Sum up the groups of one kind; of questions, what breaks ties is left out."""
    groups = tuple(dict.fromkeys(passages.groups))
    owner, group = _numbers(passages.documents), _numbers(passages.groups)
    extra = np.rint(extra) if kind == "item" else extra
    means = excess_means(extra, counts.astype(float), owner, group, kind)
    noise = simulated_noise(extra[None], counts, owner, group, DRAWS, SEED)[:, 0]
    return Borne(kind, groups, means, noise, np.array([tolerance[name] for name in groups]))


def _numbers(names: Sequence[str]) -> np.ndarray:
    """Number names in order of first appearance, int64."""
    at = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([at[name] for name in names])
