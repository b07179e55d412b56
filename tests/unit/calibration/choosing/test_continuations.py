"""Continuation tasks: the own ending among three others of the same cluster and split, as long as it."""

from __future__ import annotations

import pytest

from calibration import Passage, build_calibration_set
from calibration.choosing.continuations import CHOICES, ENDING, QUERY, continuations


def texts(n=12, cluster=0, split="audit", words=140):
    def text(i):
        return " ".join(f"c{cluster}w{i}x{j}{'y' * (j % 5)}" for j in range(words))

    made = (Passage.of("d", f"doc{cluster}.{i}", text(i)) for i in range(n))
    return [passage.placed(cluster=cluster, split=split) for passage in made]


def test_an_item_is_a_passage_and_three_others():
    passages = texts() + texts(6, 1, "search", words=141)
    found = continuations(passages, 0)
    assert [passage.id for _, (passage, *_) in found] == [passage.id for passage in passages]
    by_text = {passage.text: passage for passage in passages}
    for item, (passage, *others) in found:
        assert (item.cluster, item.split, item.document) == (passage.cluster, passage.split, passage.document)
        assert item.domain == "d.continuation"
        assert item.choices is not None
        own = item.choices[item.gold]
        assert len(set(item.choices)) == CHOICES
        assert f"{item.text} {own}" in str(passage.text)
        assert len(item.text or "") <= QUERY
        assert abs(len(own) - ENDING) <= 12
        for i, ending in enumerate(item.choices):
            source = next(p for text, p in by_text.items() if ending in str(text))
            assert (source.document == item.document) is (i == item.gold)
            assert (source.cluster, source.split) == (item.cluster, item.split)
            assert abs(len(ending) - len(own)) <= 0.1 * len(own)
            assert source in (passage, *others)
        assert len(others) == CHOICES - 1
    assert len({item.gold for item, _ in found}) == CHOICES  # the right one stands anywhere


def test_the_same_seed_gives_the_same_items_whatever_stands_around():
    passages = texts()
    assert continuations(passages, 0) == continuations(passages + texts(5, 1), 0)[: len(passages)]
    assert continuations(passages, 0) != continuations(passages, 1)


def test_too_few_or_too_short_passages_give_none():
    assert continuations(texts(3), 0) == []
    assert continuations(texts(8, words=10), 0) == []
    assert continuations([p.placed(split="") for p in texts()], 0) == []
    chats = [Passage.of("d", f"c{i}", messages=({"role": "user", "content": "x " * 300},)) for i in range(8)]
    assert continuations([p.placed(cluster=0, split="audit") for p in chats], 0) == []


@pytest.fixture(scope="module")
def asked():
    return {"continuations": ["land"], "items": 24, "audit_items": 9, "select_items": 6, "min_group_items": 4}


@pytest.fixture(scope="module")
def built(recipe, asked):
    return build_calibration_set(recipe.model_copy(update=asked))


def test_the_set_holds_them_in_the_clusters_of_their_text(built):
    names = {group.cluster: group.name for group in built.groups if group.domain == "land"}
    mine = [group for group in built.groups if group.domain == "land.continuation"]
    assert {group.cluster: group.name for group in mine} == names
    assert {group.kind for group in mine} == {"item"}
    unseen = {group.cluster for group in built.groups if group.domain == "land" and group.unseen}
    assert {group.cluster for group in mine if group.unseen} == unseen
    assert len(built.centroids) == len(built.groups)
    assert len(built.positions) == len(built.passages)
    (entry,) = [domain for domain in built.manifest.domains if domain.kind == "continuation"]
    assert (entry.name, entry.made_of) == ("land.continuation", "land")
    assert entry.splits["search"] == 24


def test_no_document_of_an_item_lies_in_another_split(recipe, asked):
    """Not of its query, and not of its endings."""
    built = build_calibration_set(recipe.model_copy(update={**asked, "items": 8, "passages": 4, "train_tokens": 10**9}))
    assert {p.domain for p in built.split("train")} == {"land", "shore"}
    splits = {}
    for p in built.passages:
        if p.domain.startswith("land"):
            assert splits.setdefault(p.document, p.split) == p.split
    texts = {p.text: p.split for p in built.passages if p.domain == "land"}
    for p in built.passages:
        for ending in p.choices or ():
            assert {split for text, split in texts.items() if ending in str(text)} <= {p.split}


def test_the_text_of_a_set_is_the_same_with_and_without_them(recipe, built):
    plain = build_calibration_set(recipe)
    assert [p for p in built.passages if p.kind == "text"] == list(plain.passages)
