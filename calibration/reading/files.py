"""A local source file: its format, its packing, its checksum, and what can be seen of it before its rows are read."""

import bz2
import codecs
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from calibration.errors import CalibrationError, one_line

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv", ".txt": "text"}
COMPRESSIONS: dict[str, Callable[..., object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""What opening and unpacking a file raises."""
MOST_OF_A_ROW = 1 << 26
"""Bytes of one line, and characters of one document, at most: a row is held in memory whole."""
MOST_UNPACKED, PACKED_BY = 1 << 30, 200
"""Bytes that a packed file may hold if it is packed more tightly than so many times; no text is."""
_BLOCK = 1 << 20  # bytes


def file_format(path: str) -> str | None:
    """Name the format of a file by its name (``json``, ``parquet``, ``csv``, ``text``); None if unknown."""
    return FORMATS.get(_suffixes(path)[0])


def checked_sha256(path: Path) -> str:
    """Compute the SHA-256 (hex) of a file that can be read, a block at a time.

    Raises:
        CalibrationError: the file is missing, no file, empty, a text file that is not UTF-8, or one with a line that
            is too long to hold in memory.
    """
    if not is_there(path):
        raise CalibrationError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise CalibrationError(f"{path}: is a folder, expected a file; name one of its files")
    if not path.is_file():
        raise CalibrationError(f"{path}: is a pipe or a device, expected a file; save what it gives to a file first")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with opened(path) as stream:
            size = _check_text(path, stream) if file_format(path.name) != "parquet" else len(stream.read(1))
    except UNREADABLE as error:
        raise CalibrationError(f"{path}: cannot be read: {one_line(error)}") from error
    if size == 0:
        raise CalibrationError(f"{path}: the file is empty, expected text")
    return digest


def is_there(path: str | Path) -> bool:
    """Tell whether a file is there; what no file can be called is not."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def opened(path: Path) -> BinaryIO:
    """Open the file's content, unpacked."""
    packed = _suffixes(path.name)[1]
    return cast(BinaryIO, COMPRESSIONS[packed](path, "rb") if packed else path.open("rb"))


def holds_a_list(path: Path) -> bool:
    """Tell whether a JSON file holds one list, or values one after another, instead of a value a line."""
    if _suffixes(path.name)[0] == ".json":
        return True
    with opened(path) as stream:
        return stream.read(_BLOCK).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def _suffixes(path: str) -> tuple[str, str]:
    """Take from a file name the suffix of the format, and that of the compression ("" for none)."""
    name = Path(path)
    packed = name.suffix.lower()
    if packed in COMPRESSIONS:
        return Path(name.stem).suffix.lower(), packed
    return packed, ""


def _check_text(path: Path, stream: BinaryIO) -> int:
    """Count the bytes in the stream; raise at the first that is not UTF-8, naming line and byte, or at a long line."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    in_lines = file_format(path.name) != "json" or not holds_a_list(path)
    most = max(MOST_UNPACKED, PACKED_BY * path.stat().st_size)
    done, lines, line_began = 0, 1, 0
    while True:
        block = stream.read(_BLOCK)
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            at = done - held + error.start
            line = lines + error.object[: error.start].count(b"\n")
            wide = block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and done == 0
            reason = "it begins as UTF-16 does" if wide else error.reason
            raise CalibrationError(
                f"{path}: not UTF-8 at byte {at} (line {line}): {reason}; save the file as UTF-8"
            ) from error
        if not block:
            return done
        line_began = _line_began(path, block, done, line_began, lines) if in_lines else done
        done += len(block)
        lines += block.count(b"\n")
        if _suffixes(path.name)[1] and done > most:
            raise CalibrationError(
                f"{path}: unpacks to more than {PACKED_BY} times its size, as no text does; unpack it and look at it"
            )


def _line_began(path: Path, block: bytes, done: int, began: int, line: int) -> int:
    """Find where the line begins that a block ends in; raise if a line is too long.

    Args:
        path: the file.
        block: the next bytes of it.
        done: bytes before the block.
        began: where the line began that the block begins in.
        line: the number of that line.
    """
    first = block.find(b"\n")
    if done + (len(block) if first < 0 else first) - began > MOST_OF_A_ROW:
        raise CalibrationError(
            f"{path}: line {line} is longer than {MOST_OF_A_ROW >> 20} MiB; part the file into lines"
        )
    return began if first < 0 else done + block.rfind(b"\n") + 1
