"""The options of a command, made from the fields of a recipe."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import wraps
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from evop.recipes.option import RUNNING

BRACKETS = re.compile(r"\[default: \((.*?)\)")
"""Matches a default as Typer writes it where it was given as words."""
PLAIN = (bool, int, float, str)
"""Types that an option may have; what else a field holds is typed as words, which the recipe takes apart."""


def options_of(recipe: type[BaseModel], *left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every field of a recipe.

    The command takes them as ``**options``: those that were given, and no others, so that defaults stand in the recipe
    alone.

    Args:
        recipe: says of every option its name, its type, its description and its default.
        left_out: names of the fields that the command asks for in other words.
    """
    fields = {name: field for name, field in recipe.model_fields.items() if name not in left_out}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints = get_type_hints(command, include_extras=True)
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        parameters += sorted((_parameter(name, field) for name, field in fields.items()), key=_is_about_running)

        @wraps(command)
        def with_options(**words: Any) -> None:
            command(**{name: value for name, value in words.items() if name not in fields or value not in (None, [])})

        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter of a command from a field of its recipe."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    typed, default = _type_of(field), field.get_default()
    shown = str(extra.get("shown") or ("" if default in (None, ()) else default))
    dashed = f"--{name.replace('_', '-')}"
    if typed is bool:
        # What is off is turned on by its name; what is on has a way to turn it off.
        declared, shown = (f"{dashed}/--no-{dashed[2:]}", dashed[2:]) if default else (dashed, "")
    else:
        declared = dashed
    least = next((limit.ge for limit in field.metadata if hasattr(limit, "ge")), None)
    option = typer.Option(
        declared,
        help=field.description,
        show_default=shown or False,
        min=least if typed in (int, float) else None,
        rich_help_panel=str(extra.get("panel") or "") or None,
    )
    hint = Annotated[typed | None, option]  # type: ignore[valid-type]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def _is_about_running(parameter: inspect.Parameter) -> bool:
    """Say whether an option is about how the model is run; such options come last."""
    return parameter.annotation.__metadata__[0].rich_help_panel == RUNNING


def _type_of(field: FieldInfo) -> type:
    """Choose the type of a field's option: its own where it is plain, else words; a list where it may be repeated."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and extra.get("several"):
        return list[str]
    if isinstance(extra, dict) and extra.get("shown"):
        return str
    if get_origin(field.annotation) is tuple:
        return list[str]
    choices = get_args(field.annotation) if get_origin(field.annotation) is not Literal else ()
    types = [choice for choice in (choices or (field.annotation,)) if choice is not NoneType]
    return types[0] if len(types) == 1 and types[0] in PLAIN else str


class GroupedCommand(TyperCommand):
    """A command whose ``--help`` lists what everybody needs first, then the rest under their headings."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a file that ends early is an error as others are, and not a person who said no."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise RuntimeError(f"a file ends early ({error})") from error

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write every option under the heading of its panel, headings in the order in which they first come."""
        for heading, records in _sections(self, ctx):
            with formatter.section(heading):
                formatter.write_dl(records)


def _sections(command: TyperCommand, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Sort the help of a command by heading: pairs of an option and its text."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            name, text = record
            own = "Arguments" if parameter.param_type_name == "argument" else "Options"
            heading = getattr(parameter, "rich_help_panel", None) or own
            sections.setdefault(heading, []).append((name, BRACKETS.sub(r"[default: \1", text)))
    yield from sections.items()
