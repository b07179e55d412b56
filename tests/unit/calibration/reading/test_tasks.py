"""Tasks: rows into items, of every shape that such files have; clusters that come with them; errors that say where."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext

import pytest

from calibration import CalibrationError, CalibrationSet, Recipe, TaskSource, build_calibration_set
from calibration.reading.domains import read_task
from calibration.reading.tasks import Task

PIQA = {"query": "goal", "choices": "sol1+sol2", "gold": "label"}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def items(path, rows, **columns):
    return [row.item for row in Task.open(TaskSource(name="t", source=write(path, rows), columns=columns)).rows()]


@pytest.mark.parametrize(
    ("row", "columns", "choices", "gold"),
    [
        ({"query": "q", "choices": ["a", "b"], "gold": 1}, {}, ("a", "b"), 1),
        ({"query": "q", "choices": ["a", "b"], "gold": "1"}, {}, ("a", "b"), 1),
        ({"query": "q", "choices": ["yes", "no"], "gold": "no"}, {}, ("yes", "no"), 1),
        ({"query": "q", "choices": ["x", "y", "z"], "gold": "C"}, {}, ("x", "y", "z"), 2),
        ({"query": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "gold": "1"}, {}, ("x", "y"), 0),
        ({"goal": "q", "sol1": "a", "sol2": "b", "label": 0}, PIQA, ("a", "b"), 0),
    ],
)
def test_a_row_is_an_item(row, columns, choices, gold, tmp_path):
    (item,) = items(tmp_path / "t.jsonl", [row], **columns)
    assert (item.text, item.choices, item.gold, item.kind) == ("q", choices, gold, "item")
    assert item.plain == f"q {choices[gold]}"


@pytest.mark.parametrize(
    ("row", "columns", "says"),
    [
        ({"query": "q", "choices": ["a", "b"]}, {}, "no column 'gold' for the gold; it has: query, choices"),
        ({"query": "q", "choices": ["a"], "gold": 0}, {}, "row 1: choices .* expected a list of at least two texts"),
        ({"query": "q", "choices": ["a", " "], "gold": 0}, {}, "row 1: choices"),
        ({"query": "q", "choices": ["a", "b"], "gold": 2}, {}, "row 1: gold '2', expected 0 to 1"),
        ({"query": "q", "choices": ["a", "b"], "gold": -1}, {}, "row 1: gold '-1'"),
        ({"query": "q", "choices": ["a", "b"], "gold": "9" * 5000}, {}, "row 1: gold '999"),
        ({"query": "q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "gold": "3"}, {}, "one of 1, 2"),
        ({"query": "q", "choices": ["a", "b"], "gold": 0}, {"domain": "topic"}, "no column 'topic' for the domain"),
        (
            {"query": "q", "choices": ["2", "3", "4", "5"], "gold": "3"},
            {},
            r"may be read as a number from 0 \('5'\), a choice",
        ),
        ({"query": "q", "choices": ["b", "a"], "gold": "a"}, {}, "may be read as a choice"),
        ({"query": "q", "choices": ["x", "y"], "gold": "ß"}, {}, "gold 'ß', expected 0 to 1"),
        ({"query": "q", "choices": ["x", "y"], "gold": 0, "cluster": None}, {}, "no value in column 'cluster'"),
    ],
)
def test_a_row_that_is_none_is_one_line(row, columns, says, tmp_path):
    with pytest.raises(CalibrationError, match=says) as raised:
        items(tmp_path / "t.jsonl", [row], **columns)
    assert str(raised.value).startswith("task t: ")
    assert "\n" not in str(raised.value)


def grammar(paradigms=4, each=40):
    """Sentences of several paradigms, no two nearly the same."""
    return [
        {
            "query": "",
            "choices": [f"the {p} noun{i} of verb{i * 7} and adverb{i * 3} stands", f"the {p} noun{i} stand"],
            "gold": 0,
            "domain": f"term {p % 2}",
            "cluster": f"paradigm {p}",
        }
        for p in range(paradigms)
        for i in range(each)
    ]


def test_domains_and_clusters_come_with_the_task(tmp_path):
    recipe = Recipe(
        tasks=[TaskSource(name="g", source=write(tmp_path / "g.jsonl", grammar(8)))], items=20, min_group_items=3,
        select_items=5, audit_items=7,
    )  # fmt: skip
    built = build_calibration_set(recipe)
    assert {group.key for group in built.groups} == {f"g.term_{t}/{c}" for t in range(2) for c in range(4)}
    assert {group.name for group in built.groups} == {f"paradigm {p}" for p in range(8)}
    assert {group.kind for group in built.groups} == {"item"}
    for p in built.passages:
        assert p.choices is not None
        number = int(p.choices[0].split()[1])
        group = next(group for group in built.groups if group.key == p.group)
        assert group.name == f"paradigm {number}"
    counts = Counter((p.group, p.split) for p in built.passages)
    assert all(counts[group.key, "select"] <= 5 and counts[group.key, "audit"] <= 7 for group in built.groups)
    assert Counter(p.domain for p in built.split("search")) == {"g.term_0": 20, "g.term_1": 20}
    unseen = [group for group in built.groups if group.unseen]
    assert len(unseen) == 2
    assert all(counts[group.key, "search"] == 0 and counts[group.key, "unseen"] == 7 for group in unseen)
    built.save(tmp_path / "set")
    again = CalibrationSet.load(tmp_path / "set")
    assert again.passages == built.passages
    assert again.groups == built.groups


def test_a_column_of_more_clusters_than_a_person_can_read_is_refused(tmp_path):
    rows = [{**grammar(1, 1)[0], "cluster": f"id {i}", "query": f"question {i}"} for i in range(1001)]
    source = write(tmp_path / "g.jsonl", rows)
    with pytest.raises(CalibrationError, match=r"g\.jsonl: more than 1000 clusters in column 'cluster'; name one with"):
        build_calibration_set(Recipe(tasks=[TaskSource(name="g", source=source)]))


def test_clusters_too_small_are_joined_and_named_by_the_largest(tmp_path):
    rows = grammar(3, 60) + [{**row, "cluster": "rare"} for row in grammar(1, 63)[60:]]
    for row in rows:
        row["domain"] = "term"
    recipe = Recipe(
        tasks=[TaskSource(name="g", source=write(tmp_path / "g.jsonl", rows))], hold_out=0, min_group_items=8
    )
    built = build_calibration_set(recipe)
    assert [entry.clusters_before_merging for entry in built.manifest.domains] == [4]
    assert sum(group.name.endswith(" and 1 more") for group in built.groups) == 1
    (entry,) = built.manifest.domains
    assert [merge.name for merge in entry.merges] == ["rare"]


def test_items_without_clusters_are_clustered_like_passages(write_rows, tmp_path):
    topics = [
        "whale reef coral plankton shark",
        "violin cello orchestra symphony sonata",
        "bread flour oven yeast dough",
    ]
    texts = write_rows.make(topics, 90, 1, 0)
    rows = [{"query": row["text"], "choices": [f"so{i}", "no"], "gold": 0} for i, row in enumerate(texts)]
    task = TaskSource(name="quiz", source=write(tmp_path / "q.jsonl", rows))
    built = build_calibration_set(Recipe(tasks=[task], clusters=3, min_group_items=3))
    assert {group.domain for group in built.groups} == {"quiz"}
    own = {word: number for number, topic in enumerate(topics) for word in topic.split()}
    for group in built.groups:
        assert len({own[word] for word in group.name.split(", ")}) == 1


def test_a_file_sorted_by_cluster_gives_of_each(tmp_path):
    rows = [{**row, "domain": "term"} for row in grammar(5, 50)]
    task = TaskSource(name="g", source=write(tmp_path / "g.jsonl", rows))
    recipe = Recipe(tasks=[task], limit=30, min_group_items=3)
    built = build_calibration_set(recipe)
    assert len(built.groups) == 5
    assert any("read in part (limit 30 items a domain, or a cluster" in note for note in built.manifest.notes)


def test_domains_of_any_script_stay_apart_and_alike_ones_are_refused(tmp_path):
    row = {"query": "q", "choices": ["a", "b"], "gold": 0}
    found = items(tmp_path / "t.jsonl", [{**row, "domain": name} for name in ("法律", "医学", "a b")])
    assert [item.domain for item in found] == ["t.法律", "t.医学", "t.a_b"]
    with pytest.raises(CalibrationError, match="'a b' and 'a_b' would both be called a_b"):
        items(tmp_path / "t.jsonl", [{**row, "domain": name} for name in ("a b", "a_b")])


def test_questions_on_one_document_stay_together_and_repeats_go(tmp_path):
    article = " ".join(f"word{i}" for i in range(200))
    rows = [
        {"query": f"{article} {number} What about {q}?", "choices": [f"answer {q}", "none"], "gold": 0, "document": d}
        for d, number in enumerate("abcdefghi")
        for q in ("this", "that", "that")
    ]
    for row in rows:
        row["query"] = row["query"].replace("word", f"{'abcdefghi'[row['document']]}word")
    task = TaskSource(name="read", source=write(tmp_path / "t.jsonl", rows))
    built = build_calibration_set(Recipe(tasks=[task], clusters=1, min_group_items=2))
    (entry,) = built.manifest.domains
    assert (entry.passages, entry.near_duplicates, entry.documents) == (18, 9, 9)
    splits = {}
    for p in built.passages:
        assert splits.setdefault(p.document, p.split) == p.split


@pytest.mark.parametrize("words", [100, 400])
def test_examples_that_all_items_share_are_asked_and_not_compared(tmp_path, words):
    shots = " ".join(f"shot{i}" for i in range(words)) + "\n\nQuestion: "
    rows = [
        {"query": f"{shots}What do {i}a, {i}b, {i}c and {i}d make?", "choices": [f"{i}x {i}y", "no"], "gold": 0}
        for i in range(60)
    ]
    task = TaskSource(name="few", source=write(tmp_path / "t.jsonl", rows))
    built = build_calibration_set(Recipe(tasks=[task], clusters=1, min_group_items=3))
    (entry,) = built.manifest.domains
    assert (entry.passages, entry.near_duplicates, entry.prompted) == (60, 0, 60)
    assert any("neither compared nor embedded: few 60 of 60" in note for note in built.manifest.notes)
    assert all(p.text.startswith(shots) and p.plain.startswith("Question: What do ") for p in built.passages)
    built.save(tmp_path / "set")
    assert CalibrationSet.load(tmp_path / "set").passages == built.passages


def test_an_opening_of_a_few_words_or_of_a_few_items_is_no_prompt(tmp_path):
    rows = [{"query": f"What is the meaning of w{i}?", "choices": ["a", "b"], "gold": 0} for i in range(9)]
    task = TaskSource(name="few", source=write(tmp_path / "t.jsonl", rows))
    read, _ = read_task(Task.open(task), Recipe(tasks=[task]), ())
    assert {item.prompt for item in read["few"].passages} == {len("What is the meaning of ")}
    few = TaskSource(name="few", source=write(tmp_path / "few.jsonl", rows[:7]))
    read, _ = read_task(Task.open(few), Recipe(tasks=[few]), ())
    assert {item.prompt for item in read["few"].passages} == {0}
    rows = [{**row, "query": row["query"].replace("the meaning", "it")} for row in rows]
    short = TaskSource(name="few", source=write(tmp_path / "short.jsonl", rows))
    read, _ = read_task(Task.open(short), Recipe(tasks=[short]), ())
    assert {item.prompt for item in read["few"].passages} == {0}


def test_a_name_that_a_domain_has_is_refused(two_domains, tmp_path):
    recipe = Recipe.model_validate(
        {
            "domains": [{"name": "g.term_0", "source": str(two_domains["land"])}],
            "tasks": [{"name": "g", "source": write(tmp_path / "g.jsonl", grammar())}],
        }
    )
    with pytest.raises(CalibrationError, match=r"there is a domain g.term_0 already; rename the task"):
        build_calibration_set(recipe)


@pytest.mark.parametrize(
    ("golds", "choices", "refused"), [((1, 2, 3), 4, True), ((0, 1, 2), 4, False), ((1,), 2, False)]
)
def test_answers_that_are_counted_from_one(golds, choices, refused, tmp_path):
    options = [f"choice {i}" for i in range(choices)]
    rows = [{"query": f"q{i}", "choices": options, "gold": golds[i % len(golds)]} for i in range(60)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = Task.open(TaskSource(name="t", source=str(tmp_path / "t.jsonl")))
    assert len(list(task.rows())) == 60
    with pytest.raises(CalibrationError, match="none of them 0, the first choice") if refused else nullcontext():
        task.refuse_counted_from_one()


def test_an_option_that_is_null_or_blank_is_none(tmp_path):
    """As where one file holds questions of four options and of five; an answer is counted among all of them."""
    rows = [
        {"query": "q1", "choices": ["a", "b", None], "gold": 1},
        {"query": "q2", "choices": ["a", None, "b"], "gold": 2},
        {"query": "q3", "choices": ["a", None, "b"], "gold": "C"},
    ]
    found = items(tmp_path / "t.jsonl", rows)
    assert [(item.choices, item.gold) for item in found] == [(("a", "b"), 1)] * 3
    with pytest.raises(CalibrationError, match="row 1: gold '1', expected 0 to 1"):
        items(tmp_path / "t.jsonl", [{"query": "q", "choices": ["a", None, "b"], "gold": 1}])
    (tmp_path / "t.csv").write_text("query,o1,o2,o3,gold\nq1,NA,b,,1\nq2,NA,,b,2\n")
    task = TaskSource(name="t", source=str(tmp_path / "t.csv"), columns={"choices": "o1+o2+o3"})
    assert [(row.item.choices, row.item.gold) for row in Task.open(task).rows()] == [(("NA", "b"), 1)] * 2


def test_choices_that_a_cell_holds_as_json(tmp_path):
    (tmp_path / "t.csv").write_text('query,choices,gold\nq,"[""a"", ""b""]",1\n')
    (row,) = Task.open(TaskSource(name="t", source=str(tmp_path / "t.csv"))).rows()
    assert (row.item.choices, row.item.gold) == (("a", "b"), 1)
    (tmp_path / "t.csv").write_text("query,choices,gold\nq,[a b],1\n")
    with pytest.raises(CalibrationError, match="expected a list of at least two texts"):
        list(Task.open(TaskSource(name="t", source=str(tmp_path / "t.csv"))).rows())
