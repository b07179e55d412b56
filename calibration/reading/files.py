"""A local source file, looked at before and after ``datasets`` reads it, so that what is wrong is said plainly."""

import bz2
import codecs
import gzip
import hashlib
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from calibration.errors import CalibrationError, one_line

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text"}
COMPRESSIONS: dict[str, Callable[..., object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BLOCK = 1 << 20  # bytes


def file_format(path: str) -> str | None:
    """Name the ``datasets`` builder for a file name (``json``, ``parquet``, ``csv``, ``text``); None if unknown."""
    return FORMATS.get(_suffixes(path)[0])


def checked_sha256(path: Path) -> str:
    """Compute the SHA-256 (hex) of a file that can be read, a block at a time.

    Raises:
        CalibrationError: the file is missing, empty, or a text file that is not UTF-8.
    """
    if not path.exists():
        raise CalibrationError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise CalibrationError(f"{path}: is a folder, expected a file; name one of its files")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with _opened(path) as stream:
            size = _check_utf8(path, stream) if file_format(path.name) != "parquet" else len(stream.read(1))
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise CalibrationError(f"{path}: cannot be read: {one_line(error)}") from error
    if size == 0:
        raise CalibrationError(f"{path}: the file is empty, expected text")
    return digest


def explain(path: Path, error: BaseException) -> CalibrationError:
    """Say on one line why ``datasets`` could not read a file: for JSON, the line that is no JSON object."""
    plain, _ = _suffixes(path.name)
    fault = _bad_json_line(path) if plain in (".jsonl", ".json") else None
    if fault:
        return CalibrationError(f"{path}: {fault}")
    return CalibrationError(
        f"{path}: cannot be read as {file_format(path.name)}: {one_line(error)}; check the file, or convert it to JSONL"
    )


def _suffixes(path: str) -> tuple[str, str]:
    """Take from a file name the suffix of the format, and that of the compression ("" for none)."""
    name = Path(path)
    packed = name.suffix.lower()
    if packed in COMPRESSIONS:
        return Path(name.stem).suffix.lower(), packed
    return packed, ""


def _opened(path: Path) -> BinaryIO:
    """Open the file's content, unpacked."""
    packed = _suffixes(path.name)[1]
    return cast(BinaryIO, COMPRESSIONS[packed](path, "rb") if packed else path.open("rb"))


def _check_utf8(path: Path, stream: BinaryIO) -> int:
    """Count the bytes in the stream; raise at the first that is not UTF-8, naming line and byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, lines = 0, 1
    while True:
        block = stream.read(_BLOCK)
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            at = done - held + error.start
            line = lines + error.object[: error.start].count(b"\n")
            raise CalibrationError(
                f"{path}: not UTF-8 at byte {at} (line {line}): {error.reason}; save the file as UTF-8"
            ) from error
        if not block:
            return done
        done += len(block)
        lines += block.count(b"\n")


def _bad_json_line(path: Path) -> str | None:
    """Say which line of a JSON Lines file cannot be read, and why; None if every line can."""
    with _opened(path) as stream:
        first = stream.read(_BLOCK).lstrip()[:1]
    with _opened(path) as stream:
        if first == b"[" or _suffixes(path.name)[0] == ".json":
            try:
                json.loads(stream.read())
            except json.JSONDecodeError as error:
                return f"line {error.lineno}: unreadable JSON: {error.msg} at column {error.colno}"
            return None
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                return f"line {number}: unreadable JSON: {error.msg} at column {error.colno}; mend or drop the line"
            if not isinstance(value, dict):
                return f'line {number}: found JSON {type(value).__name__}, expected an object such as {{"text": ...}}'
    return None
