"""The data of ``peers.py``: corpora split by document into a pool to calibrate on and windows that nobody saw.

The split and the windows are those on which the rivals' own code was run and judged; the stored losses of their
answers agree with what is measured here only if every token does.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CALIBRATED = (
    *("biomedical", "code_python", "dialogue_task", "encyclopedic"),
    *("legal_statute", "literature_en", "math_word", "tech_docs"),
)
"""Domains that are calibrated on, and judged on documents that the pool lacks."""
FOREIGN = ("tinystories", "web_c4")
"""Domains that are only judged."""
MANY_SOURCES = 20
"""Above so many sources, a source is a document; below, each row is one."""
WINDOWS, WINDOW, SHORTEST = 20, 256, 64
"""Windows a domain, tokens of a window at most, and at least."""
LONG_TEXT = 3000
"""Characters of a text above which a window begins at a random place of it."""
SEED = 123
DATA: dict[str, Any] = {
    "embedder": "lexical",
    "clusters": 2,
    "hold_out": 0,
    "passages": 6,
    "select_passages": 2,
    "audit_passages": 6,
    "passage_chars": 900,
    "limit": 800,
    "min_group_tokens": 300,
}
"""What a calibration set is made with."""


def rows_of(shared: Path, domain: str) -> list[tuple[str, str]]:
    """Read a corpus: the document and the text of each row."""
    with (shared / "data" / "corpora" / f"{domain}.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    by_source = len({row["source"] for row in rows}) > MANY_SOURCES
    return [(row["source"] if by_source else f"{domain}-{i}", row["text"]) for i, row in enumerate(rows)]


def in_pool(document: str) -> bool:
    """Whether a document belongs to the pool: the sha256 of its name is even."""
    return hashlib.sha256(document.encode()).digest()[-1] % 2 == 0


def write_pool(shared: Path, out: Path) -> list[str]:
    """Write the pool of each calibrated domain; returns them as ``NAME=FILE``."""
    out.mkdir(parents=True, exist_ok=True)
    for domain in CALIBRATED:
        pool = [{"text": text, "document": name} for name, text in rows_of(shared, domain) if in_pool(name)]
        (out / f"{domain}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool))
    return [f"{domain}={out / domain}.jsonl" for domain in CALIBRATED]


def windows(shared: Path, tokenizer: Any) -> dict[str, list[list[int]]]:
    """Cut the held-out documents into windows of token ids, by domain."""
    rng, found = random.Random(SEED), {}
    for domain in (*CALIBRATED, *FOREIGN):
        texts = [text for name, text in rows_of(shared, domain) if not in_pool(name)]
        rng.shuffle(texts)
        found[domain] = list(_windows(texts, tokenizer, rng))
    return found


def _windows(texts: list[str], tokenizer: Any, rng: random.Random) -> Iterator[list[int]]:
    """Yield the beginning of each text, of a long one what follows a random place, until there are enough."""
    count = 0
    for text in texts:
        if count == WINDOWS:
            return
        ids = tokenizer(_from_a_random_place(text, rng), verbose=False)["input_ids"][:WINDOW]
        if len(ids) >= SHORTEST:
            count += 1
            yield ids


def _from_a_random_place(text: str, rng: random.Random) -> str:
    """Return a stretch of a long text, from the beginning of a line where one begins soon."""
    if len(text) <= LONG_TEXT:
        return text
    begin = rng.randrange(len(text) - 2000)
    line = text.find("\n", begin) + 1
    if 0 < line <= len(text) - 1500:
        begin = line
    return text[begin : begin + LONG_TEXT]
