"""Law 5, no leak: no document and no near-duplicate lies in two splits. Brute force, nothing borrowed from the code."""

import itertools
import json
import random
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from shared import CORPORA, shared_folder

from calibration import SAMPLERS, SPLITS, CalibrationSet, DomainSource, Recipe, build_calibration_set

ALL = 10**9
"""More tokens than any domain has: ``train`` takes all that it may."""


def shingles(text: str) -> set[tuple[str, ...]]:
    tokens = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)} or {tuple(tokens)}


def shares_text(of_a: set[tuple[str, ...]], of_b: set[tuple[str, ...]]) -> bool:
    """Whether a fifth of one text, and at least thirty shingles of it, lies in the other."""
    common = len(of_a & of_b)
    return common >= 30 and 5 * common >= min(len(of_a), len(of_b))


def boilerplate(domains: list[DomainSource], column: str) -> set[tuple[str, ...]]:
    """Shingles that more than a tenth of a domain's documents hold, and more than ten."""
    common = set()
    for domain in domains:
        held: Counter[tuple[str, ...]] = Counter()
        documents: dict[str, set[tuple[str, ...]]] = {}
        for line in Path(domain.source).read_text().splitlines()[:500]:
            row = json.loads(line)
            documents.setdefault(row[column], set()).update(shingles(row["text"]))
        for of_document in documents.values():
            held.update(of_document)
        common |= {shingle for shingle, n in held.items() if n > max(10, len(documents) // 10)}
    return common


def leaks(built: CalibrationSet, common: set[tuple[str, ...]] = frozenset()) -> list[str]:
    """Say every pair of passages in two splits that share a document or text, and every pair that shares 80%."""
    table = [(p, shingles(p.plain)) for p in built.passages]
    pairs = []
    for (a, of_a), (b, of_b) in itertools.combinations(table, 2):
        if a.split != b.split and a.document == b.document:
            pairs.append(f"document {a.document}: {a.split} and {b.split}")
        if 5 * len(of_a & of_b) >= 4 * len(of_a | of_b):
            pairs.append(f"near-duplicates {a.id} ({a.split}), {b.id} ({b.split})")
        elif a.split != b.split and shares_text(of_a - common, of_b - common):
            pairs.append(f"shared text {a.id} ({a.split}), {b.id} ({b.split})")
    return pairs


def messy_corpus(folder: Path, seed: int) -> list[DomainSource]:
    """Write two domains whose documents wander between topics, with copies, near-copies, and rows both domains have."""
    rng = random.Random(seed)
    common = [f"common{i}" for i in range(200)]
    shared = [" ".join(rng.choices(common, k=40)) for _ in range(15)]
    domains = []
    for name in ("left", "right"):
        topics = [[f"{name}{topic}x{i}" for i in range(15)] for topic in range(5)]
        rows = [{"text": text, "book": f"shared {i}"} for i, text in enumerate(shared)]
        for book in range(70):
            topic = topics[book % 5]
            for _ in range(rng.randint(1, 3)):
                if rng.random() < 0.15:
                    topic = rng.choice(topics)
                words = [rng.choice(topic if rng.random() < 0.6 else common) for _ in range(80)]
                rows.append({"text": " ".join(words), "book": f"book {book}"})
                if rng.random() < 0.2:  # said again in another book, a word changed
                    words[rng.randrange(80)] = "changed"
                    rows.append({"text": " ".join(words), "book": f"book {rng.randrange(70)}"})
        rng.shuffle(rows)
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        domains.append(DomainSource(name=name, source=str(path)))
    return domains


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("split_seed", [0, 1, 2])
def test_no_leak(tmp_path, sampler, split_seed):
    domains = messy_corpus(tmp_path, split_seed)
    recipe = Recipe(
        domains=domains,
        group_by="book",
        clusters=5,
        passages=20,
        sampler=sampler,
        split_seed=split_seed,
        min_group_tokens=200,
        train_tokens=ALL,
    )
    built = build_calibration_set(recipe)
    assert all(len(built.split(name)) > 10 for name in SPLITS)
    assert sum(entry.given_up for entry in built.manifest.domains) > 0
    assert sum(entry.near_duplicates for entry in built.manifest.domains) > 20
    assert leaks(built) == []


def test_one_file_in_two_domains(tmp_path):
    """A question in ``search`` and its answer, of another domain, in ``audit`` would be a leak."""
    (domain, _) = messy_corpus(tmp_path, 7)
    rows = [json.loads(line) for line in Path(domain.source).read_text().splitlines()]
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "".join(json.dumps({"a": row["text"], "b": " ".join(reversed(row["text"].split()))}) + "\n" for row in rows)
    )
    domains = [DomainSource(name=column, source=f"{path}:{column}") for column in "ab"]
    built = build_calibration_set(
        Recipe(domains=domains, clusters=4, passages=10, min_group_tokens=200, train_tokens=ALL)
    )
    assert len(built.split("train")) > 10
    assert len({p.document for p in built.passages}) < len(built.passages)
    assert leaks(built) == []


def test_no_leak_in_real_text():
    corpora, names = shared_folder(CORPORA), ("biomedical", "legal_statute", "code_python")
    domains = [DomainSource(name=name, source=str(corpora / f"{name}.jsonl")) for name in names]
    built = build_calibration_set(Recipe(domains=domains, group_by="source", limit=500, train_tokens=ALL))
    assert len(built.split("train")) > 10
    assert sum(entry.near_duplicates for entry in built.manifest.domains) > 0
    assert leaks(built, boilerplate(domains, "source")) == []


@pytest.mark.parametrize("split_seed", [0, 1])
def test_no_copy_behind_a_header_is_parted_from_its_original(tmp_path, split_seed):
    """Documents of three passages, half of them again behind headers; each passage against each text."""
    rng = random.Random(split_seed)
    topics = [[f"t{topic}x{i}" for i in range(400)] for topic in range(3)]
    originals = [" ".join(rng.choices(topics[i % 3], k=450)) for i in range(60)]
    headers = [" ".join(rng.choices(topics[i % 3], k=100))[: (40, 150, 300, 500)[i % 4]] for i in range(30)]
    texts = [*originals, *(f"{header} {text}" for header, text in zip(headers, originals, strict=False))]
    path = tmp_path / "copies.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    source = DomainSource(name="d", source=str(path))
    recipe = Recipe(domains=[source], clusters=3, split_seed=split_seed, passages=20, hold_out=0, train_tokens=ALL)
    built = build_calibration_set(recipe)
    assert len(built.split("train")) > 10
    (entry,) = built.manifest.domains
    assert entry.joined_documents > 10
    of_texts = [shingles(text) for text in texts]
    places: dict[int, set[str]] = {}
    for p in built.passages:
        mine = shingles(p.plain)
        for number, of_text in enumerate(of_texts):
            if 5 * len(mine & of_text) >= len(mine):
                places.setdefault(number % 60, set()).add(p.split)
    assert len(places) == 60
    assert all(len(splits) == 1 for splits in places.values())
    assert leaks(built) == []


def test_the_brute_force_finds_leaks(tmp_path):
    built = build_calibration_set(Recipe(domains=messy_corpus(tmp_path, 0), group_by="book", min_group_tokens=200))
    first, noise = built.split("search")[0], " ".join(f"noise{i}" for i in range(200))
    strays = (
        first.of(first.domain, first.document, "another text of the same document"),
        first.of(first.domain, "another document", f"{first.text} more"),
        first.of(first.domain, "another document", f"{first.text} {'and more ' * 20}{noise}"),
    )
    for stray in (p.placed(split=split) for p in strays for split in ("audit", "train")):
        tampered = CalibrationSet(built.manifest, (*built.passages, stray), built.centroids, built.positions, {})
        assert len(set(leaks(tampered))) == 1


def test_a_document_that_lies_in_two_files_of_a_domain_is_one_document(tmp_path):
    """Chapters of 30 books over two files: found again by the book's own word, which every chapter bears."""
    rng = random.Random(0)
    words = [f"word{i}" for i in range(300)]
    for n in range(2):
        rows = [
            {"book": f"b{book}", "text": f"book{book} " + " ".join(rng.choices(words[100 * (book % 3) :][:100], k=60))}
            for book in range(30)
            for _ in range(3)
        ]
        (tmp_path / f"s{n}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = [DomainSource(name="books", source=str(tmp_path / f"s{n}.jsonl"), group_by="book") for n in range(2)]
    built = build_calibration_set(
        Recipe(domains=sources, clusters=3, passages=10, min_group_tokens=50, train_tokens=ALL)
    )
    assert built.split("train")
    splits: dict[str, set[str]] = {}
    for passage in built.passages:
        splits.setdefault(passage.plain.split()[0], set()).add(passage.split)
    assert len(splits) > 10
    assert all(len(of_book) == 1 for of_book in splits.values())
