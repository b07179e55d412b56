"""What a person asks of an audit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from evop.recipes.execution import Execution


class AuditRecipe(Execution):
    """An audit.

    Attributes:
        max_tokens: how long passages may be; None takes what the search took.
        metric: how choices are compared: ``accuracy``, or ``accuracy_norm``; None takes what the search took.
        speed: whether the patterns are timed beside the dense model.
        lm_eval: tasks of lm-evaluation-harness to run on the dense model and on every pattern.
        lm_eval_path: a folder with task files of one's own.
        lm_eval_groups: column of the tasks' documents that names their group; None to cluster them by their words.
        lm_eval_limit: samples of a task at most.
        needs: whether every part is taken away alone, on a few passages of every group, to see which group needs it.
    """

    max_tokens: int | None = Field(default=None, ge=2)
    metric: Literal["accuracy", "accuracy_norm"] | None = None
    speed: bool = True
    needs: bool = True
    lm_eval: tuple[str, ...] = ()
    lm_eval_path: str | None = None
    lm_eval_groups: str | None = None
    lm_eval_limit: int | None = Field(default=None, ge=1)

    @field_validator("lm_eval", mode="before")
    @classmethod
    def _as_typed(cls, value: Any) -> Any:
        """Names with commas between, as on the command line."""
        return tuple(value.split(",")) if isinstance(value, str) else value
