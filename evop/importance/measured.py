"""Ranking the units, or the whole parts, of one model by how much they matter on some passages."""

from __future__ import annotations

import numpy as np
import torch

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.importance import IMPORTANCES, importance_of, refuse_strangers, unit_importance
from evop.importance.influence import StreamLayer, block_influence
from evop.importance.site import Site
from evop.importance.statistics import Statistics, gather
from evop.model.families import BlockKind, Sliced
from evop.model.loaded import LoadedModel
from evop.removal.cut import places
from evop.removal.ranking import Ranking
from evop.removal.space import THINNED
from evop.tokens.draws import drawn
from evop.tokens.passages import TokenPassages
from patterns import PatternSpace

INFLUENCE = "influence"
"""The metric of whole parts: block influence."""


def default_importance(grain: str) -> str:
    """Choose the metric where none is named: whole parts need none."""
    return "flap" if grain in THINNED else "none"


def passes(metric: str, compensate: bool) -> int:
    """Count how often the passages go through the model to rank units; a backward pass counts as two."""
    if metric in ("none", INFLUENCE):
        return int(metric == INFLUENCE)
    importance = importance_of(metric)
    return 3 if importance.needs_gradients else int(importance.needs_data or compensate)


def ranking_tokens(metric: str, compensate: bool, passages: TokenPassages) -> int:
    """Count the tokens that ranking units on some passages takes."""
    draw = "" if metric in ("none", INFLUENCE) else importance_of(metric).draw
    read = passages.total
    if draw:
        read = drawn(passages.as_text(), draw).total + (passages.total if compensate else 0)
    return passes(metric, compensate) * read


def refuse_importance(metric: str, grain: str, over: str) -> None:
    """Check that a metric is one for a grain, and for a way of combining groups.

    Raises:
        EvopError: it is not, or is unknown.
    """
    of_units = metric not in ("none", INFLUENCE)
    by_group = importance_of(metric).by_group if of_units else metric == INFLUENCE
    if of_units != (grain in THINNED):
        fits = ", ".join(IMPORTANCES) if grain in THINNED else f"{INFLUENCE} or none"
        raise EvopError(f"--importance {metric} is not for --grain {grain}; choose {fits}")
    if over != "mean" and not by_group:
        raise EvopError(f"--importance-over {over}: --importance {metric} does not look at groups; leave it out")


def refuse_shares(metric: str, passages: TokenPassages) -> None:
    """Check that a metric gives shares to groups alone that are there, whether it reads anything of groups or not.

    Raises:
        EvopError: it names another.
    """
    if metric not in ("none", INFLUENCE):
        refuse_strangers(importance_of(metric).metric, passages.groups)


def measured_ranking(
    evaluator: Evaluator, passages: TokenPassages, *, metric: str, over: str, compensate: bool, seed: int
) -> Ranking:
    """Rank the units of a space's parts.

    Args:
        evaluator: the dense model, and the space.
        passages: the search sample.
        metric: a name of ``IMPORTANCES``, a metric written out, ``"influence"`` or ``"none"``.
        over: how groups are combined: ``"mean"`` or ``"worst"``.
        compensate: whether to keep the mean inputs that stand in for units that leave.
        seed: seed of the random metric.
    """
    loaded, space, passages = evaluator.loaded, evaluator.space, passages.as_text()
    if metric == "none":
        return Ranking()
    if metric == INFLUENCE:
        return evaluator.backoff(lambda batch_tokens: _influence(loaded, space, passages, batch_tokens, over))
    importance = importance_of(metric)
    sites = sites_of(loaded, space, coupled="N" in importance.terminals)

    def measured(some: TokenPassages) -> Statistics:
        return evaluator.backoff(
            lambda batch_tokens: gather(
                loaded.model,
                sites,
                some,
                batch_tokens,
                gradients=importance.needs_gradients,
                of_weights=importance.of_weights,
            )
        )

    statistics = measured(drawn(passages, importance.draw)) if passes(metric, compensate) else None
    values = unit_importance(metric, over, sites, statistics, seed)
    if not compensate or statistics is None:
        return Ranking(values)
    # What stands in for units that leave is the mean of all passages, whichever say that they leave.
    return Ranking(values, _fill(measured(passages) if importance.draw else statistics))


def sites_of(loaded: LoadedModel, space: PatternSpace, *, coupled: bool) -> list[Site]:
    """Find the sites of the thinned parts of a space, where the units of each run together.

    Args:
        loaded: the dense model.
        space: the space that names the parts.
        coupled: whether to bring all weights of a unit along; for some architectures that copies them.
    """
    family, layers = loaded.family, loaded.family.layer_list(loaded.model)
    sites = []
    for part in (part for part in space.parts if part.units):
        ((kind, number),) = places(part)
        block, layer = family.block(kind), layers[number]
        slices = block.slices if coupled else ()
        weights = tuple(_by_unit(layer, sliced, loaded, kind) for sliced in slices)
        sites.append(Site(part.name, layer.get_submodule(block.out), part.units[-1], weights))
    return sites


def _by_unit(layer: torch.nn.Module, sliced: Sliced, loaded: LoadedModel, kind: BlockKind) -> torch.Tensor:
    """Order the weight of one module by units: [units, numbers of each unit]."""
    weight = layer.get_submodule(sliced.module).get_parameter("weight").detach()
    family, config = loaded.family, loaded.model.config
    lines = weight.movedim(sliced.axis, 0)
    units = family.units(config, kind)
    if not sliced.segments:
        return lines.reshape(units, -1)
    rows = [family.rows(config, kind, sliced, [unit], len(lines)) for unit in range(units)]
    return lines[torch.from_numpy(np.concatenate(rows)).to(lines.device)].reshape(units, -1)


def _fill(statistics: Statistics) -> dict[str, np.ndarray]:
    """Take the mean input of every feature, each group of equal weight; float32 [features] per part."""
    return {part: site.mean.mean(axis=0).astype(np.float32) for part, site in statistics.sites.items()}


def _influence(
    loaded: LoadedModel, space: PatternSpace, passages: TokenPassages, batch_tokens: int, over: str
) -> Ranking:
    """Rank whole parts by block influence."""
    family = loaded.family
    layers = [
        StreamLayer(layer, layer.get_submodule(family.attn.adds), layer.get_submodule(family.mlp.adds))
        for layer in family.layer_list(loaded.model)
    ]
    influence = block_influence(
        loaded.model, layers, passages, batch_tokens, parallel=family.is_parallel(loaded.model.config), over=over
    )
    return Ranking({part.name: np.array([influence[part.name]]) for part in space.parts})
