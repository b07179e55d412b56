"""How to run a model: device, dtype, batch size; none of it decides what is found."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evop.errors import EvopError
from evop.files.json_file import first_problem


class Execution(BaseModel):
    """How to run a model; none of it decides what is found, up to rounding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("batch_size", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        """``auto``, as on the command line."""
        return None if value == "auto" else value

    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int | None = Field(default=None, ge=1)
    revision: str | None = None
    trust_remote_code: bool = False

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Build from options.

        Raises:
            EvopError: an unknown option or a value out of range, on one line.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            raise EvopError(f"option {first_problem(error)}") from error
