"""Methods that search metrics: their protocol, and the table that names them. Light to import."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from evop.errors import EvopError, refuse_unknown
from evop.metrics.metric import Metric


class Method(Protocol):
    """Proposes metrics, and is told what came of them. It keeps no random state but its own."""

    def ask(self) -> Sequence[Metric]:
        """Return the metrics of a round; none where the method has finished."""

    def tell(self, values: Mapping[Metric, float]) -> None:
        """Take in the value of every metric of the round: less is better, infinite where there is none."""


Shares = tuple[float, ...]
"""What leaves of every row of a layer's matrices, one share a layer."""


class LayerMethod(Protocol):
    """Proposes shares of layers, and is told what came of them. It keeps no random state but its own."""

    def ask(self) -> list[Shares]:
        """Return the shares of a round."""

    def tell(self, values: Mapping[Shares, tuple[float, float]]) -> None:
        """Take in of all shares of the round the value, and how far they are from what was asked; less is better."""


@dataclass(frozen=True)
class Asked:
    """What a method is asked for.

    Attributes:
        seed: seed of all that is random in it.
        by_row: whether weights are ranked row by row, or units.
        groups: the groups of the calibration set, sorted.
        opposites: whether operators that undo one another are taken out of trees.
        mutation: ``node``: a node of a tree is exchanged; ``regrow``: a part of it grows anew.
        faithful: whether metrics have the quirks of the code that was released.
    """

    seed: int
    by_row: bool = False
    groups: tuple[str, ...] = ()
    opposites: bool = True
    mutation: str = "node"
    faithful: bool = False


METHODS: dict[str, str] = {
    "optishear": "evop.metrics.methods.optishear:OptiShear",
    "pruner-zero": "evop.metrics.methods.pruner_zero:PrunerZero",
    "adapruner": "evop.metrics.methods.tpe:AdaPruner",
    "tpe": "evop.metrics.methods.tpe:Tpe",
    "exhaustive": "evop.metrics.methods.listed:Exhaustive",
    "random": "evop.metrics.methods.listed:RandomMetrics",
    "random-trees": "evop.metrics.methods.pruner_zero:RandomTrees",
}
"""Name -> ``module:class``; a class is built with ``Asked``, and imported when used."""
TREES = ("pruner-zero", "random-trees")
"""Methods whose metrics may read gradients of the weights."""


def make_method(name: str, asked: Asked) -> Method:
    """Build a method.

    Raises:
        EvopError: an unknown name, or a package that is not installed.
    """
    refuse_unknown("--method", name, METHODS)
    return cast(Method, _class(f"--method {name}", METHODS[name])(asked))


def make_layer_method(share: float, layers: int, seed: int) -> LayerMethod:
    """Build what searches a share for every layer; its arguments are those of ``LayerShares``.

    Raises:
        EvopError: a package that is not installed.
    """
    return cast(LayerMethod, _class("--layers", "evop.metrics.methods.layers:LayerShares")(share, layers, seed))


def _class(asked: str, path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise EvopError(f"{asked} needs {error.name}, which is not installed; pip install 'evop[metrics]'") from error
