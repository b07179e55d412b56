"""The words of a calibration recipe, as they are typed on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from calibration import Recipe
from evop.errors import EvopError
from evop.files.json_file import first_problem


def calibration_recipe(
    domains: Sequence[str],
    group_by: Sequence[str] = (),
    tasks: Sequence[str] = (),
    task_columns: Sequence[str] = (),
    **options: Any,
) -> Recipe:
    """Read a calibration recipe from words as they are typed.

    Args:
        domains: domains as ``NAME=SOURCE``.
        group_by: column that names the document of a row: ``COLUMN`` for all domains, ``NAME=COLUMN`` for one;
            ``NAME=`` makes each row of a domain a document.
        tasks: tasks as ``NAME=SOURCE``.
        task_columns: what the files of tasks call their columns: ``NAME=ROLE:COLUMN,ROLE:COLUMN``, or without a name
            for all tasks.
        **options: the other fields of ``calibration.Recipe``.

    Raises:
        EvopError: a word without a name or a source, a domain or task that is not there, or a value out of range.
    """
    sources = [
        dict(zip(("name", "source"), _pair("--domain", word, "law=statutes.jsonl"), strict=True)) for word in domains
    ]
    columns = dict(_pair("--group-by", word, "law=title") for word in group_by if "=" in word)
    for name in columns:
        if name not in {source["name"] for source in sources}:
            raise EvopError(f"--group-by {name}={columns[name]}: there is no --domain {name}")
    for source in sources:
        if source["name"] in columns:
            source["group_by"] = columns[source["name"]]
    common = [word for word in group_by if "=" not in word]
    if len(common) > 1:
        raise EvopError(f"--group-by {common[1]}: a column for all domains was given already; use NAME={common[1]}")
    try:
        content = {"domains": sources, "group_by": common[0] if common else None, "tasks": _tasks(tasks, task_columns)}
        return Recipe.model_validate({**content, **options})
    except ValidationError as error:
        raise EvopError(f"option {first_problem(error)}") from error


def _tasks(words: Sequence[str], task_columns: Sequence[str]) -> list[dict[str, Any]]:
    """Read tasks as they are typed, with what their files call their columns."""
    named = [_pair("--task", word, "blimp=blimp.jsonl") for word in words]
    columns: dict[str, dict[str, str]] = {name: {} for name, _ in named}
    for word in task_columns:
        name, equals, roles = word.rpartition("=")
        if equals and name not in columns:
            raise EvopError(f"--task-columns {word}: there is no --task {name}")
        for pair in roles.split(","):
            role, colon, column = pair.partition(":")
            if not (colon and role and column):
                raise EvopError(f"--task-columns {word}: expected ROLE:COLUMN, such as query:question,domain:subject")
            for task in [name] if equals else columns:
                columns[task][role] = column
    return [{"name": name, "source": source, "columns": columns[name]} for name, source in named]


def _pair(option: str, word: str, example: str) -> tuple[str, str]:
    """Take ``NAME=VALUE`` apart.

    Raises:
        EvopError: the name or the value is missing.
    """
    name, equals, value = word.partition("=")
    if not (name and equals and (value or option == "--group-by")):
        raise EvopError(
            f"{option} {word}: expected NAME={'COLUMN' if option == '--group-by' else 'SOURCE'}, such as {example}"
        )
    return name, value
