"""``zeros.json``: how the weights of a model were chosen that are zero in a checkpoint, and what they would save."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from evop.files.json_file import JsonFile, JsonPart
from evop.files.machine import Machine
from evop.files.names import ZEROS
from evop.removal.size import bytes_words


class Zeros(JsonPart):
    """Weights that are zero, of the matrices of a decoder.

    Attributes:
        sparsity: the share of every row, shares of the layers with commas between, or N:M.
        zeros: how many are zero.
        weights: how many weights the matrices have.
        stored_bytes: bytes of the matrices as they are stored.
        packed_bytes: bytes if zeros were left out and the places of the others written down; nothing here does so.
        masks: sha256 of which weights stay; checkpoints that agree in it differ in the values of these alone.
    """

    sparsity: str
    zeros: int
    weights: int
    stored_bytes: int
    packed_bytes: int
    masks: str

    @property
    def words(self) -> str:
        """What a reader has to know, in two sentences without a stop at the end."""
        how = f"{self.sparsity} of every row" if ":" in self.sparsity else f"{self.zeros / self.weights:.1%}"
        return (
            f"{how} of the weights of the decoder's matrices are zero ({self.zeros:,} of {self.weights:,}): "
            f"{bytes_words(self.stored_bytes)} as stored, {bytes_words(self.packed_bytes)} if packed. A stock runtime "
            "stores and multiplies zeros as it does other numbers: the model is neither smaller nor faster for them"
        )


class ZerosFile(JsonFile):
    """The account of weights that left one by one, beside the pattern of the checkpoint.

    Attributes:
        version: the version of evop.
        importance: the metric that they were chosen by.
        refit: ``none``, or ``least-squares``: the weights that stay make up for the others.
        calibration: fingerprint of the calibration set; None where nothing was measured.
        tokens: tokens that were read: of ``search`` by the metric, of ``train`` by the refit.
        zeros: how many weights are zero, and what that would save.
        machine: what computed it: versions, device, dtype, threads.
    """

    SCHEMA: ClassVar[str] = "evop.zeros/1"
    version: str
    importance: str
    refit: str
    calibration: str | None
    tokens: dict[str, int]
    zeros: Zeros
    machine: Machine

    @classmethod
    def beside(cls, pattern: Path) -> ZerosFile | None:
        """Read the account that lies beside a pattern's file; None where there is none.

        Raises:
            EvopError: it cannot be read.
        """
        place = pattern.with_name(ZEROS)
        return cls.read(place) if place.is_file() else None
