"""The recipe of a whole run: calibrate, search in every cell, refit, heal, audit, prune, export."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from calibration import Recipe
from evop.errors import EvopError
from evop.recipes.audit import AuditRecipe
from evop.recipes.cell import Cell
from evop.recipes.error import RecipeError, keys_of, section
from evop.recipes.execution import Execution
from evop.recipes.export import ExportRecipe
from evop.recipes.heal import HealRecipe
from evop.recipes.refit import RefitRecipe
from evop.recipes.search import SearchRecipe
from evop.recipes.sources import by_name, domains_of, tasks_of
from evop.recipes.yaml_file import read_yaml
from patterns import OPTIONS

CELLS = ("remove", "strategy", "seed")
"""The keys of ``search`` that may be lists; each combination is a cell, the first key varying slowest."""
EXECUTION = tuple(Execution.model_fields)
SEARCHED = tuple(name for name in SearchRecipe.model_fields if name not in EXECUTION)
STAGES: dict[str, type[BaseModel]] = {
    "refit": RefitRecipe,
    "heal": HealRecipe,
    "audit": AuditRecipe,
    "export": ExportRecipe,
}
"""The stages that a recipe may leave out, and what each is asked."""


class RunRecipe(Execution):
    """Says everything that ``evop run`` does; how to run the model stands at the top, once for all stages.

    Attributes:
        model: a Hugging Face folder or hub name; paths are relative to the current directory, as in every command.
        out: the run's folder.
        calibration: the folder of a calibration set, or the fields of ``calibration.Recipe``; its domains may be a
            mapping of names to a source, to ``{source, group_by}``, or to a list of these, and its tasks one to a
            source or to ``{source, columns}``.
        search: the fields of ``SearchRecipe``; ``strategy``, ``remove`` and ``seed`` may be lists.
        refit: the fields of ``RefitRecipe``, to refit the answer of every search; or False for no refit.
        heal: the fields of ``HealRecipe``, to heal what is pruned; or False for no healing.
        audit: the fields of ``AuditRecipe``, or False for no audit.
        prune: ``"best"`` writes one checkpoint per budget, of the cell that claims least on ``select``; ``"all"`` one
            per cell; ``"none"`` none. What is refitted is pruned so, and what is pruned is healed; what a search by
            ``judge: healed`` has judged is taken as it is.
        export: the fields of ``ExportRecipe``, or a format alone, to write each checkpoint for another runtime, healed
            where it is; or False.
    """

    model: str
    out: Path
    calibration: str | Recipe
    search: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    refit: dict[str, Any] | Literal[False] = False
    heal: dict[str, Any] | Literal[False] = False
    audit: dict[str, Any] | Literal[False] = Field(default_factory=dict, validate_default=True)
    prune: Literal["best", "all", "none"] = "best"
    export: dict[str, Any] | Literal[False] = False

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
        """Build a recipe from options.

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
            value = {**value, "domains": domains_of(value["domains"])}
        if isinstance(value, dict) and isinstance(value.get("tasks"), dict):
            value = {**value, "tasks": tasks_of(value["tasks"])}
        return section(Recipe, value)

    @field_validator("search", mode="before")
    @classmethod
    def _search(cls, value: Any) -> dict[str, Any]:
        """Fill all fields with their defaults, and check that every cell is valid."""
        written = _without_execution(value, SEARCHED)
        lists = {key: _listed(key, written[key]) for key in CELLS if isinstance(written.get(key), list | tuple)}
        one = {**written, **{key: values[0] for key, values in lists.items()}}
        filled = section(SearchRecipe, one).model_dump(include=set(SEARCHED))
        checked = {
            key: [getattr(section(SearchRecipe, {**one, key: value}), key) for value in values]
            for key, values in lists.items()
        }
        return {**filled, **checked}

    @field_validator(*STAGES, mode="before")
    @classmethod
    def _stage(cls, value: Any, info: ValidationInfo) -> Any:
        """Fill all fields of a stage with their defaults."""
        if value is False:
            return False
        if info.field_name == "export" and isinstance(value, str):
            value = {"format": value}
        recipe = STAGES[str(info.field_name)]
        fields = tuple(name for name in recipe.model_fields if name not in EXECUTION)
        return section(recipe, _without_execution(value, fields)).model_dump(include=set(fields))

    @model_validator(mode="after")
    def _healed_once(self) -> Self:
        asked = [stage for stage in ("refit", "heal") if getattr(self, stage) is not False]
        if asked and self.search["judge"] == "healed":
            raise RecipeError(
                (asked[0],),
                "search.judge is healed, so that what is judged and written was refitted and healed already; leave "
                f"{' and '.join(asked)} out, or say judge: refit",
            )
        return self

    @model_validator(mode="after")
    def _exports_a_checkpoint(self) -> Self:
        if self.export is False:
            return self
        if self.export["format"] == "hf":
            raise RecipeError(("export", "format"), "prune writes hf already; say gguf, decilm, mergekit or masked")
        if self.prune == "none":
            raise RecipeError(("export",), "prune is none, so that there is nothing to export; say prune: best or all")
        recovered = [stage for stage in ("refit", "heal") if getattr(self, stage) is not False]
        recovered += ["search.judge: healed"] if self.search["judge"] == "healed" else []
        if self.export["format"] == "mergekit" and recovered:
            raise RecipeError(
                ("export", "format"), f"mergekit takes the dense model's weights; leave {' and '.join(recovered)} out"
            )
        return self

    @property
    def execution(self) -> dict[str, Any]:
        """Options of how to run the model, by name."""
        return {name: getattr(self, name) for name in EXECUTION}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every search of the run, budget by budget."""
        lists = [value if isinstance(value, list) else [value] for value in (self.search[key] for key in CELLS)]
        chosen = (dict(zip(CELLS, values, strict=True)) for values in itertools.product(*lists))
        return tuple(
            Cell(SearchRecipe.of(**{**self.search, **each, **self._options(each), **self.execution})) for each in chosen
        )

    def _options(self, cell: dict[str, Any]) -> dict[str, None]:
        """Leave out the options that the strategies of other cells take and this cell's does not."""
        strategies = self.search["strategy"] if isinstance(self.search["strategy"], list) else []
        others = {option for option, takers in OPTIONS.items() if not set(takers).isdisjoint(strategies)}
        return dict.fromkeys(option for option in others if cell["strategy"] not in OPTIONS[option])

    @property
    def budgets(self) -> dict[str, tuple[Cell, ...]]:
        """The cells of every budget: its name, such as ``0.25`` or ``tolerated`` -> its cells."""
        cells: dict[str, tuple[Cell, ...]] = {}
        for cell in self.cells:
            cells[cell.recipe.budget_name] = (*cells.get(cell.recipe.budget_name, ()), cell)
        return cells

    def resolved(self) -> dict[str, Any]:
        """Fill in the defaults of all keys; what comes out is plain values, and a recipe too."""
        content = self.model_dump(mode="json", include={"model", "out"})
        content |= self.model_dump(mode="json", include=set(EXECUTION))
        content["calibration"] = self.calibration
        if isinstance(self.calibration, Recipe):
            rest = self.calibration.model_dump(mode="json", exclude={"domains"})
            content["calibration"] = {"domains": by_name(self.calibration.domains), **rest}
        return content | self.model_dump(mode="json", include={"search", *STAGES, "prune"})


def _listed(key: str, values: Any) -> list[Any]:
    """Check that a list of values holds some, and none twice."""
    if not values:
        raise RecipeError((key,), "an empty list, expected at least one value")
    twice = [value for value, times in Counter(map(str, values)).items() if times > 1]
    if twice:
        raise RecipeError((key,), f"{twice[0]} stands there twice; leave one out")
    return list(values)


def _without_execution(content: Any, known: Collection[str]) -> dict[str, Any]:
    """Read the section of a stage; refuse keys of how to run the model, which stand at the top."""
    written = keys_of(content, (*known, *EXECUTION)) if isinstance(content, dict) else keys_of(content, known)
    for key in written:
        if key in EXECUTION:
            raise RecipeError((key,), "belongs at the top of the recipe, where it holds for all stages")
    return written
