"""The field of a recipe that says what may be lost: one way to write it, for search, calibrate and audit."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from evop.errors import EvopError
from evop.losses.tolerance import Tolerances


def _words(value: Any) -> tuple[str, ...]:
    if value is None or value == () or value == []:
        return ()
    try:
        return Tolerances.read(value).words
    except EvopError as error:
        raise ValueError(str(error).removeprefix("--tolerate").removeprefix(": ").strip()) from error


Tolerated = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Tolerances as their words, in one order, whatever they were written as; none for ()."""
