"""The folder of a run: where each stage's files lie, and what the run has seen done."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from calibration.whole_folder import sweep
from evop.errors import EvopError
from evop.files.json_file import JsonFile
from evop.files.lock import LOCK
from evop.files.names import LATENCY
from evop.recipes.cell import Cell
from evop.recipes.run import RunRecipe
from evop.recipes.yaml_file import write_yaml
from evop.version import __version__

MARK = "the recipe of this run with every default filled in, written by evop"
"""How the recipe in the folder begins; a folder without it is not taken for a run."""
Stage = Literal["searches", "refits", "heals", "audits", "exports"]
"""The stages that are noted when they end."""


class DoneFile(JsonFile):
    """Says in ``done.json`` with which options stages ended, as far as their own files do not name them.

    Attributes:
        searches: cell's name -> the fields of its ``SearchRecipe`` that can change what it finds, limits included.
        refits: cell's name -> the fields of its ``RefitRecipe`` that can change what it finds.
        heals: healed checkpoint's folder -> the fields of its ``HealRecipe`` that can change what it makes.
        audits: audit's folder -> the fields of its ``AuditRecipe`` that can change what it measures.
        exports: export's name -> the fields of its ``ExportRecipe``, and hashes of what it was made of.
    """

    SCHEMA: ClassVar[str] = "evop.done/3"
    searches: dict[str, dict[str, Any]] = Field(default_factory=dict)
    refits: dict[str, dict[str, Any]] = Field(default_factory=dict)
    heals: dict[str, dict[str, Any]] = Field(default_factory=dict)
    audits: dict[str, dict[str, Any]] = Field(default_factory=dict)
    exports: dict[str, dict[str, Any]] = Field(default_factory=dict)


class RunFolder:
    """Says where the files of a run lie in the folder ``out`` of its recipe.

    Args:
        folder: the folder; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def set(self) -> Path:
        """The folder of the calibration set, where the recipe has it built."""
        return self.folder / "set"

    @property
    def store(self) -> Path:
        """The folder in which the searches share their measurements."""
        return self.folder / "store"

    @property
    def latency(self) -> Path:
        """The file of the times that budgets count, where the recipe names no table."""
        return self.folder / LATENCY

    def search(self, cell: Cell) -> Path:
        """Name the folder of a cell's search."""
        return self.folder / "runs" / cell.name

    def refitted(self, cell: Cell) -> Path:
        """Name the folder of a cell's refitted pattern."""
        return self.folder / "refitted" / cell.name

    def patterns(self, cell: Cell, refits: bool) -> list[Path]:
        """List the folders of a cell's patterns: as it was searched, and refitted where the run refits."""
        return [self.search(cell), self.refitted(cell)] if refits else [self.search(cell)]

    def healed(self, pruned: Path) -> Path:
        """Name the folder of a healed checkpoint, by that of the pruned one."""
        return pruned.with_name(f"healed-{pruned.name.removeprefix('pruned-')}")

    def audit(self, budget: str) -> Path:
        """Name the folder of a budget's audit, which has all of its patterns side by side."""
        return self.folder / f"audit-{budget}"

    def pruned(self, chosen: str | Cell) -> Path:
        """Name the folder of a checkpoint: that of a budget's best cell, or of one cell."""
        return self.folder / f"pruned-{chosen.name if isinstance(chosen, Cell) else chosen}"

    def claim(self, recipe: RunRecipe, written: Path | None) -> None:
        """Write the resolved recipe into the folder, which is new, empty, or of an earlier run.

        Args:
            recipe: the recipe of the run.
            written: the file that the recipe was read from, or None.

        Raises:
            EvopError: the folder holds something else, or the file lies where the resolved recipe goes.
        """
        path = self.folder / "recipe.yaml"
        ours = path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
        if not ours and written is not None and path.is_file() and path.samefile(written):
            raise EvopError(
                f"{written} lies where the resolved recipe is written; keep it outside of out: {self.folder}"
            )
        held = {self.folder / LOCK}
        if not ours and self.folder.is_dir() and set(self.folder.iterdir()) - held:
            raise EvopError(f"out: {self.folder} is not empty and holds no run of a recipe; choose a new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        for place in (self.folder, self.folder / "refitted"):  # what an earlier run left there when it was killed
            sweep(place)
        write_yaml(path, recipe.resolved(), f"{MARK} {__version__}")

    @property
    def done(self) -> DoneFile:
        """The stages that ended before; none where the file is missing."""
        path = self.folder / "done.json"
        return DoneFile.read(path) if path.is_file() else DoneFile()

    def add_done(self, stage: Stage, name: str, options: dict[str, Any]) -> None:
        """Note that a stage ended.

        Args:
            stage: which of them.
            name: name of the cell, or of the audit's folder.
            options: the options that it ended with.
        """
        done = self.done
        noted = {**getattr(done, stage), name: options}
        done.model_copy(update={stage: noted}).write(self.folder / "done.json")

    def withdraw_done(self, stage: Stage, name: str) -> None:
        """Note that a stage begins again: what it leaves on its way is not its end."""
        done = self.done
        noted = {other: options for other, options in getattr(done, stage).items() if other != name}
        done.model_copy(update={stage: noted}).write(self.folder / "done.json")
