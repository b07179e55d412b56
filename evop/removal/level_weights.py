"""Least-squares weights of thinned blocks, made when they are first asked for and kept within a bound."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

import torch

from evop.errors import EvopError
from evop.model.loaded import LoadedModel
from evop.removal.compensation import stored_dtype
from evop.removal.cut import Cut, Place, Weight, part_name
from evop.removal.least_squares import least_squares
from evop.removal.masking import features_of
from evop.removal.ranking import Ranking

KEPT_BYTES = 4 << 30
"""Bytes of weights that are kept for later cuts; those of cuts that are in use are in memory beside them."""

Key = tuple[str, Place, tuple[int, ...]]
"""Fingerprint of a ranking, a block, and the units of it that stay."""


@dataclass
class LevelWeights:
    """Gives thinned blocks their least-squares weights.

    While anybody holds the weight of a level there is no second one: cuts that thin a block alike share it, which is
    how the evaluator sees that they agree there.

    Memory: on the CPU the weights of the cuts in use and ``KEPT_BYTES`` of others, in the dtype they are stored in.
    While one is made, on the model's device, float64 of up to four times the square of the features.

    Attributes:
        loaded: the dense model.
        most: bytes of weights that are kept for later cuts.
    """

    loaded: LoadedModel
    most: int = KEPT_BYTES
    _there: WeakValueDictionary[Key, Weight] = field(init=False, default_factory=WeakValueDictionary)
    _kept: OrderedDict[Key, Weight] = field(init=False, default_factory=OrderedDict)
    _bytes: int = field(init=False, default=0)

    def reweighted(self, cut: Cut, ranking: Ranking) -> Cut:
        """Give every thinned block of a cut its least-squares weight, where the ranking has moments.

        Raises:
            EvopError: moments that cannot be read, or a weight that its dtype cannot hold.
        """
        if not ranking.moments:
            return cut
        return replace(cut, weights={place: self._weight(place, kept, ranking) for place, kept in cut.kept.items()})

    def _weight(self, place: Place, kept: tuple[int, ...], ranking: Ranking) -> Weight:
        key = (ranking.fingerprint, place, kept)
        weight = self._there.get(key)
        if weight is None:
            weight = self._there[key] = Weight(self._made(place, kept, ranking))
        self._keep(key, weight)
        return weight

    def _keep(self, key: Key, weight: Weight) -> None:
        """Keep a weight, and let go of those that were not asked for longest."""
        if key not in self._kept:
            self._bytes += weight.values.nbytes
        self._kept[key] = weight
        self._kept.move_to_end(key)
        while self._bytes > self.most and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].values.nbytes

    def _made(self, place: Place, kept: tuple[int, ...], ranking: Ranking) -> torch.Tensor:
        kind, layer = place
        loaded, block = self.loaded, self.loaded.family.block(kind)
        out = loaded.family.layer_list(loaded.model)[layer].get_submodule(block.out)
        weight = out.get_parameter("weight").detach()
        weight = weight if block.out_axis == 1 else weight.T
        stays = features_of(kept, loaded.family.units(loaded.model.config, kind), weight.shape[1])
        moments = torch.from_numpy(ranking.moments[part_name(kind, layer)])
        # MPS has no float64, and where a GPU has no room the CPU has.
        where = [weight.device] if weight.device.type == "cuda" else []
        for device in (*where, torch.device("cpu")):
            try:
                made = least_squares(weight.to(device).double(), moments.to(device).double(), stays.to(device))
                break
            except torch.OutOfMemoryError:
                continue
        values = made.to(stored_dtype(loaded, place)).cpu().contiguous()
        if not values.isfinite().all():
            raise EvopError(
                f"{part_name(kind, layer)}: its least-squares weight is not finite as {values.dtype}; use --compensate "
                "none, or check the model's weights"
            )
        return values
