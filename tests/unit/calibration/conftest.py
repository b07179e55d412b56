"""Small corpora made on the spot, and the real ones where they are at hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from shared import CORPORA, shared_folder

from calibration import DomainSource, Recipe

TOPICS = {
    "law": ["statute court judge appeal plaintiff verdict", "tax revenue fiscal budget levy income"],
    "food": ["bread flour oven yeast dough crust", "soup onion broth carrot celery simmer"],
    "sea": ["sail mast harbour anchor tide captain", "whale reef coral plankton shark dolphin"],
    "music": ["violin cello orchestra conductor symphony sonata", "guitar drums amplifier concert singer lyrics"],
}


def make_rows(topics: list[str], documents: int, passages: int, seed: int) -> list[dict[str, str]]:
    """Make rows of text, ``passages`` rows per document and one topic per document."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(documents):
        telling = topics[number % len(topics)].split()
        filler = [f"word{i}" for i in range(300)]
        for _ in range(passages):
            chosen = [str(rng.choice(telling if rng.random() < 0.5 else filler)) for _ in range(60)]
            rows.append({"text": " ".join(chosen) + ".", "book": f"book {number}"})
    return rows


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class RowWriter:
    """Hands ``make_rows`` and ``write_jsonl`` to tests."""

    make = staticmethod(make_rows)
    __call__ = staticmethod(write_jsonl)


@pytest.fixture
def write_rows() -> RowWriter:
    """Writes JSON Lines; ``write_rows.make`` makes rows of topics."""
    return RowWriter()


@pytest.fixture(scope="session")
def two_domains(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two domains of four topics and 80 documents of two passages each."""
    folder = tmp_path_factory.mktemp("corpora")
    first, second = TOPICS["law"] + TOPICS["food"], TOPICS["sea"] + TOPICS["music"]
    return {
        "land": write_jsonl(folder / "land.jsonl", make_rows(first, 80, 2, 1)),
        "shore": write_jsonl(folder / "shore.jsonl", make_rows(second, 80, 2, 2)),
    }


@pytest.fixture(scope="session")
def recipe(two_domains: dict[str, Path]) -> Recipe:
    """A recipe over them: four clusters each, small enough to build in a second."""
    domains = [DomainSource(name=name, source=str(path)) for name, path in two_domains.items()]
    return Recipe(domains=domains, group_by="book", clusters=4, passages=20, min_group_tokens=100)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The real held-out texts."""
    return shared_folder(CORPORA)
