"""A pattern brought from the disk onto its model: the one way to open one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from evop.errors import EvopError
from evop.files.json_file import inside, sha256
from evop.files.names import CONFIG, CORRECTIONS, DROP_LIST, LATENCY, PATTERN, POINTS, REFIT, TRIALS, ZEROS
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.families.family import WEIGHT
from evop.removal.cut import Cut
from evop.removal.drop_file import read_pattern
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.removal.zeros_file import ZerosFile
from patterns import Pattern, PatternSpace


@dataclass(frozen=True)
class OpenedPattern:
    """A pattern that fits its model, with all that belongs to it.

    Attributes:
        path: the path as it was given: a file, or a search run's folder.
        place: the file that was read; the config of a checkpoint that another tool pruned.
        file: what the file says.
        space: the space of the pattern, on the model; it knows neither which units matter nor the time parts take.
        pattern: the pattern, in that space.
        cut: what the pattern takes out of the model, biases and refitted weights included.
        checkpoint: the folder of the checkpoint whose weights were refitted by this pattern, or have zeros, where the
            file lies in one; the cut lacks them then.
        zeros: the account of weights that are zero; None at other grains than ``weight``.
        known: whether it is known what left; else the pattern removes nothing, and stands for a model with weights of
            its own.
    """

    path: Path
    place: Path
    file: PatternFile
    space: PatternSpace
    pattern: Pattern
    cut: Cut
    checkpoint: Path | None = None
    zeros: ZerosFile | None = None
    known: bool = True

    @cached_property
    def sha256(self) -> str:
        """Sha256 of the file that was read; of a checkpoint by whose weights the pattern was found, its fingerprint."""
        return Checkpoint.find(self.place.parent).fingerprint if self.is_traced else sha256(self.place)

    @property
    def is_traced(self) -> bool:
        """Whether no file says the pattern, but the weights of a checkpoint that another tool pruned."""
        return self.place.name == CONFIG

    @property
    def run(self) -> Path | None:
        """The folder of the search run that the file lies in, if it lies in one."""
        folder = self.place.parent
        return folder if (folder / TRIALS).is_file() else None

    @property
    def latency(self) -> Path:
        """Path of the table of times that the pattern was searched by, if it was searched by one."""
        return self.place.with_name(LATENCY)

    @property
    def files(self) -> dict[str, Path]:
        """The files that make up the pattern, by the names they have beside a checkpoint.

        Refitted weights are none of them: the checkpoint holds them already; the account of the refit is.
        """
        if self.is_traced:
            return {}
        files = {DROP_LIST if self.place.suffix == ".txt" else PATTERN: self.place}
        if self.file.corrections is not None and not self._has_weights and self.checkpoint is None:
            files[CORRECTIONS] = self.place.with_name(CORRECTIONS)
        if self.file.latency is not None:
            files[LATENCY] = self.latency
        if self.file.refit is not None and self.place.with_name(REFIT).is_file():
            files[REFIT] = self.place.with_name(REFIT)
        if self.zeros is not None:
            files[ZEROS] = self.place.with_name(ZEROS)
        return files

    @property
    def _has_weights(self) -> bool:
        return bool(self.cut.weights or self.cut.matrices)


def open_pattern(path: str | Path, checkpoint: Checkpoint) -> OpenedPattern:
    """Read a pattern and everything that belongs to it, and bring it onto its model.

    Args:
        path: a pattern file, a search run's folder, a drop list (``.txt``), a point of a search by tolerances,
            ``RUN@0.20``, or a checkpoint; of one that another tool pruned, the weights say the pattern.
        checkpoint: the model.

    Raises:
        EvopError: nothing there, a pattern of another model, or biases or weights that are missing or another
            pattern's; or a checkpoint whose weights do not say what left.
    """
    path = _place_of(path)
    family_of(checkpoint.model_type)  # of an architecture that nobody can prune, say that first
    place = inside(path, PATTERN)
    if not place.is_file() and (path / CONFIG).is_file():
        path = place = path / CONFIG
    file = read_pattern(path, checkpoint)
    space, pattern = file.on(checkpoint)
    corrections = place.with_name(CORRECTIONS)
    weights = file.refit is not None or file.compensate == "obs" or file.grain == WEIGHT
    zeros = ZerosFile.beside(place) if file.grain == WEIGHT else None
    if file.grain == WEIGHT and pattern != space.dense:
        raise EvopError(
            f"{place} removes parts and is of --grain {WEIGHT}, at which none leaves; it was changed by hand"
        )
    if file.grain == WEIGHT and zeros is None:
        raise EvopError(f"{place} says that weights left one by one, but no {ZEROS} beside it says which; copy both")
    if weights and not corrections.is_file() and place.with_name(CONFIG).is_file():
        return OpenedPattern(Path(path), place, file, space, pattern, file.cut_alone, place.parent, zeros)
    return OpenedPattern(Path(path), place, file, space, pattern, file.cut(corrections), zeros=zeros)


def unknown_pattern(folder: Path, dense: Checkpoint) -> OpenedPattern:
    """Stand in for the pattern of a model whose weights do not say what left of the dense one.

    Args:
        folder: the model.
        dense: the model that it is held against.
    """
    space = pattern_space(dense, "subblock", "any", ())
    file = PatternFile.describe(dense, space, space.dense, Cut(), remove=0.0, cost="params")
    return OpenedPattern(folder, folder / CONFIG, file, space, space.dense, Cut(), known=False)


def _place_of(path: str | Path) -> Path:
    """Find the folder of a point by its name, ``RUN@0.20``; any other path is itself.

    Raises:
        EvopError: the run has no such point.
    """
    run, _, name = str(path).rpartition("@")
    points = Path(run) / POINTS
    if Path(path).exists() or not run or not points.is_dir():
        return Path(path)
    names = sorted(place.name for place in points.iterdir() if (place / PATTERN).is_file())
    with suppress(ValueError):  # 0.2 is 0.20
        name = f"{float(name):.2f}" if float(name) in map(float, names) else name
    if name not in names:
        raise EvopError(f"--pattern {path}: the run has no point {name}; it has {', '.join(names)}")
    return points / name
