"""The recipe of an audit: what is measured beside the losses of every group, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import field_validator

from evop.recipes.execution import Execution
from evop.recipes.option import HARNESS, option
from evop.recipes.tolerated import Tolerated


class AuditRecipe(Execution):
    """An audit: what is measured beside the losses of every group, and how."""

    max_tokens: Annotated[int | None, option("Tokens per passage at most; else as searched.", ge=2)] = None
    metric: Annotated[
        Literal["accuracy", "accuracy_norm"] | None,
        option("How choices are compared: accuracy, or accuracy_norm: nats per character; else as searched."),
    ] = None
    random_patterns: Annotated[
        int, option("Random patterns of equal size to hold each pattern against; 0 for none.", ge=0)
    ] = 20
    random_refitted: Annotated[
        int,
        option("Random patterns that are refitted beside a refitted pattern, by the set's text to learn from.", ge=0),
    ] = 3
    tolerate: Annotated[
        Tolerated,
        option(
            "What a group may lose: 0.10 (nats per token of text), 3% (points of right answers), code=0.05 (a domain); "
            "may be repeated. Says whether it held, and warns where a larger loss could go unseen; else as searched."
        ),
    ] = ()
    speed: Annotated[bool, option("Time the patterns beside the dense model.")] = True
    needs: Annotated[
        bool, option("Take every part away alone, on a few passages per group, to see which group needs which layer.")
    ] = True
    lm_eval: Annotated[
        tuple[str, ...],
        option("Tasks to run on the dense model and on every pattern, commas between.", HARNESS, shown="none"),
    ] = ()
    lm_eval_path: Annotated[str | None, option("A folder with task files of your own.", HARNESS)] = None
    lm_eval_groups: Annotated[
        str | None, option("Column of their documents that names the group; else they are clustered.", HARNESS)
    ] = None
    lm_eval_limit: Annotated[int | None, option("Samples per task at most.", HARNESS, ge=1)] = None

    @field_validator("lm_eval", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        """Read names with commas between, as on the command line."""
        return (tuple(value.split(",")) if value else ()) if isinstance(value, str) else value
