"""Properties of calibration's pure functions, over inputs hypothesis makes up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.choosing.sample import SAMPLERS, largest_remainders, water_fill
from calibration.choosing.split import SHARES, share_out
from calibration.choosing.train import training_passages
from calibration.passage import Passage, words
from calibration.reading.duplicates import near_duplicates
from calibration.reading.pieces import pieces_of
from calibration.reading.shingles import shingle_sets

examples = settings(deadline=None, max_examples=150, derandomize=True)

ROW = st.tuples(st.integers(0, 3), st.integers(0, 20), st.sampled_from(["search", "search", "audit", ""]))
"""Cluster, document and split of a passage."""
TEXT = st.text(st.sampled_from("abc.!?  \n\t。é"), max_size=400) | st.text(max_size=200)


@examples
@given(TEXT, st.integers(1, 60))
def test_pieces_cover_the_text_and_are_not_too_long(text, size):
    pieces = pieces_of(text, size)
    assert "".join(pieces) == text
    assert all(pieces)
    assert all(4 * len(piece) <= 5 * size for piece in pieces)
    assert len(pieces) < 2 or 4 * len(pieces[-1]) >= size


@examples
@given(st.lists(st.text(st.sampled_from("ab"), min_size=1, max_size=12), max_size=60), st.integers(12, 40))
def test_pieces_keep_words_whole(tokens, size):
    text = " ".join(tokens)
    assert " ".join(pieces_of(text, size)).split() == text.split()


@examples
@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_water_fill(sizes, total):
    quota = water_fill(sizes, total)
    assert sum(quota) == min(total, sum(sizes))
    assert all(0 <= q <= size for q, size in zip(quota, sizes, strict=True))
    short = [q for q, size in zip(quota, sizes, strict=True) if q < size]
    if short:
        assert max(quota) - min(short) <= 1


@examples
@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_largest_remainders(sizes, total):
    quota = largest_remainders(sizes, total)
    assert sum(quota) == min(total, sum(sizes))
    assert all(0 <= q <= size for q, size in zip(quota, sizes, strict=True))
    shares = [sum(quota) * size / max(sum(sizes), 1) for size in sizes]
    assert all(abs(q - share) < 1 for q, share in zip(quota, shares, strict=True))


@pytest.mark.parametrize("name", SAMPLERS)
@examples
@given(st.lists(st.integers(0, 30), max_size=7), st.integers(0, 120), st.integers(0, 3))
def test_samplers_choose_distinct_passages_of_the_pool_as_many_as_asked(name, sizes, n, seed):
    pools = {3 * c: [Passage.of("d", f"{c}-{i}", f"{c}-{i}") for i in range(size)] for c, size in enumerate(sizes)}
    chosen = SAMPLERS[name](pools, n, np.random.default_rng(seed))
    ids = [p.id for p in chosen]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {p.id for some in pools.values() for p in some}
    reach = max(sizes, default=0) if name == "evop" else sum(sizes)
    assert len(ids) == min(n, reach)


@examples
@given(
    st.lists(ROW, max_size=8) | st.lists(ROW, min_size=30, max_size=60),
    st.frozensets(st.integers(0, 20).map(str), max_size=5),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 3),
)
def test_training_passages_are_equal_shares_of_what_nothing_was_searched_of(rows, searched, tokens, more, seed):
    lengths = [5 * i % 12 for i in range(len(rows))]
    placed = [
        Passage.of("d", str(document), f"{i} " + "x" * lengths[i]).placed(cluster=cluster, split=split)
        for i, (cluster, document, split) in enumerate(rows)
    ]
    pool = {p.id: p for p in placed if p.split == "search" and p.document not in searched}
    taken = training_passages(placed, searched, tokens, seed)
    assert [pool[p.id].placed(split="train") for p in taken] == taken
    assert len({p.id for p in taken}) == len(taken)
    reached = {c: sum(p.tokens for p in taken if p.cluster == c) for c in range(4)}
    held = {c: sum(p.tokens for p in pool.values() if p.cluster == c) for c in range(4)}
    largest = max((p.tokens for p in pool.values()), default=0)
    giving = len({p.cluster for p in taken})
    assert min(tokens, sum(held.values())) <= sum(reached.values()) <= tokens + giving * largest
    short = [reached[c] for c in range(4) if reached[c] < held[c]]
    assert max(reached.values()) - min(short, default=max(reached.values())) <= largest
    assert {p.id for p in taken} <= {p.id for p in training_passages(placed, searched, tokens + more, seed)}
    assert {p.id for p in training_passages(placed, searched, 10**9, seed)} == set(pool)


def jaccard_at_least_four_fifths(a: str, b: str) -> bool:
    sets = []
    for text in (a, b):
        tokens = words(text)
        sets.append({tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)} or {tuple(tokens) or text})
    return 5 * len(sets[0] & sets[1]) >= 4 * len(sets[0] | sets[1])


@examples
@given(st.lists(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=40).map(" ".join), max_size=25))
def test_near_duplicates_are_what_brute_force_finds(texts):
    kept: list[int] = []
    dropped = []
    for i, text in enumerate(texts):
        twin = any(jaccard_at_least_four_fifths(text, texts[j]) for j in kept)
        (dropped if twin else kept).append(i)
    assert near_duplicates(shingle_sets(texts)) == dropped


@examples
@given(
    st.dictionaries(
        st.integers(0, 40).map(str),
        st.dictionaries(st.sampled_from("pqrs"), st.integers(1, 5), min_size=1),
        min_size=3,
        max_size=40,
    ),
    st.integers(0, 5),
)
def test_every_document_is_shared_out_once(documents, seed):
    place = share_out(documents, SHARES, seed)
    assert set(place) == set(documents)
    assert set(place.values()) <= set(SHARES)
    rarest = min((g for d in documents.values() for g in d), key=lambda g: (sum(g in d for d in documents.values()), g))
    holders = [d for d in documents if rarest in documents[d]]
    if len(holders) >= 3:
        assert {place[d] for d in holders} == set(SHARES)
