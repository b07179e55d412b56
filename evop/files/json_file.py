"""JSON files between stages: a schema first, a checksum last, unknown keys refused, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calibration.checksum import CHECKSUM, is_unchanged, with_checksum
from calibration.json_text import json_value
from calibration.whole_folder import sync
from evop.errors import EvopError


class JsonPart(BaseModel):
    """A part of a JSON file: written once, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JsonFile(BaseModel):
    """A JSON file with a schema; subclasses name theirs in ``SCHEMA``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)
    SCHEMA: ClassVar[str]
    schema_: str = Field(default="", alias="schema")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of this schema.

        Raises:
            EvopError: missing, not JSON, another schema, changed since it was written, or a key this version does not
                know.
        """
        if path.exists() and not path.is_file():
            raise EvopError(f"{path} is a folder, a pipe or a device; expected {cls.SCHEMA}")
        try:
            content = json_value(path.read_bytes())
        except FileNotFoundError as error:
            raise EvopError(f"{path}: no such file; expected {cls.SCHEMA}") from error
        except ValueError as error:
            raise EvopError(f"{path} is not JSON ({error}); make it again") from error
        if not isinstance(content, dict) or content.get("schema") != cls.SCHEMA:
            schema = content.get("schema") if isinstance(content, dict) else type(content).__name__
            raise EvopError(
                f"{path} opens with schema {schema!r}, expected {cls.SCHEMA!r}: it is another file, or was written by "
                "another version of evop; make it again"
            )
        if not is_unchanged(content):
            raise EvopError(
                f"{path} was changed since evop wrote it: its content does not have the checksum that stands in it; "
                "copy it again from where it came from, or make it again"
            )
        try:
            return cls.model_validate({key: value for key, value in content.items() if key != CHECKSUM})
        except ValidationError as error:
            raise EvopError(f"{path}: {first_problem(error)}") from error

    def write(self, path: Path) -> None:
        """Write the file under a temporary name, then rename it."""
        write_json(path, with_checksum({**self.model_dump(by_alias=True), "schema": self.SCHEMA}))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON under a temporary name, then rename it; NaN is refused."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``, renamed to it when the block ends well and deleted when it does not.

    What is renamed is on the disk by then: wherever the power fails, the name leads to the old content or to the new.
    """
    temporary = temporary_of(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> Path:
    """Name the file that ``whole`` writes first; a process that was killed may leave it."""
    return path.with_name(f"{path.stem}.tmp{path.suffix}")


def inside(place: str | Path, name: str) -> Path:
    """Find a stage's file: in ``place`` if that is a folder, else ``place`` is the file."""
    return Path(place) / name if Path(place).is_dir() else Path(place)


def paths_of(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the paths that a stage is given: one, or several."""
    return [Path(path) for path in ([given] if isinstance(given, str | Path) else given)]


def sha256(path: Path) -> str:
    """Hash a file with sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_problem(error: ValidationError) -> str:
    """Put the first thing pydantic found wrong on one line."""
    problem = error.errors()[0]
    where = ".".join(keys_to(problem["loc"])) or "the whole"
    if not problem["loc"] and problem["type"] == "value_error":  # values that do not go together: the words say which
        return problem["msg"].removeprefix("Value error, ")
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (found {str(problem.get('input'))[:60]!r})"


def keys_to(steps: Sequence[int | str]) -> tuple[str, ...]:
    """Name the way to what pydantic found wrong, without the kinds among which it chose: no keys of a person's.

    Example:
        >>> keys_to(("remove", "float")), keys_to(("remove", "dict[str,float]", "flops"))
        (('remove',), ('remove', 'flops'))
    """
    keys = tuple(str(step) for step in steps if not str(step).startswith(("dict[", "list[", "tuple[")))
    return keys[:-1] if keys[1:] and keys[-1] in ("float", "int", "str") else keys
