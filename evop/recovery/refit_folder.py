"""The folder that a refit works in: every block is kept as it is done, so that a stopped refit goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibration.json_text import json_value
from evop.errors import EvopError
from evop.files.json_file import temporary_of, write_json
from evop.files.tensors import read_tensors, write_tensors
from evop.removal.corrections import MATRIX
from evop.removal.cut import Place, Weight, part_name, place_of

IDENTITY = "refitting.json"
BLOCKS = "{}.layers.*.safetensors"
"""Files of blocks that are done, by method and ridge; what the dense model wrote lies beside them."""


@dataclass(frozen=True)
class RefitFolder:
    """Blocks that are refitted, one file each, and what was asked.

    Attributes:
        folder: beside the folder that the refit writes in the end.
    """

    folder: Path

    @classmethod
    def beside(cls, out: Path, identity: dict[str, Any]) -> RefitFolder:
        """Open the folder of a refit, or begin one; another refit's in which no block is done yet gives way.

        Raises:
            EvopError: another refit's, in which blocks are done, or somebody else's.
        """
        self = cls(cls.name(out))
        path, asked = self.folder / IDENTITY, json.loads(json.dumps(identity))
        if not path.is_file() and self.folder.is_dir() and set(self.folder.iterdir()) - {temporary_of(path)}:
            raise EvopError(f"{self.folder} is there already and holds no refit; choose another --out")
        try:
            before = dict(json_value(path.read_bytes())) if path.is_file() else {}
        except (ValueError, TypeError):
            before = {}
        if before != asked and any(self.folder.glob(BLOCKS.format("*"))):
            changed = ", ".join(key for key in asked if before.get(key) != asked[key])
            raise EvopError(
                f"{self.folder} holds a refit that was stopped and had another {changed or 'recipe'}; ask for the same "
                "to go on, or delete that folder"
            )
        if before != asked:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, identity)
        return self

    @staticmethod
    def name(out: Path) -> Path:
        """Name the folder that a refit works in, by the one that it writes in the end."""
        return out.with_name(f"{out.name}.refitting")

    def kept(self, method: str, ridge: float) -> dict[Place, Weight]:
        """Read the blocks that are done, with one method and ridge; torn or changed ones are deleted and done again."""
        done: dict[Place, Weight] = {}
        for path in sorted(self.folder.glob(BLOCKS.format(_stem(method, ridge)))):
            try:
                name, weight = _weight_in(path)
            except (OSError, ValueError):
                path.unlink()
                continue
            done[place_of(name)] = weight
        return done

    def keep(self, method: str, ridge: float, place: Place, weight: Weight) -> None:
        """Keep a block that is done; one that was kept before is left as it is."""
        path = self.folder / f"{_stem(method, ridge)}.{part_name(*place)}.safetensors"
        if not path.is_file():
            reads = {f"{part_name(*place)}{MATRIX}{name}": read.values for name, read in weight.reads.items()}
            write_tensors({part_name(*place): weight.values, **reads}, path)

    def remove(self) -> None:
        """Take the folder away: the refit is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _weight_in(path: Path) -> tuple[str, Weight]:
    """Read a block that is done: its name, and its weights."""
    tensors = read_tensors(path)[0]
    (name,) = (each for each in tensors if MATRIX not in each)
    reads = {each.partition(MATRIX)[2]: Weight(tensor) for each, tensor in tensors.items() if each != name}
    return name, Weight(tensors[name], reads)


def _stem(method: str, ridge: float) -> str:
    return f"{method}-{hashlib.sha256(repr(ridge).encode()).hexdigest()[:8]}"
