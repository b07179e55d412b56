"""A model that is in memory while it is asked for, and gives its place to another."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field, replace

import torch

from evop.model.checkpoint import Checkpoint
from evop.model.families import Family
from evop.model.loaded import LoadedModel, load_model


@dataclass
class HeldModel:
    """A model that is loaded when it is first asked for, and again after it was let go.

    Attributes:
        checkpoint: the folder that it is read from.
        device: the device it runs on, as a person asks for it.
        dtype: the dtype it computes in, as a person asks for it.
        trust_remote_code: whether it may run code of its own.
        family: the names of its layers and blocks; None to look them up by its ``model_type``.
    """

    checkpoint: Checkpoint
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    family: Family | None = None
    _loaded: LoadedModel | None = field(default=None, init=False, repr=False)

    @property
    def loaded(self) -> LoadedModel:
        """The model in memory.

        Raises:
            EvopError: as ``load_model``.
        """
        if self._loaded is None:
            self._loaded = load_model(
                self.checkpoint, self.device, self.dtype, self.trust_remote_code, family=self.family
            )
        return self._loaded

    def let_go(self) -> None:
        """Free the memory; whoever still holds ``loaded`` keeps it from being freed."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def instead(self, checkpoint: Checkpoint, trust_remote_code: bool, family: Family) -> HeldModel:
        """Hold another model to be run as this one is."""
        return replace(self, checkpoint=checkpoint, trust_remote_code=trust_remote_code, family=family)
