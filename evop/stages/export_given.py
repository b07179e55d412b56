"""What an export is given: a dense model, a pattern of it, or a checkpoint that was pruned already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evop.errors import EvopError
from evop.export.plan import LayerPlan, planned
from evop.export.source import Source
from evop.export.write import Pruning
from evop.files.names import CONFIG, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.removal.opened import OpenedPattern, open_pattern


@dataclass(frozen=True)
class Given:
    """A pruned model to be exported.

    Attributes:
        dense: the dense model.
        opened: the pattern; None where the dense model itself is exported.
        pruned: the pruned checkpoint, where one was given: what is exported are its weights.
        source: the pruned model.
    """

    dense: Checkpoint
    opened: OpenedPattern | None
    pruned: Checkpoint | None
    source: Source

    @classmethod
    def of(cls, model: str | Path, pattern: str | Path | None, revision: str | None) -> Given:
        """Open what was given.

        Raises:
            EvopError: nothing there, or a pattern or checkpoint of another model.
        """
        dense = Checkpoint.find(model, revision)
        if pattern is None:
            return cls(dense, None, None, Source.of_checkpoint(dense))
        if (Path(pattern) / CONFIG).is_file():
            if not (Path(pattern) / PATTERN).is_file():
                raise EvopError(f"--pattern {pattern} is a model without {PATTERN}; give a checkpoint that evop pruned")
            opened, pruned = open_pattern(pattern, dense), Checkpoint.find(pattern)
            return cls(dense, opened, pruned, Source.of_checkpoint(pruned))
        opened = open_pattern(pattern, dense)
        if opened.checkpoint is not None:
            raise EvopError(
                f"--pattern {pattern}: its weights lie in the checkpoint beside it alone; give the folder, "
                f"{opened.checkpoint}"
            )
        return cls(dense, opened, None, Source.of_pruning(Pruning.planned(dense, opened)))

    @property
    def plan(self) -> LayerPlan:
        """Which blocks of the dense model make up the layers.

        Raises:
            EvopError: the dense model itself is exported.
        """
        if self.opened is None:
            raise EvopError("--format masked sets to zero what a pattern removes; give --pattern")
        return planned(self.dense, self.source.family, self.opened.cut)

    @property
    def measured(self) -> Path:
        """The folder of the model to compare with: the dense one, masked by ``place``, or the checkpoint."""
        return self.dense.folder if self.pruned is None else self.pruned.folder

    @property
    def place(self) -> Path | None:
        """The pattern that ``measured`` is masked by; None for none."""
        return None if self.opened is None or self.pruned else self.opened.place
