"""The tensors of a pruned model, written shard by shard without building a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evop.checkpoint import Checkpoint
from evop.errors import EvopError
from evop.export.plan import LayerPlan
from evop.families import Family
from evop.files import write_json

READABLE = 0o644
"""The safetensors library writes for the owner alone."""
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Shard:
    """One shard of the pruned model.

    Attributes:
        source: file name of the shard it is made from.
        name: its own file name.
        tensors: old tensor name -> new tensor name.
    """

    source: str
    name: str
    tensors: dict[str, str]


def plan_shards(checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> tuple[Shard, ...]:
    """Which tensor of which shard becomes which; shards with nothing kept are left out, the rest renumbered.

    Raises:
        EvopError: a tensor inside a layer that belongs to no block the family knows.
    """
    names = _TensorNames(checkpoint, family, plan)
    kept: dict[str, dict[str, str]] = {shard: {} for shard in checkpoint.shards}
    for old, tensor in checkpoint.tensors.items():
        new = names.new(old)
        if new is not None:
            kept[tensor.shard][old] = new
    filled = [(source, tensors) for source, tensors in kept.items() if tensors]
    if len(filled) == 1:
        return (Shard(filled[0][0], "model.safetensors", filled[0][1]),)
    return tuple(
        Shard(source, f"model-{i:05d}-of-{len(filled):05d}.safetensors", tensors)
        for i, (source, tensors) in enumerate(filled, start=1)
    )


def weight_bytes(checkpoint: Checkpoint, shards: tuple[Shard, ...]) -> int:
    """Bytes of all tensors the shards hold, file headers not counted."""
    return sum(checkpoint.tensors[old].nbytes for shard in shards for old in shard.tensors)


def write_weights(checkpoint: Checkpoint, shards: tuple[Shard, ...], folder: Path) -> None:
    """Write all shards, one in memory at a time, and their index where there are several.

    Raises:
        OSError: the disk is full or refuses.
    """
    for shard in shards:
        _write_shard(checkpoint.folder / shard.source, folder / shard.name, shard.tensors)
    if len(shards) > 1:
        total = {"total_size": weight_bytes(checkpoint, shards)}
        places = {new: shard.name for shard in shards for new in shard.tensors.values()}
        write_json(folder / INDEX, {"metadata": total, "weight_map": dict(sorted(places.items()))})


def _write_shard(source: Path, target: Path, tensors: dict[str, str]) -> None:
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    with safe_open(source, framework="pt") as shard:
        kept = {new: shard.get_tensor(old) for old, new in tensors.items()}
        try:
            save_file(kept, target, metadata=shard.metadata() or {"format": "pt"})
        except SafetensorError as error:
            raise OSError(str(error)) from error
    target.chmod(READABLE)


class _TensorNames:
    """From the names of the dense model's tensors to those of the pruned one's."""

    def __init__(self, checkpoint: Checkpoint, family: Family, plan: LayerPlan) -> None:
        self.checkpoint, self.family, self.places = checkpoint, family, plan.places
        self.stem = family.stem(checkpoint.tensors)

    def new(self, old: str) -> str | None:
        """The new name of a tensor, or None where it leaves with its block."""
        if not old.startswith(self.stem):
            return old
        number, _, rest = old.removeprefix(self.stem).partition(".")
        kind = next((kind for kind in ("attn", "mlp") if rest.startswith(self._begins(kind))), None)
        if kind is None or not number.isdecimal():
            raise EvopError(
                f"{self.checkpoint.name}: tensor {old} belongs to neither the attention nor the MLP of a "
                f"{self.checkpoint.model_type} layer; evop cannot tell where it goes and writes nothing"
            )
        place = self.places.get((kind, int(number)))
        return None if place is None else f"{self.stem}{place}.{rest}"

    def _begins(self, kind: str) -> tuple[str, ...]:
        return tuple(f"{module}." for module in self.family.block(kind).modules)
