"""The judge of ``peers.py``: plain transformers, blocks silenced by hooks, none of evop's code in between.

Mean next-token loss by domain on windows nobody saw, a window at a time: no padding, fp32.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers_data import CALIBRATED, FOREIGN
from torch.nn import functional

Losses = dict[str, np.ndarray]
"""Domain -> summed loss of each of its windows, float64 [windows]."""
DRAWS = 5000
"""Draws of a bootstrap."""


@dataclass
class Judge:
    """Measures what a Llama loses without some of its blocks; remembers it in a file.

    Attributes:
        model: the model, as transformers loads it.
        windows: domain -> token ids of each window.
        memory: where losses are kept; must be of the same model and windows.
    """

    model: Any
    windows: Mapping[str, Sequence[Sequence[int]]]
    memory: Path
    known: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = {name: np.array([len(ids) - 1 for ids in each]) for name, each in self.windows.items()}
        if self.memory.is_file():
            self.known = json.loads(self.memory.read_text())

    def losses(self, removed: Iterable[str]) -> Losses:
        """Measure a pattern.

        Args:
            removed: its blocks, such as ``3.attn``.
        """
        blocks = sorted(set(removed), key=lambda block: (int(block.partition(".")[0]), block))
        name = " ".join(blocks) or "dense"
        if name not in self.known:
            with silenced(self.model, blocks):
                self.known[name] = {domain: [self._loss(ids) for ids in each] for domain, each in self.windows.items()}
            self.memory.write_text(json.dumps(self.known))
        return {domain: np.array(values) for domain, values in self.known[name].items()}

    def excess(self, removed: Iterable[str]) -> dict[str, float]:
        """Mean loss of each domain beyond the dense model's, in nats per token."""
        losses, dense = self.losses(removed), self.losses(())
        return {name: float((losses[name] - dense[name]).sum() / self.counts[name].sum()) for name in losses}

    def gap(self, ours: Iterable[str], theirs: Iterable[str]) -> dict[str, tuple[float, float, float]]:
        """Ours minus theirs in the worst and in the mean of the calibrated domains: value, and a 95% interval of it.

        The bootstrap draws windows within each domain, the same for both.
        """
        rng, dense = np.random.default_rng(0), self.losses(())
        both = [self.losses(ours), self.losses(theirs)]
        drawn = np.empty((2, len(CALIBRATED), DRAWS + 1))
        for place, domain in enumerate(CALIBRATED):
            counts = self.counts[domain]
            chosen = np.vstack([np.arange(len(counts)), rng.integers(0, len(counts), (DRAWS, len(counts)))])
            for side, losses in enumerate(both):
                lost = losses[domain] - dense[domain]
                drawn[side, place] = lost[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
        gaps = {"worst": drawn.max(axis=1), "mean": drawn.mean(axis=1)}
        return {what: _with_interval(values[0] - values[1]) for what, values in gaps.items()}

    @torch.inference_mode()
    def _loss(self, ids: Sequence[int]) -> float:
        """Sum the next-token losses of a window, in nats."""
        tokens = torch.tensor([list(ids)])
        logits = self.model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
        return float(functional.cross_entropy(logits, tokens[0, 1:], reduction="none").double().sum())


def summary(excess: Mapping[str, float]) -> dict[str, float]:
    """The figures of a row of the table, of the excess by domain."""
    eight = [excess[domain] for domain in CALIBRATED]
    return {
        "worst": max(eight),
        "mean": sum(eight) / len(eight),
        "foreign": max(excess[domain] for domain in FOREIGN),
    }


@contextmanager
def silenced(model: Any, blocks: Iterable[str]) -> Iterator[None]:
    """Let blocks put out zeros, for the length of a ``with`` block: what they add to the stream is nothing."""
    hooks = []
    for layer, kind in (block.split(".") for block in blocks):
        decoder = model.model.layers[int(layer)]
        hooks.append((decoder.self_attn if kind == "attn" else decoder.mlp).register_forward_hook(_zeros))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _zeros(module: Any, inputs: Any, output: Any) -> Any:
    """Replace what a block puts out, first of several things where it puts out several."""
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)


def _with_interval(draws: np.ndarray) -> tuple[float, float, float]:
    """Return the first draw, which is the sample itself, and the 2.5% and 97.5% quantiles of the others."""
    low, high = np.quantile(draws[1:], (0.025, 0.975)).tolist()
    return float(draws[0]), low, high
