"""How every stage runs the model: device, dtype, batch size, revision."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from evop.errors import EvopError
from evop.files.json_file import first_problem
from evop.recipes.option import RUNNING, option


class Execution(BaseModel):
    """How to run a model.

    Device and batch size change nothing but rounding; dtype and revision are part of what a stage finds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    device: Annotated[str, option("auto, cpu, cuda or mps; spread: layers over all GPUs.", RUNNING)] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"], option("auto, float32, bfloat16 or float16.", RUNNING)
    ] = "auto"
    batch_size: Annotated[
        int | None, option("Passages of full length per forward pass, or auto.", RUNNING, shown="auto", ge=1)
    ] = None
    revision: Annotated[str | None, option("Branch, tag or commit of a hub model.", RUNNING)] = None
    trust_remote_code: Annotated[bool, option("Run code that comes with the model.", RUNNING)] = False

    @field_validator("batch_size", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        """Read ``auto``, as on the command line."""
        if isinstance(value, str) and value != "auto" and not re.fullmatch("[0-9]{1,9}", value):
            raise ValueError("expected auto or a number from 1 on")
        return None if value == "auto" else value

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Build a recipe from options.

        Raises:
            EvopError: an unknown option or a value out of range, on one line.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            raise EvopError(f"option {first_problem(error)}") from error
