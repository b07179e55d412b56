"""What is wrong with a recipe, said with the path of the key it stands at."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

Section = TypeVar("Section", bound=BaseModel)


class RecipeError(ValueError):
    """The first thing wrong in a recipe: where, as keys from the outside in, and what."""

    def __init__(self, path: tuple[str, ...], says: str) -> None:
        self.path, self.says = path, says
        super().__init__(f"{'.'.join(path)}: {says}" if path else says)

    @classmethod
    def of(cls, error: ValidationError, known: Collection[str]) -> Self:
        """The first problem pydantic found; an unknown key goes first, as it may explain what is missing.

        Args:
            error: from validating a section.
            known: the keys that the section itself may hold.
        """
        problems = error.errors()
        problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        path = tuple(str(step) for step in problem["loc"])
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
        """A key that nothing reads, and what may have been meant."""
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else "leave it out"
        return cls(path, f"unknown key; {hint}")


def keys_of(content: Any, known: Collection[str]) -> dict[str, Any]:
    """A section of a recipe as a mapping; nothing at all is an empty one.

    Args:
        content: what a person wrote.
        known: the keys it may hold.

    Raises:
        RecipeError: no mapping, or an unknown key.
    """
    given = {} if content is None else content
    if not isinstance(given, dict):
        raise RecipeError((), f"found {str(given)[:60]!r}, expected keys such as {', '.join(list(known)[:4])}")
    for key in given:
        if key not in known:
            raise RecipeError.unknown((str(key),), known)
    return given


def section(model: type[Section], content: Any) -> Section:
    """Validate a section of a recipe, all of the model's fields being keys it may hold.

    Raises:
        RecipeError: the first thing wrong.
    """
    if isinstance(content, model):
        return content
    known = list(model.model_fields)
    try:
        return model.model_validate(keys_of(content, known))
    except ValidationError as error:
        raise RecipeError.of(error, known) from error
