"""The error of a recipe: what is wrong, and the path of the key where it is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from evop.files.json_file import keys_to

Section = TypeVar("Section", bound=BaseModel)


class RecipeError(ValueError):
    """Says the first thing that is wrong in a recipe.

    Args:
        path: the keys that lead to it, from the outside in.
        says: what is wrong.
    """

    def __init__(self, path: tuple[str, ...], says: str) -> None:
        self.path, self.says = path, says
        super().__init__(f"{'.'.join(path)}: {says}" if path else says)

    @classmethod
    def of(cls, error: ValidationError, known: Collection[str]) -> Self:
        """Tell the first problem that pydantic saw; an unknown key goes first, as it may explain what is missing.

        Args:
            error: what validating a section raised.
            known: the keys that the section itself may hold.
        """
        problems = error.errors()
        problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        path = keys_to(problem["loc"])
        inner = problem.get("ctx", {}).get("error")
        if isinstance(inner, RecipeError):
            return cls(path + inner.path, inner.says)
        if problem["type"] == "extra_forbidden":
            return cls.unknown(path, known if len(path) == 1 else ())
        if problem["type"] == "missing":
            return cls(path, "is missing")
        return cls(path, f"{problem['msg'].removeprefix('Value error, ')} (found {str(problem['input'])[:60]!r})")

    @classmethod
    def unknown(cls, path: tuple[str, ...], known: Collection[str]) -> Self:
        """Refuse a key that nothing reads, and say what may have been meant."""
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else "leave it out"
        return cls(path, f"unknown key; {hint}")


def keys_of(content: Any, known: Collection[str]) -> dict[str, Any]:
    """Read a section of a recipe as a mapping; where nothing is written, it is empty.

    Args:
        content: what a person wrote.
        known: the keys that the section may hold.

    Raises:
        RecipeError: the section is no mapping, or holds an unknown key.
    """
    mapping = {} if content is None else content
    if not isinstance(mapping, dict):
        raise RecipeError((), f"found {str(mapping)[:60]!r}, expected keys such as {', '.join(list(known)[:4])}")
    for key in mapping:
        if key not in known:
            raise RecipeError.unknown((str(key),), known)
    return mapping


def section(model: type[Section], content: Any) -> Section:
    """Validate a section of a recipe; its keys are the fields of the model.

    Raises:
        RecipeError: the first thing that is wrong.
    """
    if isinstance(content, model):
        return content
    known = list(model.model_fields)
    try:
        return model.model_validate(keys_of(content, known))
    except ValidationError as error:
        raise RecipeError.of(error, known) from error
