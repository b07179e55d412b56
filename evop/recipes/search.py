"""What a person asks of a search: what to remove, how to look for it, how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator

from evop.errors import EvopError
from evop.losses.loss import Loss
from evop.recipes.execution import Execution

CACHE_MB = 1024
"""Mebibytes of the dense model's streams that a search keeps, where nothing else is asked for."""


def _loss(value: Any) -> Any:
    try:
        return Loss.named(value) if isinstance(value, str) else value
    except EvopError as error:
        raise ValueError(str(error).removeprefix("--loss ")) from error


LossField = Annotated[Loss, BeforeValidator(_loss), PlainSerializer(str)]
"""A loss, written as its name."""
DEFAULT_EVALUATIONS = 400
"""Where no limit is given and the strategy would go on for ever."""


class SearchRecipe(Execution):
    """A search: what to remove, how to look for it, how long.

    Attributes:
        remove: fraction of the decoder blocks' cost.
        grain: ``layer``, ``subblock``, ``head``, ``channel`` or ``mixed``.
        width_step: widths an MLP may be thinned to are multiples of it; None for one that suits the model.
        strategy: a name of ``patterns.STRATEGIES``, or ``auto``: all patterns where they are few, else CMA-ES.
        elitism: of the genetic strategy: how many of the best go over unchanged.
        patience: rounds without a better pattern after which ``genetic`` ends and ``swap`` starts anew.
        objective: ``worst``, ``cvar`` or ``mean`` over the groups.
        loss: of text ``nll``, or ``kl`` to the dense model; of items ``accuracy`` or ``accuracy_norm``; or one of each
            joined by ``+``. Groups of the other kind are not searched on.
        scale: ``none``, or ``random``: a group's excess counts in units of its median under random patterns.
        cost: what ``remove`` counts: ``params``, ``flops``, ``kv`` or ``latency``: measured time of a request.
        latency_batch: sequences of that request side by side; None for 1.
        latency_context: tokens it reads; None for 512, or what the model has positions for.
        latency_decode: tokens it writes after them; None for 64.
        latency_table: a ``latency.json`` to use, or a folder that holds one; None to measure one.
        deploy: ``stock`` or ``any``.
        protect: names of parts that stay dense; None for the default of the deploy.
        importance: how units, or whole parts for ``oneshot``, are ranked; ``auto`` for the grain's default.
        importance_over: ``mean`` over the groups, or ``worst``: the group where a unit matters most.
        compensate: ``none``, or ``bias``: thinned blocks get a bias for what they lost.
        max_tokens: tokens of a passage at most.
        min_group_tokens: tokens a group needs, in search and in select, to enter the objective.
        min_group_items: items a group of a task needs there; it must be above chance too.
        seed: of the strategy.
        evaluations: distinct patterns to measure at most.
        tokens: tokens to score at most.
        minutes: minutes to search at most.
        store: folder in which searches share what they measured; each is charged as if it were alone.
        bounds: whether patterns that are certain not to matter are measured on some groups only; it changes what a
            search costs, not what it finds (under a limit of tokens it gets further).
        share: whether patterns of a round run together, what they begin with alike once; the numbers are the same.
        cache_mb: mebibytes of the dense model's streams that are kept at most.
        engine: ``serial``, or ``ray``: patterns of a round are measured side by side.
        workers: of Ray, each with the model and this process' number of threads; None for as many as it has room for.
        profile: whether to wait for the device after every stage, so that its seconds are those of the stage.
    """

    remove: float = 0.25
    grain: str = "subblock"
    width_step: int | None = Field(default=None, ge=1)
    strategy: str = "auto"
    elitism: int | None = Field(default=None, ge=0)
    patience: int | None = Field(default=None, ge=1)
    objective: str = "worst"
    loss: LossField = Loss.named("nll")
    scale: Literal["none", "random"] = "none"
    cost: str = "params"
    latency_batch: int | None = Field(default=None, ge=1)
    latency_context: int | None = Field(default=None, ge=1)
    latency_decode: int | None = Field(default=None, ge=1)
    latency_table: str | None = None
    deploy: str = "stock"
    protect: tuple[str, ...] | None = None
    importance: str = "auto"
    importance_over: Literal["mean", "worst"] = "mean"
    compensate: Literal["none", "bias"] = "none"
    max_tokens: int = Field(default=512, ge=2)
    min_group_tokens: int = Field(default=256, ge=1)
    min_group_items: int = Field(default=8, ge=1)
    seed: int = Field(default=0, ge=0)
    evaluations: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    store: str | None = None
    bounds: bool = True
    share: bool = True
    cache_mb: int = Field(default=CACHE_MB, ge=0)
    engine: Literal["serial", "ray"] = "serial"
    workers: int | None = Field(default=None, ge=1)
    profile: bool = False

    @field_validator("protect", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        """``none``, or names with commas between, as on the command line."""
        return (() if value == "none" else tuple(value.split(","))) if isinstance(value, str) else value

    @property
    def strategy_options(self) -> dict[str, int]:
        """Options of the strategy that were given."""
        given = {"elitism": self.elitism, "patience": self.patience}
        return {name: value for name, value in given.items() if value is not None}

    def most_evaluations(self, finishes: bool) -> int | None:
        """How many patterns to measure at most.

        Args:
            finishes: whether the strategy ends by itself; if it does, no limit given means none.
        """
        limited = not (self.evaluations is None and self.tokens is None and self.minutes is None)
        return self.evaluations if limited or finishes else DEFAULT_EVALUATIONS
