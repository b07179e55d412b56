"""One checkpoint, from its plan to its files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from evop.errors import EvopError
from evop.export.companions import copy_companions
from evop.export.config import REMOTE_FILE, pruned_config
from evop.export.plan import LayerPlan, planned
from evop.export.weights import Shard, plan_shards, weight_bytes, write_weights
from evop.files.json_file import write_json
from evop.files.names import PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import Family, family_of
from evop.removal.opened import OpenedPattern


@dataclass(frozen=True)
class Pruning:
    """A model, a pattern of it, and the files that pruning it will write.

    Attributes:
        checkpoint: the dense model.
        family: the dense model's family.
        opened: the pattern, on that model.
        plan: which old blocks make up the new layers.
        shards: what every weight file of the new model holds.
    """

    checkpoint: Checkpoint
    family: Family
    opened: OpenedPattern
    plan: LayerPlan
    shards: tuple[Shard, ...]

    @classmethod
    def planned(cls, checkpoint: Checkpoint, opened: OpenedPattern) -> Pruning:
        """Plan the checkpoint of a pattern; writes nothing."""
        family = family_of(checkpoint.model_type)
        plan = planned(checkpoint, family, opened.cut)
        return cls(checkpoint, family, opened, plan, plan_shards(checkpoint, family, plan))

    @property
    def bytes(self) -> int:
        """Bytes of the weights to be written."""
        return weight_bytes(self.shards)

    def write(self, folder: Path) -> Checkpoint:
        """Write config, weights, tokenizer and pattern into an empty folder, and open what was written.

        Raises:
            EvopError: the checkpoint does not lack just the parameters that the pattern claims to remove.
        """
        copy_companions(self.checkpoint.folder, folder)
        write_json(folder / "config.json", pruned_config(self.checkpoint, self.family, self.plan))
        if self.plan.format == "hetero":
            shutil.copyfile(REMOTE_FILE, folder / REMOTE_FILE.name)
        for name, source in self.opened.files.items():
            shutil.copyfile(source, folder / name)
        if PATTERN not in self.opened.files:
            self.opened.file.write(folder / PATTERN)
        write_weights(self.checkpoint, self.shards, folder)
        written = Checkpoint.find(folder)
        self._refuse_another_size(written)
        return written

    def _refuse_another_size(self, written: Checkpoint) -> None:
        before, after = (sum(tensor.numel for tensor in one.tensors.values()) for one in (self.checkpoint, written))
        claimed = self.opened.file.removed_params
        if before - after != claimed:
            raise EvopError(
                f"the checkpoint lacks {before - after:,} parameters, the pattern says it removes {claimed:,}; "
                f"nothing was written: please report it with the {PATTERN} and the model's config.json"
            )
