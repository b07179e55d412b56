"""Searches of metrics over masks of weights: what evop metric is for units. No command of its own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import optuna
import torch
from weight_masks import Share, Sums, WeightMasks

from evop.metrics.methods import Asked, make_method
from evop.metrics.methods.study import quiet
from evop.metrics.metric import Metric
from evop.metrics.simplify import simplified
from evop.tokens.passages import TokenPassages

STEP = 0.05
"""How much more or less than the others a layer may lose, in OptiShear's second search."""
BARREN_ROUNDS = 50
FINALISTS = 8


@dataclass
class WeightSearch:
    """A search of metrics over masks of weights: what evop metric is for units.

    Attributes:
        masks: the model.
        share: what leaves of every row.
        search: the passages that metrics are measured on.
        select: those that choose among the eight best.
        value: makes a number of what was measured, and of what the dense model loses.
        log: a file of what was measured, by which a search goes on; None for no file.
        known: masks of weights -> what was measured for them.
    """

    masks: WeightMasks
    share: Share
    search: TokenPassages
    select: TokenPassages
    value: Callable[[Sums, Sums], float]
    log: Path | None = None
    known: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.log and self.log.is_file():
            # A kill may have torn the last line.
            lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            self.known = dict(json.loads(line) for line in lines)
            self.log.write_text("".join(lines))

    def best(self, name: str, asked: Asked, evaluations: int) -> Metric:
        """Search by a method of evop; masks that are the same are measured once, and counted once."""
        method, values = make_method(name, asked), {}
        known: set[str] = set()
        dense = self.masks.measured(None, self.search)
        barren = 0
        while barren < BARREN_ROUNDS and len(known) < evaluations and (round_of := list(method.ask())):
            before = len(known)
            written = {metric: Metric(simplified(metric.expression), metric.shares) for metric in round_of}
            for metric in dict.fromkeys(written.values()):
                if metric not in values and len(known) < evaluations:
                    values[metric] = self._measured(metric, known, dense)
            method.tell({metric: values.get(written[metric], math.inf) for metric in round_of})
            barren = 0 if len(known) > before else barren + 1
        unlike = {value: metric for metric, value in reversed(values.items())}
        dense = dense + self.masks.measured(None, self.select)
        finalists = [unlike[value] for value in sorted(unlike)[:FINALISTS] if math.isfinite(value)]
        return min(finalists, key=lambda metric: self.claimed(metric, dense))

    def claimed(self, metric: Metric, dense: Sums | None = None) -> float:
        """Measure a metric on search and select together."""
        dense = dense or self.masks.measured(None, self.search) + self.masks.measured(None, self.select)
        masks = self.masks.masks(metric.expression, self.share)
        assert masks is not None
        weights = self.masks.zeroed(masks)
        return self.value(self.masks.measured(weights, self.search) + self.masks.measured(weights, self.select), dense)

    def _measured(self, metric: Metric, counted: set[str], dense: Sums) -> float:
        masks = self.masks.masks(metric.expression, self.share)
        if masks is None:
            return math.inf
        key, found = self._of_masks(masks, lambda sums: self.value(sums, dense))
        counted.add(key)
        return found

    def _of_masks(self, masks: list[torch.Tensor], value: Callable[[Sums], float]) -> tuple[str, float]:
        """Measure masks, or find what was measured: their hash, and the value."""
        key = hashlib.sha256(b"".join(np.packbits(mask.numpy()).tobytes() for mask in masks)).hexdigest()
        if key not in self.known:
            found = value(self.masks.measured(self.masks.zeroed(masks), self.search))
            self.known[key] = found if math.isfinite(found) else math.inf
            if self.log:
                with self.log.open("a") as file:
                    file.write(json.dumps([key, self.known[key]]) + "\n")
        return key, self.known[key]

    def shares_of_layers(self, metric: Metric, seed: int, trials: int) -> list[float]:
        """OptiShear's second search: how much every layer loses, by NSGA-III with two objectives.

        A layer loses 0.05 less than the others, as much, or 0.05 more; what is minimised is the distance of the logits,
        and how far the whole is from what was asked. The release does not say which trial of the front is taken: here
        the one of least distance among those that lose as much as was asked.

        Source: OptiShear (Liu et al., arXiv 2502.10735), and its code, which takes Optuna's sampler; the seed is ours.
        """
        assert isinstance(self.share, float)
        layers = 1 + max(int(site.part.partition(".")[0]) for site in self.masks.sites)
        choices = (self.share - STEP, self.share, self.share + STEP)
        weights = sum(site.weight.numel() for site in self.masks.sites)
        asked = sum(self.share * site.weight.numel() for site in self.masks.sites) / weights
        found = []
        with quiet():
            sampler = optuna.samplers.NSGAIIISampler(seed=seed)
            study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
            for _ in range(trials):
                trial = study.ask()
                shares = [trial.suggest_categorical(f"layer {number}", choices) for number in range(layers)]
                masks = self.masks.masks(metric.expression, shares)
                assert masks is not None
                gone = sum(int((~mask).sum()) for mask in masks) / weights
                _, distance = self._of_masks(masks, lambda sums: sums.reconstruction)
                study.tell(trial, [distance, abs(gone - asked)])
                found.append((gone < asked - 1e-3, distance, shares))
        return min(found)[2]
