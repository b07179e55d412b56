"""Which units of a block leave first: the frozen order that gives the levels of a ladder their meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from calibration.seeded import generator
from evop.errors import EvopError, first_line
from evop.files.arrays import numbers, opened_arrays
from evop.files.json_file import whole
from evop.removal.cut import Cut, Place, places
from patterns import Part, Pattern, PatternSpace

COUNTED = 0.01
"""Share of a price that counts units, so that prices ascend even where some units do not matter at all."""


@dataclass(frozen=True)
class Ranking:
    """How much every unit of every part matters: the order in which units leave, and what stands in for them.

    Attributes:
        importance: part name -> float64 [units], not negative; a single number where a part is there or gone. Or
            [units, features] where the features of a unit are told apart: it matters as much as they do on average.
        fill: part name -> mean of each input feature of the block's last projection, float32 [features]; empty
            where nothing is compensated.
        moments: part name -> second moments of these features, float32 [features, features], which make the
            least-squares weights of its levels; empty where weights stay. They lie in a file of their own.
    """

    importance: Mapping[str, np.ndarray] = field(default_factory=dict)
    fill: Mapping[str, np.ndarray] = field(default_factory=dict)
    moments: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def random(cls, space: PatternSpace, seed: int) -> Ranking:
        """Rank every part's units at random."""
        thinned = [part for part in space.parts if part.units]
        return cls({part.name: generator("order", seed, part.name).random(part.units[-1]) for part in thinned})

    @classmethod
    def load(cls, path: Path) -> Ranking:
        """Read ``orders.npz``.

        Raises:
            EvopError: not such a file.
        """
        arrays: dict[str, dict[str, np.ndarray]] = {"importance": {}, "fill": {}}
        try:
            with opened_arrays(path) as file:
                for key in file.files:
                    what, _, name = key.partition("/")
                    arrays[what][name] = numbers(key, file[key])
        except Exception as error:  # numpy raises what the file makes it raise
            raise EvopError(
                f"{path} holds no ranking ({first_line(error)}); move the run away and search again"
            ) from error
        return cls(**arrays)

    def save(self, path: Path) -> None:
        """Write ``orders.npz``, whole or not at all; the moments are not in it."""
        with whole(path) as temporary, ZipFile(temporary, "w") as file:  # np.savez of numpy 1 would pickle
            for what, name, array in self._arrays():
                with file.open(f"{what}/{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of all importances, fills and moments."""
        digest = hashlib.sha256()
        moments = (("moments", name, self.moments[name]) for name in sorted(self.moments))
        for what, name, array in chain(self._arrays(), moments):
            digest.update(f"{what}/{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """Part name -> its units, int64 [units], the least important first, equally important ones as they lie."""
        return {name: np.argsort(of_units(values), kind="stable") for name, values in self.importance.items()}

    def cut_of(self, space: PatternSpace, pattern: Pattern) -> Cut:
        """Turn a pattern into what it takes out of the model; ``Evaluator.cut`` adds biases and weights."""
        gone: set[Place] = set()
        kept: dict[Place, tuple[int, ...]] = {}
        for part, level in zip(space.parts, pattern.levels, strict=True):
            if level == part.top:
                gone.update(places(part))
            elif level:
                (place,) = places(part)
                kept[place] = tuple(np.sort(self.units[part.name][part.units[level] :]).tolist())
        return Cut(frozenset(gone), kept)

    def priced(self, space: PatternSpace) -> PatternSpace:
        """Give every part of a space its prices and scores, and the space a fingerprint of its own.

        The price of a level is the share of the part's importance that is gone halfway from the level before to this
        one. The score of a level is the mean importance of the units that leave there, standardised over the part's
        features where they are told apart, else over its units; the score of a part which is there or gone is its
        importance. A unit of many features is the mean of many, so that its score lies close to 0 unless most of them
        agree: that is what lets one ranking weigh the few units of an attention against the many of an MLP.

        Raises:
            EvopError: the ranking is one of other parts.

        Source: FLAP (arXiv 2312.11983), adaptive structure search, and its code, for the standardisation.
        """
        if not self.importance:
            return space
        for part in space.parts:
            found, units = len(self.importance.get(part.name, ())), part.units[-1] if part.units else 1
            if found != units:
                raise EvopError(
                    f"the order of units in the run's folder knows {found} of {part.name}, which has {units}; move the "
                    "run away and search again"
                )
        parts = tuple(_priced(part, self.importance[part.name]) for part in space.parts)
        return replace(space, parts=parts, origin={**space.origin, "orders": self.fingerprint})

    def _arrays(self) -> list[tuple[str, str, np.ndarray]]:
        """List all arrays in one fixed order: what they are of, part name, array."""
        importances = [("importance", name, array) for name, array in sorted(self.importance.items())]
        return importances + [("fill", name, array) for name, array in sorted(self.fill.items())]


def _priced(part: Part, importance: np.ndarray) -> Part:
    """Give one part its prices and scores."""
    if not part.units:
        return replace(part, scores=tuple(float(value) for value in importance))
    ascending = np.sort(of_units(importance))
    total = ascending.sum()
    share = np.full(len(ascending), 1 / len(ascending))
    if total > 0:
        share = (1 - COUNTED) * ascending / total + COUNTED * share
    gone = np.concatenate([[0.0], np.cumsum(share)])[list(part.units)]
    spread = importance.std(ddof=1) if importance.size > 1 else 0.0
    standard = (ascending - importance.mean()) / (spread if spread > 0 else 1.0)
    scores = [standard[before:after].mean() for before, after in pairwise(part.units)]
    return replace(part, prices=tuple(((gone[1:] + gone[:-1]) / 2).tolist()), scores=tuple(map(float, scores)))


def of_units(importance: np.ndarray) -> np.ndarray:
    """Take the mean over the features of each unit: float64 [units] or [units, features] -> [units]."""
    return importance.reshape(len(importance), -1).mean(axis=1)
