"""The recipe of an export: which format, and how many bits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from evop.errors import EvopError
from evop.files.json_file import first_problem
from evop.recipes.option import GGUF, RUNNING, option

Format = Literal["hf", "gguf", "decilm", "mergekit", "masked"]


class ExportRecipe(BaseModel):
    """Writing a pruned model in the format of a runtime or of another tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Annotated[
        Format,
        option(
            "hf: as evop prune; gguf: for llama.cpp; decilm: for vLLM and others; mergekit: its YAML; masked: zeros in "
            "the model's own shape."
        ),
    ] = "hf"
    bits: Annotated[Literal["f16", "bf16", "q8_0"], option("f16, bf16 or q8_0.", GGUF)] = "f16"
    quantise: Annotated[
        Literal["q4_k_m", "q5_k_m", "q6_k"] | None,
        option("q4_k_m, q5_k_m or q6_k: fewer bits, by llama.cpp's quantiser.", GGUF),
    ] = None
    revision: Annotated[str | None, option("Branch, tag or commit of a hub model.", RUNNING)] = None
    trust_remote_code: Annotated[bool, option("Run code that comes with the model.", RUNNING)] = False

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        for name in ("bits", "quantise"):
            if self.format != "gguf" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"--{name} is for --format gguf; leave it out, or ask for that")
        if self.quantise and self.bits != "f16":
            raise ValueError(f"--quantise {self.quantise} says how many bits already; leave --bits out")
        return self

    @classmethod
    def of(cls, **options: object) -> Self:
        """Build a recipe from options.

        Raises:
            EvopError: an unknown option or a value out of range, or options that say nothing together, on one line.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise EvopError(f"option {first_problem(error)}") from error
