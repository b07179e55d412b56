"""The domains and tasks of a run's recipe: mappings of a name to where its text lies."""

from __future__ import annotations

from typing import Any

from calibration import DomainSource, TaskSource
from evop.recipes.error import RecipeError, keys_of, section


def domains_of(written: dict[Any, Any]) -> list[DomainSource]:
    """Read domains from a mapping; several sources under one name become one domain.

    Raises:
        RecipeError: a domain without a source, or with what is none.
    """
    domains = []
    for name, value in written.items():
        if value == []:
            raise RecipeError(("domains", str(name)), "an empty list, expected at least one source")
        for source in value if isinstance(value, list) else [value]:
            try:
                domains.append(_domain(name, source))
            except RecipeError as error:
                raise RecipeError(("domains", str(name), *error.path), error.says) from error
    return domains


def tasks_of(written: dict[Any, Any]) -> list[TaskSource]:
    """Read tasks from a mapping.

    Raises:
        RecipeError: a task with a source that is none.
    """
    tasks = []
    for name, value in written.items():
        try:
            content = keys_of(value, ("source", "columns")) if isinstance(value, dict) else {"source": value}
            tasks.append(section(TaskSource, {"name": name, **content}))
        except RecipeError as error:
            raise RecipeError(("tasks", str(name), *error.path), error.says) from error
    return tasks


def _domain(name: Any, written: Any) -> DomainSource:
    content = keys_of(written, ("source", "group_by")) if isinstance(written, dict) else {"source": written}
    try:
        return section(DomainSource, {"name": name, **content})
    except RecipeError as error:
        if error.path == ("name",):  # which is the key itself
            raise RecipeError((), error.says) from error
        raise


def by_name(domains: list[DomainSource]) -> dict[str, Any]:
    """Write domains as a mapping: the reverse of ``domains_of``."""
    found: dict[str, list[Any]] = {}
    for domain in domains:
        plain = domain.model_dump(exclude={"name"})
        found.setdefault(domain.name, []).append(domain.source if domain.group_by is None else plain)
    return {name: sources[0] if len(sources) == 1 else sources for name, sources in found.items()}
