"""The recipe of a search: what to remove, how to look for it, how long."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PlainSerializer, field_validator, model_validator

from evop.errors import EvopError
from evop.losses.loss import Loss
from evop.losses.objectives import TAIL
from evop.recipes.budget import BudgetRecipe
from evop.recipes.count import read_count
from evop.recipes.option import GROUPS, RUNNING, SEARCHING, UNITS, option

CACHE_MB = 1024
"""Mebibytes of the dense model's streams that a search keeps, where nothing else is asked for."""
DEFAULT_EVALUATIONS = 400
"""Number of patterns measured at most where no limit is given and the strategy would go on for ever."""


def _loss(value: Any) -> Any:
    try:
        if isinstance(value, Loss):
            return value
        if not isinstance(value, str):
            raise ValueError("expected a name, such as nll")
        return Loss.named(value)
    except EvopError as error:
        raise ValueError(str(error).removeprefix("--loss ")) from error


LossField = Annotated[Loss, BeforeValidator(_loss), PlainSerializer(str)]
"""A loss, written as its name."""
ObjectiveField = Annotated[
    str, option("cvar (mean excess of the groups that lose most), worst (the largest alone) or mean.")
]
TailField = Annotated[
    float, option("cvar: share of the groups, those that lose most, that the mean is over.", gt=0, le=1)
]
WidthField = Annotated[
    int | None, option("Widths of thinned MLPs are multiples of it; else up to 256, by size.", UNITS, ge=1)
]
OverField = Annotated[
    Literal["mean", "worst"],
    option("mean over the groups, or worst: the group where a unit matters most.", UNITS),
]
"""What a search of patterns and one of metrics ask alike."""


