"""One recipe for a whole run: calibrate, search in every cell, audit, prune."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from calibration import DomainSource, Recipe, TaskSource
from evop.errors import EvopError
from evop.recipes.audit import AuditRecipe
from evop.recipes.error import RecipeError, keys_of, section
from evop.recipes.execution import Execution
from evop.recipes.search import SearchRecipe
from evop.recipes.yaml_file import read_yaml
from patterns import OPTIONS

CELLS = ("remove", "strategy", "seed")
"""The keys of ``search`` that may be lists; each combination is a cell, the first key varying slowest."""
EXECUTION = tuple(Execution.model_fields)
SEARCHED = tuple(name for name in SearchRecipe.model_fields if name not in EXECUTION)
AUDITED = tuple(name for name in AuditRecipe.model_fields if name not in EXECUTION)


@dataclass(frozen=True)
class Cell:
    """One search of a run."""

    recipe: SearchRecipe

    @property
    def name(self) -> str:
        """What its folder is called; it says all of ``CELLS``, so that it stays when their lists grow."""
        return cell_name(self.recipe.strategy, self.recipe.remove, self.recipe.seed)


def cell_name(strategy: str, remove: float, seed: int) -> str:
    """What a cell is called, such as ``cma-0.25-seed0``."""
    return f"{strategy}-{remove}-seed{seed}"


class RunRecipe(Execution):
    """Everything ``evop run`` does; how to run the model stands at the top, once for all stages.

    Attributes:
        model: a Hugging Face folder or hub name; paths are seen from the current directory, as in every command.
        out: the run's folder.
        calibration: the folder of a calibration set, or the fields of ``calibration.Recipe``; its domains may be a
            mapping of names to a source, to ``{source, group_by}``, or to a list of these, and its tasks one to a
            source or to ``{source, columns}``.
        search: the fields of ``SearchRecipe``; ``strategy``, ``remove`` and ``seed`` may be lists.
        audit: the fields of ``AuditRecipe``, or False for no audit.
        prune: ``"best"`` writes a checkpoint a budget, of the cell that claims least on ``select``; ``"all"`` one a
            cell; ``"none"`` none.
    """

    model: str
    out: Path
    calibration: str | Recipe
    search: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    audit: dict[str, Any] | Literal[False] = Field(default_factory=dict, validate_default=True)
    prune: Literal["best", "all", "none"] = "best"

    @classmethod
    def read(cls, path: str | Path) -> RunRecipe:
        """Read a recipe in YAML.

        Raises:
            EvopError: not YAML, an unknown key at any depth, or a value out of range.
        """
        place = Path(path)
        content = read_yaml(place)
        try:
            if not isinstance(content, dict):
                raise RecipeError((), f"found {str(content)[:60]!r}, expected keys such as model, out, calibration")
            return section(cls, content)
        except RecipeError as problem:
            raise EvopError(f"{place}: {problem}") from problem

    @classmethod
    def of(cls, **options: Any) -> RunRecipe:
        """Build from options.

        Raises:
            EvopError: an unknown key at any depth or a value out of range, on one line.
        """
        try:
            return section(cls, options)
        except RecipeError as problem:
            raise EvopError(f"recipe: {problem}") from problem

    @field_validator("model", mode="before")
    @classmethod
    def _path_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, Path) else value

    @field_validator("calibration", mode="before")
    @classmethod
    def _calibration(cls, value: Any) -> Any:
        if isinstance(value, str | Path):
            return str(value)
        if isinstance(value, dict) and isinstance(value.get("domains"), dict):
            value = {**value, "domains": _domains(value["domains"])}
        if isinstance(value, dict) and isinstance(value.get("tasks"), dict):
            value = {**value, "tasks": _tasks(value["tasks"])}
        return section(Recipe, value)

    @field_validator("search", mode="before")
    @classmethod
    def _search(cls, value: Any) -> dict[str, Any]:
        """All fields with their defaults; every cell is valid."""
        given = _without_execution(value, SEARCHED)
        lists = {key: _listed(key, given[key]) for key in CELLS if isinstance(given.get(key), list | tuple)}
        one = {**given, **{key: values[0] for key, values in lists.items()}}
        filled = section(SearchRecipe, one).model_dump(include=set(SEARCHED))
        checked = {
            key: [getattr(section(SearchRecipe, {**one, key: value}), key) for value in values]
            for key, values in lists.items()
        }
        return {**filled, **checked}

    @field_validator("audit", mode="before")
    @classmethod
    def _audit(cls, value: Any) -> Any:
        if value is False:
            return False
        return section(AuditRecipe, _without_execution(value, AUDITED)).model_dump(include=set(AUDITED))

    @property
    def execution(self) -> dict[str, Any]:
        """How to run the model."""
        return {name: getattr(self, name) for name in EXECUTION}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every search, budget by budget."""
        lists = [value if isinstance(value, list) else [value] for value in (self.search[key] for key in CELLS)]
        chosen = (dict(zip(CELLS, values, strict=True)) for values in itertools.product(*lists))
        return tuple(
            Cell(SearchRecipe.of(**{**self.search, **each, **self._options(each), **self.execution})) for each in chosen
        )

    def _options(self, cell: dict[str, Any]) -> dict[str, None]:
        """Options of strategies that another cell takes and this one does not."""
        asked = self.search["strategy"] if isinstance(self.search["strategy"], list) else []
        others = {option for option, takers in OPTIONS.items() if not set(takers).isdisjoint(asked)}
        return dict.fromkeys(option for option in others if cell["strategy"] not in OPTIONS[option])

    @property
    def budgets(self) -> dict[float, tuple[Cell, ...]]:
        """``remove`` -> its cells."""
        found: dict[float, tuple[Cell, ...]] = {}
        for cell in self.cells:
            found[cell.recipe.remove] = (*found.get(cell.recipe.remove, ()), cell)
        return found

    def resolved(self) -> dict[str, Any]:
        """All keys with their defaults filled in, as plain values; a recipe itself."""
        content = self.model_dump(mode="json", include={"model", "out"})
        content |= self.model_dump(mode="json", include=set(EXECUTION))
        content["calibration"] = self.calibration
        if isinstance(self.calibration, Recipe):
            rest = self.calibration.model_dump(mode="json", exclude={"domains"})
            content["calibration"] = {"domains": _named(self.calibration.domains), **rest}
        return content | self.model_dump(mode="json", include={"search", "audit", "prune"})


