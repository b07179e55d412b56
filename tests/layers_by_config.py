"""What an open change of transformers does (its pull request 45332): every layer is made by a config of its own.

Written after its description, in its first form: ``_layer_cls`` is what is patched, ``_skip_descriptors`` say what is
swapped. A transformers that has it is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def layers_by_config(layer_class: type, descriptors: dict[str, dict[str, Any]]) -> Iterator[list[int]]:
    """Make layers so meanwhile; gives the numbers of those that were made by a config of their own."""
    plain, made = layer_class.__init__, []

    def initialise(self: Any, config: Any, layer_idx: int) -> None:
        if not config.is_heterogeneous:
            plain(self, config, layer_idx)
            return
        made.append(layer_idx)
        own = config.per_layer_config[layer_idx]
        plain(self, own, layer_idx)
        for name, replacement in (each for kind in own.skip for each in descriptors[kind].items()):
            setattr(self, name, replacement())

    layer_class.__init__ = initialise
    try:
        yield made
    finally:
        layer_class.__init__ = plain
