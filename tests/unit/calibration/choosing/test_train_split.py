"""The split ``train``: what may be learnt from, and that asking for it changes nothing else."""

import json
from collections import Counter

import numpy as np
import pytest

from calibration import CalibrationSet, DomainSource, Recipe, TaskSource, build_calibration_set, describe

ALL = 10**9
"""More tokens than any domain has."""


def built(recipe, **changes):
    return build_calibration_set(recipe.model_copy(update=changes))


def tokens_by_group(some):
    """Estimated tokens of ``train`` by group, counted anew."""
    counts = Counter()
    for p in some.split("train"):
        counts[p.group] += p.tokens
    return counts


@pytest.fixture(scope="module")
def everything(recipe):
    return built(recipe, train_tokens=ALL)


def test_nothing_is_taken_unless_asked(recipe):
    plain = built(recipe)
    assert plain.split("train") == ()
    assert {group.tokens["train"] for group in plain.manifest.groups} == {0}
    assert not any("train" in note for note in plain.manifest.notes)


@pytest.mark.parametrize("tokens", [1, 1000, ALL])
def test_the_other_splits_are_the_same_whatever_is_asked(recipe, tokens):
    asked = {"continuations": ["land"], "items": 12, "min_group_items": 4}
    plain, other = built(recipe, **asked), built(recipe, **asked, train_tokens=tokens)
    assert other.split("train")
    assert other.passages[: len(plain.passages)] == plain.passages
    assert np.array_equal(other.positions[: len(plain.passages)], plain.positions)
    assert np.array_equal(other.centroids, plain.centroids)
    assert {p.split for p in other.passages[len(plain.passages) :]} == {"train"}


def test_all_that_is_left_is_all_of_documents_that_nothing_was_searched_of(recipe, everything):
    pool = {p.id: p for p in built(recipe, passages=1000).split("search")}
    searched = {p.document for p in everything.split("search")}
    left = {id for id, p in pool.items() if p.document not in searched}
    assert {p.id for p in everything.split("train")} == left
    assert 0 < len(left) < len(pool) - len(everything.split("search"))
    assert not {p.group for p in everything.split("train")} & {g.key for g in everything.groups if g.unseen}


def test_clusters_of_a_domain_give_equally(recipe):
    some = built(recipe, passages=6, train_tokens=1200)
    found = tokens_by_group(some)
    assert set(found) == {group.key for group in some.groups if not group.unseen}
    for name in ("land", "shore"):
        shares = [n for group, n in found.items() if group.startswith(name)]
        assert all(400 <= n < 400 + max(p.tokens for p in some.split("train")) for n in shares)
    assert not any("train" in note for note in some.manifest.notes)


def test_its_prefixes_are_balanced_over_the_groups(recipe):
    train = built(recipe, passages=6, train_tokens=1200).split("train")
    groups = {p.group for p in train}
    for n in range(len(groups), 3 * len(groups) + 1):
        counts = Counter(p.group for p in train[:n])
        assert max(counts.values()) - min(counts[group] for group in groups) <= 1


def test_it_hangs_on_the_seed_of_the_sample(recipe):
    first, same, other = (built(recipe, passages=6, train_tokens=1200, seed=seed) for seed in (1, 1, 2))
    assert first.passages == same.passages
    assert {p.id for p in first.split("train")} != {p.id for p in other.split("train")}


def test_more_tokens_go_on_where_fewer_ended(recipe):
    few, more = (built(recipe, passages=6, seed=3, train_tokens=tokens).split("train") for tokens in (500, 1200))
    assert 0 < len(few) < len(more)
    for group in {p.group for p in more}:
        mine, longer = ([p for p in some if p.group == group] for some in (few, more))
        assert longer[: len(mine)] == mine


def test_it_is_counted_and_kept(everything, tmp_path):
    everything.save(tmp_path / "set")
    loaded = CalibrationSet.load(tmp_path / "set")
    assert loaded.passages == everything.passages
    assert loaded.split("train") == everything.split("train")
    passages, tokens = Counter(p.group for p in loaded.split("train")), tokens_by_group(loaded)
    for group, row in zip(loaded.manifest.groups, describe(loaded), strict=True):
        assert (group.passages["train"], group.tokens["train"]) == (passages[group.key], tokens[group.key])
        assert (row["train"], row["train_tokens"]) == (passages[group.key], tokens[group.key])
    for entry in loaded.manifest.domains:
        assert entry.splits["train"] == sum(p.domain == entry.name for p in loaded.split("train"))


def test_less_than_was_asked_is_said(recipe, everything):
    found = Counter()
    for group, n in tokens_by_group(everything).items():
        found[group.split("/")[0]] += n
    (more, most), (less, least) = found.most_common()
    assert most > least
    said = []
    some = build_calibration_set(recipe.model_copy(update={"train_tokens": most}), report=said.append)
    (note,) = [note for note in some.manifest.notes if "train" in note]
    assert note.startswith(
        f"fewer than the {most:,} tokens to train with that were asked for, as documents of which the "
    )
    assert "give more text, " in note
    assert note.endswith(f"): {less} {least:,}")
    assert more not in note
    assert f"note: {note}" in said
    assert any(f", {len(some.split('train'))} train" in line for line in said)


def test_a_domain_of_which_everything_was_searched_gives_nothing(recipe):
    some = built(recipe, passages=1000, train_tokens=5)
    assert some.split("train") == ()
    assert some.manifest.notes[-1].endswith("): land 0, shore 0")


def test_a_group_of_which_all_documents_were_searched_is_named(tmp_path, write_rows):
    rows = [
        row
        for seed, (topic, documents) in enumerate({"sail mast": 40, "bread flour": 40, "court judge": 9}.items())
        for row in write_rows.make([topic], documents, 1, seed)
    ]
    for number, row in enumerate(rows):
        row["book"] = f"book {number}"
    path = write_rows(tmp_path / "a.jsonl", rows)
    recipe = Recipe(
        domains=[DomainSource(name="d", source=str(path))],
        group_by="book",
        clusters=3,
        passages=18,
        hold_out=0,
        min_group_tokens=1,
        train_tokens=300,
    )
    some = build_calibration_set(recipe)
    without = [group.key for group in some.groups if not tokens_by_group(some)[group.key]]
    assert without == ["d/2"]
    assert some.manifest.notes[-1].startswith("no text to train with in these groups, since the search sample took of ")
    assert some.manifest.notes[-1].endswith(": d/2")


def test_chats_stay_messages_and_questions_give_nothing(tmp_path):
    chats, questions = tmp_path / "chats.jsonl", tmp_path / "questions.jsonl"
    talk = [
        [
            {"role": "user", "content": f"please tell me about thing{i}"},
            {"role": "assistant", "content": f"thing{i * 3} and thing{i * 7}!"},
        ]
        for i in range(40)
    ]
    chats.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in talk))
    rows = [
        {"query": f"what is the capital{i} of country{i}?", "choices": [f"a{i}", f"b{i}"], "gold": 0} for i in range(60)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = Recipe(
        domains=[DomainSource(name="talk", source=str(chats))],
        tasks=[TaskSource(name="quiz", source=str(questions))],
        passages=6,
        items=8,
        min_group_tokens=1,
        train_tokens=40,
    )
    some = build_calibration_set(recipe)
    assert {p.domain for p in some.split("train")} == {"talk"}
    assert all(list(p.messages) in talk and p.text is None for p in some.split("train"))
    assert "questions give no text to train with: quiz" in some.manifest.notes
    silent = build_calibration_set(recipe.model_copy(update={"train_tokens": 0}))
    assert not any("train" in note for note in silent.manifest.notes)
