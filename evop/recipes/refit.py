"""The recipe of a refit: how the weights that stay make up for what left."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import field_validator

from evop.recipes.execution import Execution
from evop.recipes.option import GROUPS, option

Refit = Literal["auto", "chain", "both", "single", "replaceme", "linearpatch", "diagonal"]
RIDGES = (0.1, 1.0)
"""Ridges that are tried where none is asked for."""


class RefitRecipe(Execution):
    """Refitting in closed form: what is changed, how far from the dense weights, and by which text."""

    refit: Annotated[
        Refit,
        option(
            "chain: all last projections, one after the other; both: what blocks read with too; single: those before a "
            "gap; replaceme, linearpatch and diagonal: less freely; auto: both, or none where no better on select."
        ),
    ] = "auto"
    ridge: Annotated[
        float | None,
        option("Pull towards the weights there are, in mean squares of what they read.", shown="auto", gt=0, le=1e15),
    ] = None
    anchor: Annotated[
        float, option("Share of text of no named domain, so that what nobody named is not lost.", ge=0, le=0.9)
    ] = 0.2
    anchor_text: Annotated[
        str | None, option("A corpus for --anchor, as for --domain; else the dense model's own samples.")
    ] = None
    self_generated: Annotated[
        bool, option("Learn from the dense model's own continuations of the text; for chat models.")
    ] = False
    seed: Annotated[int, option("Seed of what the dense model samples.", ge=0)] = 0
    max_tokens: Annotated[int | None, option("Tokens per passage at most; else as searched.", GROUPS, ge=2)] = None

    @field_validator("ridge", mode="before")
    @classmethod
    def _auto_or_a_number(cls, value: Any) -> Any:
        """Read ``auto``, as on the command line."""
        return None if value == "auto" else value

    @property
    def method(self) -> str:
        """The method that is tried."""
        return "both" if self.refit == "auto" else self.refit

    @property
    def ridges(self) -> tuple[float, ...]:
        """The ridges that are tried."""
        return RIDGES if self.ridge is None else (self.ridge,)
