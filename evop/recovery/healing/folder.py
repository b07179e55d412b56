"""The folder beside ``--out`` that holds a healing on its way: so that one that was killed goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.json_text import json_value
from evop.errors import EvopError, first_line
from evop.export.draft import is_full
from evop.files.json_file import temporary_of, write_json
from evop.files.tensors import read_tensors, write_tensors
from evop.recovery.heal_file import HealPoint
from evop.recovery.healing.text import Drawn

if TYPE_CHECKING:
    import torch

RECIPE, STATE, PRUNED, TARGETS = "recipe.json", "state.safetensors", "pruned", "targets.bin"


@dataclass
class Stand:
    """Where a healing stands, beside the weights and the optimizer.

    Attributes:
        tokens: tokens learned from.
        best_at: tokens of the point whose weights are kept.
        weights: group key -> its share of what is learned from next, the anchor not counted.
        upper: upper end of the largest excess, in nats per token.
        drawn: how far the text was read.
        curve: the points on the way.
    """

    tokens: int
    best_at: int
    weights: dict[str, float]
    upper: float = float("inf")
    drawn: Drawn = field(default_factory=Drawn)
    curve: list[HealPoint] = field(default_factory=list)


class HealingFolder:
    """Reads and writes the state of a healing.

    The state is one file, so that it is there whole or not at all, and no pickle: tensors, and JSON in its header.
    accelerate and the Trainer write optimizers and random states as pickles, which is why neither does the loop.

    Args:
        out: the folder that the healed checkpoint will have.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(f"{out.name}.healing")

    @property
    def pruned(self) -> Path:
        """Where the checkpoint that is healed is pruned to, if it was not given."""
        return self.folder / PRUNED

    @property
    def targets(self) -> Path:
        """Where what the dense model predicts is kept, if it is."""
        return self.folder / TARGETS

    def open(self, identity: Mapping[str, Any]) -> None:
        """Make the folder, or check that it holds this healing and no other; one that learned nothing yet gives way.

        Args:
            identity: what makes a healing this one.

        Raises:
            EvopError: the folder holds another healing.
        """
        path = self.folder / RECIPE
        with self._readable(path):
            before = dict(json_value(path.read_bytes())) if path.is_file() else None
        if before == identity:
            return
        found = None if before is None else self.load()
        if before is None or found is None or found[0].tokens == 0:
            self._refuse_foreign(before)
            self.remove()
            with self.room():
                self.folder.mkdir(parents=True)
                write_json(path, dict(identity))
            return
        key = next(key for key in (*identity, *before) if before.get(key) != identity.get(key))
        raise EvopError(
            f"{self.folder} holds another healing: its {key} is {_short(before.get(key))}, this one's is "
            f"{_short(identity.get(key))}; repeat the first command to go on with it, or delete the folder"
        )

    def save(self, stand: Stand, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the state under a temporary name, then rename it; weights that are no longer the best are deleted.

        Raises:
            EvopError: the disk is full.
        """
        content = {**asdict(stand), "curve": [point.model_dump() for point in stand.curve]}
        self._write(STATE, tensors, {"stand": content})
        for path in self.folder.glob("best-*.safetensors"):
            if path != self._best(stand.best_at):
                path.unlink()

    def load(self) -> tuple[Stand, dict[str, torch.Tensor]] | None:
        """Read the state; None where there is none yet.

        Raises:
            EvopError: it is damaged.
        """
        path = self.folder / STATE
        if not path.is_file():
            return None
        with self._readable(path):
            tensors, said = read_tensors(path)
            content = said["stand"]
            curve = [HealPoint(**point) for point in content.pop("curve")]
            return Stand(**{**content, "drawn": Drawn(**content["drawn"]), "curve": curve}), tensors

    def save_best(self, tokens: int, weights: Mapping[str, torch.Tensor]) -> None:
        """Keep the weights of a point; before the state says that it is the best."""
        self._write(self._best(tokens).name, weights, {})

    def load_best(self, tokens: int) -> dict[str, torch.Tensor]:
        """Read the weights that were kept; none where that is the start.

        Raises:
            EvopError: they are damaged.
        """
        if not tokens:
            return {}
        with self._readable(self._best(tokens)):
            return read_tensors(self._best(tokens))[0]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _refuse_foreign(self, recipe: Mapping[str, Any] | None) -> None:
        """Check that nothing in the folder is somebody else's.

        Raises:
            EvopError: it is not empty, and holds no healing.
        """
        unfinished = temporary_of(self.folder / RECIPE)
        if recipe is None and self.folder.exists() and any(path != unfinished for path in self.folder.iterdir()):
            raise EvopError(f"{self.folder} is there already and holds no healing; choose another --out")

    @contextmanager
    def _readable(self, path: Path) -> Iterator[None]:
        """Say in one line that a file is damaged, or gone."""
        try:
            yield
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:  # of another version of evop, too
            raise EvopError(f"{path} is damaged ({first_line(error)}); delete {self.folder} to begin anew") from error

    def _best(self, tokens: int) -> Path:
        return self.folder / f"best-{tokens}.safetensors"

    def _write(self, name: str, tensors: Mapping[str, torch.Tensor], words: dict[str, Any]) -> None:
        with self.room():
            write_tensors(tensors, self.folder / name, words)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Say in one line that the disk is full, or refuses."""
        from safetensors import SafetensorError

        try:
            yield
        except (OSError, SafetensorError) as error:
            if is_full(error):
                raise EvopError(
                    f"{self.folder}: the disk is full; make room and run the same command again to go on"
                ) from error
            raise EvopError(f"{self.folder}: cannot be written ({error}); choose another --out") from error


def _short(value: object) -> str:
    words = "nothing" if value is None else str(value)
    return words if len(words) <= 24 else f"{words[:12]}…"
