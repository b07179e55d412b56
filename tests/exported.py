"""GGUF files of tiny models, and what llama.cpp predicts of them beside transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tiny import WINDOW, load, logits, random_ids

from evop.export.gguf.runtime import LlamaCpp
from evop.export.gguf.write import GgufPlan
from evop.export.source import Source
from evop.export.write import Pruning
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.masking import masked
from evop.removal.opened import open_pattern

PLACES = (3, 9, 16, 30)
"""Tokens after which the next one is predicted; the last lies beyond the tiny models' windows."""
SLACK = 2.0
"""Largest difference, in differences that computing in float16 makes in transformers."""


def written(model: Path, pattern: Path | None, gguf: Path, bits: str = "f16", quantise: str | None = None) -> GgufPlan:
    """Write the file of a pattern, or of the model itself."""
    dense = Checkpoint.find(model)
    source = Source.of_checkpoint(dense) if pattern is None else Source.of_pruning(pruning(dense, pattern))
    plan = GgufPlan.of(source, bits, quantise)
    plan.write(gguf)
    return plan


def pruning(dense: Checkpoint, pattern: Path) -> Pruning:
    """The plan of the checkpoint of a pattern."""
    return Pruning.planned(dense, open_pattern(pattern, dense))


def expected(model: Path, pattern: Path | None, ids: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Log-probabilities that transformers computes in fp32, and how far off computing in float16 makes them.

    Returns:
        float32 [tokens, vocabulary]; the largest difference at ``PLACES``.
    """
    found = []
    for dtype in (torch.float32, torch.float16):
        dense = load(model).to(dtype)
        if pattern is None:
            out = logits(dense, ids)
        else:
            cut = open_pattern(pattern, Checkpoint.find(model)).cut
            with masked(dense, family_of(dense.config.model_type), cut):
                out = logits(dense, ids)
        found.append(out[0].float().log_softmax(-1))
    at = [place - 1 for place in PLACES if place < len(ids[0])]
    return found[0], (found[0] - found[1])[at].abs().max().item()


def differs(gguf: Path, ids: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference of a log-probability at ``PLACES``, over the whole vocabulary."""
    runtime, found = LlamaCpp(gguf, context=256), []
    for place in (place for place in PLACES if place < len(ids[0])):
        told = runtime.next_logprobs(ids[0, :place].tolist(), wanted.shape[-1])
        assert len(told) == wanted.shape[-1]
        values = np.array([told[token] for token in range(wanted.shape[-1])])
        found.append(np.abs(values - wanted[place - 1].numpy()).max())
    return float(max(found))


def read_by(name: str) -> torch.Tensor:
    """Tokens for a tiny model, within the window where llama.cpp knows of none: int64 [1, length]."""
    return random_ids(1, WINDOW - 1 if name == "mistral" else 2 * WINDOW)


def assert_same(model: Path, pattern: Path | None, gguf: Path, ids: torch.Tensor) -> None:
    """llama.cpp predicts what transformers does."""
    wanted, explained = expected(model, pattern, ids)
    assert differs(gguf, ids, wanted) <= SLACK * explained + 0.002
