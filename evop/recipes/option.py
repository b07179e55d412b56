"""How a recipe describes one of its fields: once, for the command line, for YAML and for Python."""

from __future__ import annotations

from typing import Any

from pydantic import Field

UNITS = "What may leave"
WEIGHTS = "Weights one by one, with --grain weight"
SEARCHING = "How it is searched"
GROUPS = "What is measured on"
TIME = "Budgets of time"
FIT = "Budgets of memory"
LEARNING = "How it learns"
HARNESS = "Tasks of lm-evaluation-harness, with evop[eval]"
GGUF = "GGUF files, with evop[gguf]"
RUNNING = "How the model is run"


def option(description: str, panel: str = "", *, shown: str | None = None, several: bool = False, **limits: Any) -> Any:
    """Describe a field of a recipe.

    Args:
        description: what the field decides, in one sentence that a newcomer reads once.
        panel: the heading that ``--help`` puts the option under; "" for what everybody needs.
        shown: what the default is called where it is no plain value; such an option is typed as words, which the
            recipe reads.
        several: whether it may be given several times; it is typed as words then, too.
        **limits: limits of the value as ``pydantic.Field`` takes them, such as ``ge``.
    """
    return Field(
        description=description, json_schema_extra={"panel": panel, "shown": shown, "several": several}, **limits
    )