class SearchRecipe(BudgetRecipe):
    """Says what to remove, how to look for it, how long."""

    grain: Annotated[str, option("layer, subblock, head, channel or mixed.")] = "subblock"
    deploy: Annotated[
        str,
        option("stock: the result is a stock architecture; balanced: as many attentions as MLPs leave; any: free."),
    ] = "stock"
    strategy: Annotated[
        str,
        option(
            "auto, surrogate, cma, lq-cma, swap, darwin, genetic, greedy, oneshot, policy, exhaustive or random; auto "
            "measures every pattern where there are at most 200, else it is surrogate."
        ),
    ] = "auto"
    objective: ObjectiveField = "cvar"
    tail: TailField = TAIL
    loss: Annotated[
        LossField,
        option(
            "Of text nll, or kl or reconstruction (how far from the dense model), of tasks accuracy or accuracy_norm; "
            "or nll+accuracy."
        ),
    ] = Loss.named("nll")
    minutes: Annotated[float | None, option("Minutes to search at most.", gt=0)] = None
    evaluations: Annotated[
        int | None,
        option("Distinct patterns to measure at most; 400 without a limit, unless the strategy ends by itself.", ge=1),
    ] = None
    judge: Annotated[
        Literal["masked", "refit", "healed"],
        option(
            "masked: finalists are judged as searched; refit: refitted, by text kept with --train-tokens; healed, with "
            "--tolerate alone: those near the edge are healed, too."
        ),
    ] = "masked"
    heal_tokens: Annotated[
        int | None,
        option("Tokens that each healing of --judge healed learns from, such as 500k.", SEARCHING, shown="1M", ge=1),
        BeforeValidator(read_count),
    ] = None
    seed: Annotated[int, option("Seed of all that is random in the strategy.", ge=0)] = 0

    width_step: WidthField = None
    protect: Annotated[
        tuple[str, ...] | None,
        option("Parts that stay, such as layers.0.attn,layers.11.mlp; or none.", UNITS, shown="as the deploy needs"),
    ] = None
    importance: Annotated[
        str,
        option(
            "Which units leave first: flap, wanda, taylor, ria, pruner-zero, magnitude or random; a metric written "
            "out, such as abs(W)*sqrt(X), or one that evop metric found (its folder); influence (of whole parts, for "
            "oneshot); auto is flap for heads and channels.",
            UNITS,
        ),
    ] = "auto"
    importance_over: OverField = "mean"
    fitness_on: Annotated[
        Literal["all", "held-out"],
        option(
            "all, or held-out: a thinned part is judged on other clusters than those that rank its units, crosswise.",
            GROUPS,
        ),
    ] = "all"
    hold_out_domain: Annotated[
        tuple[str, ...],
        option(
            "A domain that the search sees nothing of, and an audit reports apart; may be repeated, or commas between.",
            GROUPS,
        ),
    ] = ()
    compensate: Annotated[
        Literal["none", "bias", "obs"],
        option(
            "What thinned blocks get for what they lost: none, a bias, or obs: least-squares weights.",
            UNITS,
        ),
    ] = "none"

    max_tokens: Annotated[int, option("Tokens per passage at most.", GROUPS, ge=2)] = 512
    min_group_tokens: Annotated[
        int, option("Tokens that a group needs, in search and in select, to enter the objective.", GROUPS, ge=1)
    ] = 256
    min_group_items: Annotated[
        int, option("Questions that a group of a task needs there; it must be above chance too.", GROUPS, ge=1)
    ] = 8
    scale: Annotated[
        Literal["none", "random"],
        option("none, or random: a group counts in units of what random patterns cost it.", GROUPS),
    ] = "none"

    tokens: Annotated[int | None, option("Tokens to score at most, select included.", SEARCHING, ge=1)] = None
    elitism: Annotated[int | None, option("genetic: number of the best that go over unchanged.", SEARCHING, ge=0)] = (
        None
    )
    patience: Annotated[
        int | None,
        option("Rounds without a better pattern after which genetic ends and swap starts anew.", SEARCHING, ge=1),
    ] = None
    bounds: Annotated[
        bool,
        option(
            "Measure patterns that are certain not to matter on some groups only; with as many evaluations the "
            "answer is the same.",
            SEARCHING,
        ),
    ] = True

    engine: Annotated[
        Literal["serial", "ray"], option("serial, or ray: a round is spread over workers, with evop[ray].", RUNNING)
    ] = "serial"
    workers: Annotated[
        int | None,
        option(
            "Workers, with ray; each holds the model and uses OMP_NUM_THREADS threads. Else all there is room for.",
            RUNNING,
            ge=1,
        ),
    ] = None
    store: Annotated[str | None, option("Folder in which searches share what they measured.", RUNNING)] = None
    share: Annotated[
        bool, option("Run what patterns begin with alike once for all of them; the numbers are the same.", RUNNING)
    ] = True
    cache_mb: Annotated[
        int, option("Mebibytes of what the dense model's layers put out that are kept at most.", RUNNING, ge=0)
    ] = CACHE_MB
    profile: Annotated[bool, option("Say where the time went, and how much memory.", RUNNING)] = False

    @model_validator(mode="before")
    @classmethod
    def _tolerated(cls, value: Any) -> Any:
        """With tolerances, minimise the largest loss, unless something else is said."""
        return {"objective": "worst", **value} if value.get("tolerate") else value

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.tolerate and self.scale != "none":
            raise ValueError(f"--scale {self.scale} and --tolerate both say what counts as one; leave one out")
        return self

    @model_validator(mode="after")
    def _healed_at_an_edge(self) -> Self:
        if self.judge != "healed":
            if self.heal_tokens is not None:
                raise ValueError("--heal-tokens is of --judge healed, which is not given; give it, or leave it out")
        elif not (self.tolerate and self.seeks_largest):
            raise ValueError(
                "--judge healed heals the candidates at the edge of what --tolerate allows, so it goes with --tolerate "
                "alone; where it is said how much is to go, search by --judge refit, then run evop heal on the answer"
            )
        elif self.loss.text not in (None, "nll"):
            raise ValueError(f"--judge healed measures text by its own next words; leave --loss {self.loss.name} out")
        return self

    @model_validator(mode="after")
    def _trained_alone(self) -> Self:
        others = {"engine": "serial", "fitness_on": "all", "scale": "none", "judge": "masked"}
        for name, only in others.items() if self.strategy == "darwin" else ():
            if (found := getattr(self, name)) != only:
                raise ValueError(
                    f"--strategy darwin trains every pattern before it is measured, which --{name.replace('_', '-')} "
                    f"{found} does not; use {only}"
                )
        return self

    @property
    def unit(self) -> str:
        """What counts as one in every group: ``none`` for the loss itself, ``random``, or ``tolerance``."""
        return "tolerance" if self.tolerate else self.scale

    @field_validator("protect", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        """Read ``none``, or names with commas between, as on the command line."""
        return (() if value == "none" else tuple(value.split(","))) if isinstance(value, str) else value

    @field_validator("hold_out_domain", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Read names with commas between, once or several times, as on the command line; each name once."""
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            return value
        return tuple(dict.fromkeys(name for word in words for name in word.split(",") if name))

    @property
    def strategy_options(self) -> dict[str, int]:
        """The options of the strategy that were given."""
        options = {"elitism": self.elitism, "patience": self.patience}
        return {name: value for name, value in options.items() if value is not None}

    def most_evaluations(self, finishes: bool) -> int | None:
        """Say how many patterns to measure at most.

        Args:
            finishes: whether the strategy ends by itself; if it does, no limit given means none.
        """
        limited = not (self.evaluations is None and self.tokens is None and self.minutes is None)
        return self.evaluations if limited or finishes else DEFAULT_EVALUATIONS
