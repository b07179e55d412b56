"""Tree-structured Parzen estimators over metrics, and over metrics and calibration text together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from optuna.samplers import TPESampler

from calibration.passage import domain_of
from evop.metrics.meta import meta_metric
from evop.metrics.methods import Asked
from evop.metrics.methods.study import Study, suggested
from evop.metrics.metric import Metric
from evop.tokens.draws import DRAWS

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares that a domain may count."""


class Tpe(Study):
    """Searches OptiShear's space one metric after the other; it never finishes.

    Source: Bergstra et al., "Algorithms for hyper-parameter optimization" (NeurIPS 2011), by Optuna with its defaults.
    """

    def __init__(self, asked: Asked) -> None:
        super().__init__(
            lambda: TPESampler(seed=asked.seed),
            lambda trial: Metric(meta_metric(**suggested(trial), faithful=asked.faithful)),
            size=1,
        )


class AdaPruner(Study):
    """Searches a metric and which text counts how much in it, together, by the same estimators.

    AdaPruner searches a calibration subset and the parameters of a metric jointly. Its code is not public, so ours are:
    the metrics, which are OptiShear's, and the subset, which is a share of every domain from 0 to 1 in quarters, of
    its clusters those that are in, and of every group's passages all, or one half or another.

    Source: AdaPruner (AAAI 2025, arXiv 2503.06184), by its abstract.
    """

    def __init__(self, asked: Asked) -> None:
        def metric_of(trial: Any) -> Metric:
            expression = meta_metric(**suggested(trial), faithful=asked.faithful)
            shares = [share for domain, groups in clusters.items() for share in _shares(trial, domain, groups)]
            # Shares say how groups count beside each other; where none would, all count.
            counted = tuple(shares) if any(share for _, share in shares) else ()
            return Metric(expression, counted, trial.suggest_categorical("draw", ("", *DRAWS)))

        clusters: dict[str, list[str]] = {}
        for group in asked.groups:
            clusters.setdefault(domain_of(group), []).append(group)

        super().__init__(lambda: TPESampler(seed=asked.seed), metric_of, size=1)


def _shares(trial: Any, domain: str, groups: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Let a trial choose what a domain counts, and which of its clusters are in."""
    share = trial.suggest_categorical(f"share {domain}", SHARES)
    if len(groups) == 1:
        yield domain, share
        return
    for group in groups:
        yield group, share * trial.suggest_categorical(f"cluster {group}", (True, False))