def _domains(given: dict[Any, Any]) -> list[DomainSource]:
    """Domains from a mapping; several sources under one name become one domain."""
    found = []
    for name, value in given.items():
        if value == []:
            raise RecipeError(("domains", str(name)), "an empty list, expected at least one source")
        for source in value if isinstance(value, list) else [value]:
            try:
                found.append(_domain(name, source))
            except RecipeError as error:
                raise RecipeError(("domains", str(name), *error.path), error.says) from error
    return found


def _tasks(given: dict[Any, Any]) -> list[TaskSource]:
    """Tasks from a mapping."""
    found = []
    for name, value in given.items():
        try:
            content = keys_of(value, ("source", "columns")) if isinstance(value, dict) else {"source": value}
            found.append(section(TaskSource, {"name": name, **content}))
        except RecipeError as error:
            raise RecipeError(("tasks", str(name), *error.path), error.says) from error
    return found


def _domain(name: Any, given: Any) -> DomainSource:
    content = keys_of(given, ("source", "group_by")) if isinstance(given, dict) else {"source": given}
    try:
        return section(DomainSource, {"name": name, **content})
    except RecipeError as error:
        if error.path == ("name",):  # which is the key itself
            raise RecipeError((), error.says) from error
        raise


def _named(domains: list[DomainSource]) -> dict[str, Any]:
    """The reverse of ``_domains``."""
    found: dict[str, list[Any]] = {}
    for domain in domains:
        plain = domain.model_dump(exclude={"name"})
        found.setdefault(domain.name, []).append(domain.source if domain.group_by is None else plain)
    return {name: sources[0] if len(sources) == 1 else sources for name, sources in found.items()}


def _listed(key: str, values: Any) -> list[Any]:
    if not values:
        raise RecipeError((key,), "an empty list, expected at least one value")
    twice = [value for value, times in Counter(map(str, values)).items() if times > 1]
    if twice:
        raise RecipeError((key,), f"{twice[0]} stands there twice; leave one out")
    return list(values)


def _without_execution(content: Any, known: Collection[str]) -> dict[str, Any]:
    """The keys of a stage's section; how to run the model stands at the top."""
    given = keys_of(content, (*known, *EXECUTION)) if isinstance(content, dict) else keys_of(content, known)
    for key in given:
        if key in EXECUTION:
            raise RecipeError((key,), "belongs at the top of the recipe, where it holds for all stages")
    return given
