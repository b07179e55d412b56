"""How the embedded model got its card."""

import textwrap
from collections.abc import Sequence

from evop.reference.making.losses import DomainLoss, table
from evop.reference.making.training import Training

__all__ = ["model_card"]

HEAD = """---
library_name: transformers
pipeline_tag: text-generation
language:
- en
tags:
- llama
- structured-pruning
- evop
---

# evop reference model"""


def model_card(training: Training, losses: Sequence[DomainLoss]) -> str:
    """Return the card of a finished run, with its held-out losses where some were measured."""
    recipe, shape = training.recipe, training.recipe.shape
    available = sum(len(stream) for stream in training.streams.values())
    what = (
        f"A small Llama-architecture language model of {training.model.num_parameters():,} parameters, made to be "
        f"pruned, not to be used: {shape.layers} layers, hidden {shape.hidden}, {shape.heads} query heads over "
        f"{shape.kv_heads} key/value heads, MLP {shape.mlp}, byte-level BPE of {shape.vocabulary:,} tokens, tied "
        "embeddings, fp16."
    )
    how = (
        f"{training.step * recipe.batch * recipe.length:,} tokens in equal parts from {', '.join(training.streams)} "
        f"({available:,} different tokens at hand): {training.step:,} steps of {recipe.batch} sequences of "
        f"{recipe.length} tokens. Muon (learning rate {recipe.muon_lr}) for the matrices of the layers, AdamW "
        f"({recipe.adamw_lr}) for embeddings and norms, {'bf16 autocast' if recipe.autocast else 'fp32'}; constant "
        f"for {recipe.constant:.0%} of the steps, then falling to zero in a line; seed {recipe.seed}. Made by "
        "`python -m evop.reference.making.train`. The licence is the maker's to choose, with regard to the text."
    )
    measured = (
        f"The first {recipe.length} tokens of each text, the first token not scored, fp32 arithmetic on the fp16 "
        "weights."
        if losses
        else "Not measured: no held-out text was given."
    )
    parts = [HEAD, _fill(what), "## Training", _fill(how), "## Held-out loss", _fill(measured)]
    return "\n\n".join([*parts, *([table(losses)] if losses else [])]) + "\n"


def _fill(text: str) -> str:
    return textwrap.fill(text, 118, break_on_hyphens=False)
