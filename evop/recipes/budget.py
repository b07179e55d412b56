"""The part of a search's recipe that says how much has to go."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from evop.losses.tolerance import Tolerances
from evop.recipes.execution import Execution
from evop.recipes.option import FIT, TIME, UNITS, option
from evop.recipes.tolerated import Tolerated
from evop.removal.size import Remove, budget_name, read_bytes, read_remove
from patterns.feasible import MEMORY, asked_of

REMOVE = 0.25
"""Fraction of the blocks' parameters that leaves, where nothing else is asked for."""


class BudgetRecipe(Execution):
    """Says how much has to go: fractions of costs, a limit of bytes, or as much as is tolerated."""

    remove: Annotated[
        Remove,
        BeforeValidator(read_remove),
        option(
            "Fraction of the decoder blocks to remove; or COST=FRACTION, several times: each is met.",
            shown="0.25; as much as can go with --tolerate; none with --fit-in",
            several=True,
        ),
    ] = None
    fit_in: Annotated[
        int | None,
        option("Bytes that weights and cache may take together, such as 4GiB.", FIT, shown="no limit", gt=0),
        BeforeValidator(read_bytes),
    ] = None
    tolerate: Annotated[
        Tolerated,
        option(
            "What a group may lose: 0.10 (nats per token of text), 3% (points of right answers), code=0.05 (a domain); "
            "may be repeated."
        ),
    ] = ()

    cost: Annotated[
        str,
        option("What a bare --remove counts: params, flops, kv or latency (time measured on this device).", UNITS),
    ] = "params"
    fit_context: Annotated[
        int | None, option("Tokens of each sequence in the cache; else 2048, or what the model takes.", FIT, ge=1)
    ] = None
    fit_batch: Annotated[int | None, option("Sequences in the cache; else 1.", FIT, ge=1)] = None
    fit_dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None,
        option("Dtype of weights and cache: auto (as stored), float32, bfloat16 or float16.", FIT),
    ] = None
    latency_batch: Annotated[int | None, option("Sequences side by side; else 1.", TIME, ge=1)] = None
    latency_context: Annotated[
        int | None, option("Tokens read (prefill); else 512, or what the model takes.", TIME, ge=1)
    ] = None
    latency_decode: Annotated[int | None, option("Tokens written after them (decode); else 64.", TIME, ge=1)] = None
    latency_table: Annotated[str | None, option("A latency.json measured before, or a run that holds one.", TIME)] = (
        None
    )

    @model_validator(mode="before")
    @classmethod
    def _a_quarter(cls, values: Any) -> Any:
        """Ask for a quarter where nothing is asked for."""
        if any(values.get(name) for name in ("tolerate", "fit_in")) or values.get("remove") not in (None, [], ()):
            return values
        return {**values, "remove": REMOVE}

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if isinstance(self.remove, dict) and self.cost not in ("params", *self.remove):
            raise ValueError(
                f"--cost {self.cost} is what a bare --remove counts, but --remove names its costs "
                f"({', '.join(self.remove)}); name {self.cost} there too, or leave --cost out"
            )
        return self

    @property
    def tolerances(self) -> Tolerances | None:
        """What every group may lose; None where nothing was said of it."""
        return Tolerances.read(self.tolerate) if self.tolerate else None

    @property
    def seeks_largest(self) -> bool:
        """Whether as much has to go as is tolerated, and nothing else says how much."""
        return self.remove is None and self.fit_in is None

    @property
    def asked(self) -> dict[str, float]:
        """Cost -> the fraction of the blocks that is to leave; none where as much as is tolerated has to go."""
        return asked_of(self.remove, self.cost)

    @property
    def costs(self) -> str:
        """The costs of which fractions are asked, such as ``params`` or ``params+kv``; ``memory`` for none."""
        return self.cost if self.seeks_largest else "+".join(self.asked) or MEMORY

    @property
    def counts_time(self) -> bool:
        """Whether time is among what is counted, so that a table of times is needed."""
        return "latency" in self.costs.split("+")

    @property
    def budget_name(self) -> str:
        """What is asked, in one word: ``0.25``, ``params=0.25,kv=0.2``, ``fit=4GiB`` or ``tolerated``."""
        return "tolerated" if self.seeks_largest else budget_name(self.remove, self.fit_in)
