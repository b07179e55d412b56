"""The recipe of healing: how a pruned model learns from the dense one, how long, and which groups come first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import field_validator

from evop.recipes.count import read_count
from evop.recipes.execution import Execution
from evop.recipes.option import GROUPS, LEARNING, option

Train = Literal["lora", "full", "outputs"]
LEARNING_RATES: dict[str, float] = {"lora": 4e-3, "full": 5e-4, "outputs": 1e-3}
"""Learning rate of each ``--train`` where none is asked for, at ``WIDTH``: the best of a few, judged on ``select``."""
WIDTH = 192
"""Hidden size of the embedded model, on which they were chosen."""
LOOKS = 20
"""How often all groups are looked at where nobody says how often."""


class HealRecipe(Execution):
    """Healing: a pruned model learns from the dense one by a short distillation that watches every group."""

    tokens: Annotated[int, option("Tokens to learn from, such as 500k or 2M.", shown="1M", ge=1)] = 1_000_000
    train: Annotated[
        Train, option("lora: low-rank changes of all projections of the blocks; outputs: last projections; full: all.")
    ] = "lora"
    weights: Annotated[
        Literal["uniform", "excess", "cvar"],
        option("uniform: groups are learned from alike; excess: more where more is lost; cvar: the worse half alone."),
    ] = "excess"
    tolerate: Annotated[
        float | None,
        option("Excess, in nats per token, that you tolerate; ends when every group is surely within it.", ge=0),
    ] = None
    patience: Annotated[int, option("Looks without a better worst group after which it ends; 0: never.", ge=0)] = 5
    seed: Annotated[int, option("Seed of all that is random.", ge=0)] = 0

    zeros: Annotated[
        Literal["keep", "fill"],
        option("keep: weights that evop prune --grain weight made zero stay zero; fill: they learn too.", LEARNING),
    ] = "keep"
    rank: Annotated[int, option("Rank of the changes, with --train lora.", LEARNING, ge=1)] = 32
    learning_rate: Annotated[
        float | None,
        option("Largest learning rate; else one that suits --train and the model's width.", LEARNING, gt=0),
    ] = None
    batch_tokens: Annotated[int, option("Tokens per step.", LEARNING, ge=1)] = 2048
    top_k: Annotated[
        int, option("Likeliest words of the dense model that are learned; the others count as one.", LEARNING, ge=1)
    ] = 64
    nll: Annotated[float, option("How much of the next-token loss is added to the divergence.", LEARNING, ge=0)] = 0.1
    eta: Annotated[float, option("How fast --weights excess moves, per nat of excess.", LEARNING, ge=0)] = 1.0
    teacher: Annotated[
        Literal["beside", "cache"],
        option("beside: ask the dense model at every step; cache: keep on the disk what it said.", LEARNING),
    ] = "beside"
    cache_gb: Annotated[float, option("Gigabytes that --teacher cache may take.", LEARNING, gt=0)] = 10.0
    anchor: Annotated[float, option("Share of anchor text in every batch.", LEARNING, ge=0, lt=1)] = 0.0
    anchor_text: Annotated[
        str | None, option("A corpus for --anchor, as for --domain; else the dense model's own samples.", LEARNING)
    ] = None
    look_every: Annotated[
        int | None,
        option("Tokens between two looks at all groups; else a twentieth of --tokens.", LEARNING, shown="auto"),
    ] = None
    max_tokens: Annotated[int, option("Tokens per passage at most.", GROUPS, ge=2)] = 512
    min_group_tokens: Annotated[int, option("Tokens that a group needs in select to be watched.", GROUPS, ge=1)] = 256

    @field_validator("tokens", "look_every", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        """Read ``500k`` and ``2M``, as on the command line; ``auto`` is None."""
        return read_count(value)

    @field_validator("look_every")
    @classmethod
    def _at_least_one(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("expected at least one token")
        return value

    def rate(self, width: int) -> float:
        """Choose the largest learning rate: what was asked for, or less the wider the model is.

        Args:
            width: the model's hidden size.

        Source: Yang et al. (arXiv 2203.03466), for Adam: the rate of a matrix goes as one over its inputs.
        """
        return LEARNING_RATES[self.train] * WIDTH / width if self.learning_rate is None else self.learning_rate

    @property
    def every(self) -> int:
        """Tokens between two looks at all groups."""
        return max(1, self.tokens // LOOKS) if self.look_every is None else self.look_every
