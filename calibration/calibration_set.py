"""A calibration set in memory and on disk."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from calibration.checksum import CHECKSUM, is_unchanged
from calibration.errors import CalibrationError, one_line
from calibration.json_text import json_value
from calibration.loaded import array_of, refuse_another_set
from calibration.manifest import SCHEMA, Manifest
from calibration.parquet import from_parquet, to_parquet
from calibration.passage import SPLITS, Group, Passage
from calibration.picture import draw_clusters
from calibration.whole_folder import ASIDE, drafted_beside, publish, put_back

if TYPE_CHECKING:
    import pandas as pd

MANIFEST, PASSAGES, CENTROIDS, PICTURE = "manifest.json", "passages.parquet", "centroids.npy", "clusters.png"


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Passages of several domains, clustered and split; made by ``build_calibration_set`` or ``load``.

    Attributes:
        manifest: recipe, counts, groups, notes and checksums of the set.
        passages: the passages of the splits; within each, in a fixed order whose prefixes are balanced over
            the groups.
        centroids: mean vector of each group, float32 ``[groups, dim]``, in the order of ``groups``.
        positions: position of each passage on the map of its domain, float32 ``[passages, 2]``.

    Example:
        >>> sets = CalibrationSet.load("sets/mine")  # doctest: +SKIP
        >>> len(sets.split("audit"))  # doctest: +SKIP
        384
    """

    manifest: Manifest
    passages: tuple[Passage, ...]
    centroids: np.ndarray
    positions: np.ndarray
    _files: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(
        cls, manifest: Manifest, passages: tuple[Passage, ...], centroids: np.ndarray, positions: np.ndarray
    ) -> "CalibrationSet":
        """Make a set of its parts; the checksums in the manifest are filled in."""
        files = {PASSAGES: to_parquet(passages, positions), CENTROIDS: _npy(centroids)}
        checksums = {name: sha256(content).hexdigest() for name, content in files.items()}
        manifest = manifest.model_copy(update={"files": checksums})
        return cls(manifest, passages, centroids, positions, files)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical manifest, which names the checksums of the other files."""
        return self.manifest.fingerprint

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups, domain by domain, clusters from the largest; in the order of ``centroids``."""
        entries = self.manifest.groups
        return tuple(Group(e.domain, e.cluster, e.name, e.unseen, e.kind) for e in entries)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Group key -> what a person reads; of a group that no search could see, that it has no search passages.

        Such a group was neither held out nor sampled.
        """
        sampled = {passage.group for passage in self.split("search")}
        return {
            group.key: group.label if group.unseen or group.key in sampled else f"{group.label} (no search passages)"
            for group in self.groups
        }

    def split(self, name: str) -> tuple[Passage, ...]:
        """Take the passages of a split, in its fixed order.

        Raises:
            CalibrationError: not one of ``search``, ``select``, ``audit``, ``unseen``, ``train``.
        """
        if name not in SPLITS:
            raise CalibrationError(f"no split {name!r}; expected one of {', '.join(SPLITS)}")
        return tuple(p for p in self.passages if p.split == name)

    def passage_frame(self) -> "pd.DataFrame":
        """Make a table, one row per passage.

        Columns: id, document, domain, cluster, name (of the passage's group), split, tokens (estimated), text, x and y
        (its position on the map of its domain).
        """
        import pandas as pd

        names = {group.key: group.name for group in self.groups}
        frame = pd.DataFrame(
            {
                "id": [p.id for p in self.passages],
                "document": [p.document for p in self.passages],
                "domain": [p.domain for p in self.passages],
                "cluster": [p.cluster for p in self.passages],
                "name": [names[p.group] for p in self.passages],
                "split": [p.split for p in self.passages],
                "tokens": [p.tokens for p in self.passages],
                "text": [p.plain for p in self.passages],
            }
        )
        return frame.assign(x=self.positions[:, 0], y=self.positions[:, 1])

    def save(self, folder: str | Path) -> None:
        """Write the set to a folder: ``manifest.json``, ``passages.parquet``, ``centroids.npy``, ``clusters.png``.

        Everything is written to a hidden folder beside it, which is then renamed. A folder that holds a calibration
        set, and nothing else, is replaced, in one step: the name leads to the old set or to the new one, whole.

        Raises:
            CalibrationError: the folder holds something else, or cannot be written (the disk is full).
        """
        target = Path(folder)
        put_back(target)
        refuse_foreign(target)
        try:
            with drafted_beside(target) as fresh:
                for name, content in self._files.items():
                    (fresh / name).write_bytes(content)
                (fresh / PICTURE).write_bytes(self._picture())
                (fresh / MANIFEST).write_bytes(self.manifest.file_bytes())
                publish(fresh, target, replace=True)
        except OSError as error:
            raise CalibrationError(f"{target}: cannot be written: {one_line(error)}; nothing was saved") from error

    def _picture(self) -> bytes:
        """Draw the map of the domains that were read; continuations lie where their text lies."""
        made = {entry.name for entry in self.manifest.domains if entry.kind == "continuation"}
        groups = [group for group in self.groups if group.domain not in made]
        return draw_clusters(groups, self.passages, self.positions)

    @classmethod
    def opened(cls, given: "str | Path | CalibrationSet") -> "CalibrationSet":
        """Take a set as it is, or read the one in a folder.

        Raises:
            CalibrationError: as ``load`` does.
        """
        return given if isinstance(given, CalibrationSet) else cls.load(given)

    @classmethod
    def load(cls, folder: str | Path) -> "CalibrationSet":
        """Read a set, checking schema, keys and checksums.

        Raises:
            CalibrationError: no such folder, not a calibration set, an unknown schema or key, a wrong checksum.
        """
        place = Path(folder)
        manifest = _read_manifest(place)
        files = {}
        for name in (PASSAGES, CENTROIDS):
            try:
                if (place / name).exists() and not (place / name).is_file():
                    raise OSError("it is no file")
                files[name] = (place / name).read_bytes()
            except OSError as error:
                raise CalibrationError(f"{place / name}: cannot be read: {one_line(error)}; rebuild it") from error
            checksum, expected = sha256(files[name]).hexdigest(), manifest.files.get(name, "none")
            if checksum != expected:
                raise CalibrationError(
                    f"{place / name}: wrong checksum: found {checksum[:12]}, the manifest says {expected[:12]}; "
                    f"the file was changed, build the set again"
                )
        try:
            passages, positions = from_parquet(files[PASSAGES])
            centroids = array_of(files[CENTROIDS])
            refuse_another_set(manifest, passages, centroids)
        except ValueError as error:
            raise CalibrationError(
                f"{place}: {MANIFEST} and the files beside it do not fit: {one_line(error)}; build the set again"
            ) from error
        return cls(manifest, passages, centroids, positions, files)


def _read_manifest(place: Path) -> Manifest:
    """Read the manifest in a folder, checking schema and keys."""
    path, aside = place / MANIFEST, place.with_name(place.name + ASIDE)
    if not place.exists() and aside.is_dir():
        raise CalibrationError(
            f"{place}: a calibrate that replaced it was killed; rename {aside}, which is the old set"
        )
    if not place.is_dir():
        raise CalibrationError(f"{place}: no such folder; expected a calibration set, made by evop calibrate")
    if not path.is_file():
        raise CalibrationError(f"{place}: not a calibration set (no {MANIFEST}); make one with evop calibrate")
    try:
        values = json_value(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CalibrationError(f"{path}: cannot be read: {one_line(error)}; build the set again") from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise CalibrationError(
            f"{path}: unknown schema {schema!r}, expected {SCHEMA!r}: of another version of evop, or no set; "
            "build it again with evop calibrate"
        )
    if not is_unchanged(values):
        raise CalibrationError(
            f"{path}: was changed since evop wrote it: its content does not have the checksum that stands in it; copy "
            "the set again from where it came from, or build it again"
        )
    try:
        return Manifest.model_validate({key: value for key, value in values.items() if key != CHECKSUM})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CalibrationError(f"{path}: key {key}: {first['msg']}; build the set again") from error


def refuse_foreign(target: Path) -> None:
    """Check that a folder is missing, empty, or a calibration set and nothing else, so that a set may be saved there.

    Raises:
        CalibrationError: it is something else.
    """
    if not (target.exists() or target.is_symlink()):
        return
    if not target.is_dir():
        what = "a file" if target.exists() else "a link that leads nowhere"
        raise CalibrationError(f"{target}: is {what}, expected a folder; choose another place")
    names = {entry.name for entry in target.iterdir()}
    foreign = sorted(names - {MANIFEST, PASSAGES, CENTROIDS, PICTURE})
    if names and (foreign or MANIFEST not in names):
        raise CalibrationError(
            f"{target}: holds {', '.join(foreign or sorted(names))[:80]}, expected an empty folder or a calibration "
            f"set; choose another folder"
        )
    if MANIFEST in names:
        _read_manifest(target)


def _npy(array: np.ndarray) -> bytes:
    """Encode an array as an ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()
