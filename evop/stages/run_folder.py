"""The folder of a run: where each stage's files lie, and what the run has seen done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from evop.errors import EvopError
from evop.files.json_file import JsonFile, sha256
from evop.files.names import LATENCY, PATTERN
from evop.recipes.run import Cell, RunRecipe
from evop.recipes.yaml_file import write_yaml
from evop.version import __version__

MARK = "the recipe of this run with every default filled in, written by evop"


class DoneFile(JsonFile):
    """``done.json``: with which options the stages ended that their own files do not name."""

    SCHEMA: ClassVar[str] = "evop.done/1"
    searches: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """A cell's name -> the fields of its ``SearchRecipe`` that can change what it finds, its limits included."""
    audits: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """An audit's folder -> the same of its ``AuditRecipe``."""


class RunFolder:
    """The folder ``out`` of a recipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def set(self) -> Path:
        """The calibration set, where the recipe has it built."""
        return self.folder / "set"

    @property
    def store(self) -> Path:
        """What the searches share of their measurements."""
        return self.folder / "store"

    @property
    def latency(self) -> Path:
        """The times that the searches' budgets count, where the recipe names no table."""
        return self.folder / LATENCY

    def search(self, cell: Cell) -> Path:
        """The search run of a cell."""
        return self.folder / "runs" / cell.name

    def pattern(self, cell: Cell) -> Path:
        """The pattern file of a cell."""
        return self.search(cell) / PATTERN

    def audit(self, remove: float) -> Path:
        """The audit of a budget: all of its patterns side by side."""
        return self.folder / f"audit-{remove}"

    def pruned(self, of: float | Cell) -> Path:
        """The checkpoint of a budget's best cell, or of a cell."""
        return self.folder / f"pruned-{of.name if isinstance(of, Cell) else of}"

    def claim(self, recipe: RunRecipe, given: Path | None) -> None:
        """Write the resolved recipe into the folder, which is new, empty, or of an earlier run.

        Args:
            recipe: the run.
            given: the file it was read from, or None.

        Raises:
            EvopError: the folder holds something else, or ``given`` lies where the resolved recipe goes.
        """
        path = self.folder / "recipe.yaml"
        if self.folder.is_file():
            raise EvopError(f"out: {self.folder} is a file; expected a folder to write the run to")
        ours = path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
        if not ours and given is not None and path.is_file() and path.samefile(given):
            raise EvopError(f"{given} lies where the resolved recipe is written; keep it outside of out: {self.folder}")
        if not ours and self.folder.is_dir() and any(self.folder.iterdir()):
            raise EvopError(f"out: {self.folder} is not empty and holds no run of a recipe; choose a new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_yaml(path, recipe.resolved(), f"{MARK} {__version__}")

    @property
    def done(self) -> DoneFile:
        """What was seen done; nothing where the file is missing."""
        path = self.folder / "done.json"
        return DoneFile.read(path) if path.is_file() else DoneFile()

    def add_done(self, kind: str, name: str, options: dict[str, Any]) -> None:
        """Note that a stage ended.

        Args:
            kind: ``"searches"`` or ``"audits"``.
            name: of the cell or of the audit's folder.
            options: what it was done with.
        """
        done = self.done
        noted = {**getattr(done, kind), name: options}
        done.model_copy(update={kind: noted}).write(self.folder / "done.json")

    def withdraw_done(self, kind: str, name: str) -> None:
        """A stage begins again: what it leaves on its way is not its end."""
        done = self.done
        noted = {other: options for other, options in getattr(done, kind).items() if other != name}
        done.model_copy(update={kind: noted}).write(self.folder / "done.json")

    def pattern_hashes(self, cells: tuple[Cell, ...]) -> dict[str, str]:
        """A cell's name -> sha256 of its pattern file."""
        return {cell.name: sha256(self.pattern(cell)) for cell in cells}
