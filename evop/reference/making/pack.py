"""How the embedded corpora were packed: `python -m evop.reference.making.pack --corpora DIR --out DIR`.

Each `DIR/<domain>.jsonl` holds one object per line with `text` and `source` (`repository:path`). Only the
sources of `sources.SOURCES` are taken, because only their licences are known to let the text be shipped. The
same files and seed give the same rows in the same order.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evop.files.json_file import whole
from evop.reference import DOMAINS
from evop.reference.making.sources import NOT_TAKEN, SOURCES, Source

MAX_CHARS = 1_500_000
"""Characters per domain, at most."""

PIECE_CHARS = 4_000
"""Longer texts are split into pieces of at most this many characters: room for more documents."""


class PackError(ValueError):
    """A corpus file that cannot be packed."""


@dataclass(frozen=True)
class Row:
    """One row of a packed corpus."""

    text: str
    document: str
    licence: str


def pieces(text: str, limit: int = PIECE_CHARS) -> list[str]:
    """Split a text into near-equal pieces of at most `limit` characters, where it pauses."""
    text = text.strip()
    left = math.ceil(len(text) / limit)
    out = []
    while left > 1:
        end = _pause_before(text, min(limit, math.ceil(len(text) / left * 1.1)))
        out.append(text[:end].rstrip())
        text = text[end:].lstrip("\n ")
        left = max(left - 1, math.ceil(len(text) / limit))
    return [piece for piece in (*out, text) if piece]


def _pause_before(text: str, end: int) -> int:
    """Find the last pause in the second half of what comes before `end`: a paragraph, a line, a sentence, a word."""
    for mark in ("\n\n", "\n", ". ", " "):
        at = text.rfind(mark, end // 2, end)
        if at > 0:
            return at + len(mark)
    return end


def read_rows(path: Path, domain: str) -> Iterator[Row]:
    """Yield the rows of one JSONL file whose licence lets them be shipped, long ones split.

    Raises:
        PackError: The file is missing, or a line is not an object with `text` and `source`.
    """
    if not path.is_file():
        raise PackError(f"{path}: no such file; expected one JSONL file for each domain; check --corpora")
    by_repository = {source.repository: source for source in SOURCES[domain]}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
                text, origin = str(record["text"]), str(record["source"])
            except (ValueError, KeyError, TypeError) as error:
                raise PackError(
                    f"{path}, line {number + 1}: {error!r}; expected an object with 'text' and 'source'; mend the line"
                ) from error
            repository, _, inside = origin.partition(":")
            source = by_repository.get(repository)
            if source is None or inside.startswith(NOT_TAKEN.get(repository, ())):
                continue
            document = _document(source, origin, text, number)
            for piece in pieces(text):
                yield Row(piece, document, source.licence)


def _document(source: Source, origin: str, text: str, number: int) -> str:
    if source.document == "row":
        return f"{origin}#{number}"
    if source.document == "title":
        return f"{origin}#{text.splitlines()[0].partition(':')[0]}"
    return origin


def choose(rows: Iterable[Row], max_chars: int, rng: np.random.Generator) -> list[Row]:
    """Choose rows up to `max_chars` characters, spread over as many documents as possible.

    Documents take turns in a random order, each giving one random row per turn; texts seen before are skipped.
    """
    by_document: dict[str, list[Row]] = {}
    for row in {row.text: row for row in rows}.values():
        by_document.setdefault(row.document, []).append(row)
    names = sorted(by_document)
    order = [names[i] for i in rng.permutation(len(names))]
    waiting = {name: [by_document[name][i] for i in rng.permutation(len(by_document[name]))] for name in order}
    chosen: list[Row] = []
    chars = 0
    for turn in range(max((len(queue) for queue in waiting.values()), default=0)):
        for name in order:
            if turn < len(waiting[name]) and chars + len(waiting[name][turn].text) <= max_chars:
                chosen.append(waiting[name][turn])
                chars += len(waiting[name][turn].text)
    return chosen


def write_rows(rows: list[Row], path: Path) -> None:
    """Write rows as zstd Parquet, under a temporary name first."""
    table = pa.table(
        {column: pa.array([getattr(row, column) for row in rows], pa.string()) for column in Row.__annotations__}
    )
    with whole(path) as temporary:
        pq.write_table(
            table, temporary, compression="zstd", compression_level=19, use_dictionary=["document", "licence"]
        )


def pack(corpora: Path, out: Path, max_chars: int = MAX_CHARS, seed: int = 0) -> dict[str, list[Row]]:
    """Pack every domain's JSONL file into `out/<domain>.parquet`; return the rows written.

    Raises:
        PackError: A corpus file is missing, malformed, or has no text that may be shipped.
    """
    packed = {}
    for domain in DOMAINS:
        path = corpora / f"{domain}.jsonl"
        own_seed = int.from_bytes(hashlib.sha256(f"{seed}/{domain}".encode()).digest()[:8], "little")
        packed[domain] = choose(read_rows(path, domain), max_chars, np.random.default_rng(own_seed))
        if not packed[domain]:
            raise PackError(
                f"{path}: no text that may be shipped; expected sources among "
                f"{', '.join(source.repository for source in SOURCES[domain])}; check its 'source' fields"
            )
    out.mkdir(parents=True, exist_ok=True)
    for domain, rows in packed.items():
        write_rows(rows, out / f"{domain}.parquet")
    return packed


def main(argv: list[str] | None = None) -> int:
    """Run the command; print what was packed and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evop.reference.making.pack", description="pack the corpora")
    parser.add_argument("--corpora", type=Path, required=True, help="folder with <domain>.jsonl for every domain")
    parser.add_argument("--out", type=Path, required=True, help="folder for <domain>.parquet")
    parser.add_argument("--max-chars", type=int, default=MAX_CHARS, help="characters per domain (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    try:
        packed = pack(arguments.corpora, arguments.out, arguments.max_chars, arguments.seed)
    except (PackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for domain, rows in packed.items():
        size = (arguments.out / f"{domain}.parquet").stat().st_size
        documents, chars = len({row.document for row in rows}), sum(len(row.text) for row in rows)
        print(f"{domain}: {len(rows)} rows, {documents} documents, {chars:,} characters, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
