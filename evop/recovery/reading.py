"""What one block that stays reads, while the new weights of what it reads with are looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from evop.model.loaded import LoadedModel
from evop.recovery.solve import NormalSums
from evop.recovery.streams import Batch
from evop.removal.compensation import stored_dtype
from evop.removal.cut import Place, Weight, part_name
from evop.removal.matrices import Matrix, matrices_of


@dataclass
class Reading:
    """The matrices that a block reads its input with, and the sums that their new weights are solved from.

    One map is solved for, from what the block reads in the pruned model to what it reads in the dense one, and goes
    into each of the matrices: W becomes W (1 + D)ᵀ, with D = argmin sum w |a (1 + D) - b|² + ridge · mean(diagonal of
    sum w a aᵀ) · |D|². For each matrix that is the ridge regression of what it puts out.

    Attributes:
        place: the block.
        matrices: all matrices of the block but its last projection; one input goes into each.
        dtype: the dtype that their weights are stored in.
        dense: what the dense model reads there, batch by batch, on the CPU.
    """

    place: Place
    matrices: Sequence[Matrix]
    dtype: torch.dtype
    dense: list[torch.Tensor] = field(default_factory=list)
    _sums: NormalSums = field(init=False)

    def __post_init__(self) -> None:
        self._sums = NormalSums(f"{part_name(*self.place)}: what it reads")

    @contextmanager
    def watched(self, note: Callable[[torch.Tensor], None]) -> Iterator[None]:
        """Have noted what the block reads, call by call, for the length of a ``with`` block."""

        def read(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            note(inputs[0])

        handle = self.matrices[0].module.register_forward_pre_hook(read)
        try:
            yield
        finally:
            handle.remove()

    def note_dense(self, read: torch.Tensor) -> None:
        """Keep what the dense model reads in the next batch."""
        self.dense.append(read.cpu())

    def add(self, at: int, batch: Batch, read: torch.Tensor) -> None:
        """Add a batch to the sums.

        Args:
            at: its number.
            batch: the batch.
            read: what the block reads in the pruned model, [batch, length, hidden] or [batch * length, hidden].
        """
        rows = batch.rows.to(read.device)
        found = read.flatten(0, -2)[rows].float()
        wanted = self.dense[at].to(read.device).flatten(0, -2)[rows].float()
        error = wanted - found
        self._sums.add(found, error, batch.counts(found, error))

    def weights(self, ridge: float) -> dict[str, Weight]:
        """Solve for the new weights: name of each matrix -> weight, the way round that the model keeps it.

        Nothing where the pruned model reads there what the dense one does.

        Raises:
            EvopError: inputs that are not finite.
        """
        if not self._sums.cross.any():
            return {}
        change, found = self._sums.solved(ridge), {}
        for matrix in self.matrices:
            old = matrix.weight.float()
            new = old + old @ change.T.to(old)
            found[matrix.name] = Weight(matrix.turned(new).to(self.dtype).cpu().contiguous())
        return found


def readings_of(loaded: LoadedModel) -> dict[Place, Reading]:
    """List what every block of a decoder reads with."""
    found: dict[Place, list[Matrix]] = {}
    for matrix in matrices_of(loaded):
        if matrix.name != loaded.family.block(matrix.place[0]).out:
            found.setdefault(matrix.place, []).append(matrix)
    return {place: Reading(place, matrices, stored_dtype(loaded, place)) for place, matrices in found.items()}
