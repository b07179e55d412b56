"""A task of lm-evaluation-harness as a task of a calibration set: the same query, choices and answer."""

from __future__ import annotations

import json

import pytest

from calibration import CalibrationError, Recipe, TaskSource, build_calibration_set
from calibration.reading.harness import task_manager
from calibration.reading.tasks import Task

pytest.importorskip("lm_eval", reason="lm_eval is not installed: pip install 'evop[eval]'")

CHOOSE = """
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    train: {folder}/train.jsonl
    test: {folder}/test.jsonl
{splits}
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{[right, wrong]}}}}"
doc_to_target: 0
metric_list:
  - metric: acc
"""
BOTH, EVALUATED = "training_split: train\ntest_split: test", "test_split: test"
GROUP = "group: sums\ntask: [plus, minus]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch, few_tasks):
    """Two tasks and their group; of one, lm_eval knows no training documents."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for split, start in (("train", 1), ("test", 101)):
        rows = [
            {"question": f"What is {a} and {a + 1} of {word}?", "right": f"{2 * a + 1} {word}", "wrong": f"{a} {word}"}
            for a in range(start, start + 60)
            for word in ("apples", "pears")
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for task, splits in (("plus", BOTH), ("minus", EVALUATED)):
        (tmp_path / f"{task}.yaml").write_text(CHOOSE.format(task=task, folder=tmp_path, splits=splits))
    (tmp_path / "sums.yaml").write_text(GROUP)
    return tmp_path


def items(spec, **columns):
    return [(row.item, row.cluster) for row in Task.open(TaskSource(name="t", source=spec, columns=columns)).rows()]


def edit(folder, *pairs):
    text = (folder / "plus.yaml").read_text()
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    (folder / "plus.yaml").write_text(text)


def test_its_training_documents_are_items_as_the_harness_asks_them(folder):
    found = items(f"lm_eval:plus:{folder}")
    assert len(found) == 120
    item, cluster = found[0]
    assert (item.text, item.choices, item.gold, cluster) == (
        "Question: What is 1 and 2 of apples?\nAnswer:", ("3 apples", "1 apples"), 0, None,
    )  # fmt: skip
    assert item.document.startswith("lm_eval:plus#")
    assert items(f"lm_eval:minus:{folder}")[0][0].text == "Question: What is 101 and 102 of apples?\nAnswer:"


def test_a_description_and_examples_precede_the_question(folder):
    edit(folder, ("output_type", 'description: "Add.\\n\\n"\nnum_fewshot: 2\noutput_type'))
    item, _ = items(f"lm_eval:plus:{folder}")[0]
    assert item.text.startswith("Add.\n\nQuestion: ")
    assert item.text.count("Question: ") == 3
    assert item.text.endswith("Question: What is 1 and 2 of pears?\nAnswer:")
    assert item.plain == "Question: What is 1 and 2 of pears?\nAnswer: 3 pears"
    assert [one.text for one, _ in items(f"lm_eval:plus:{folder}")] == [
        one.text for one, _ in items(f"lm_eval:plus:{folder}")
    ]


@pytest.mark.parametrize(
    ("splits", "sampler"),
    [(BOTH, ""), (EVALUATED, ""), (BOTH, "fewshot_config:\n  sampler: first_n\n"), (BOTH, "fewshot_split: train\n")],
)
def test_what_is_shown_as_an_example_is_no_item(folder, splits, sampler):
    edit(folder, (BOTH, splits), ("output_type", f"num_fewshot: 3\n{sampler}output_type"))
    task = Task.open(TaskSource(name="t", source=f"lm_eval:plus:{folder}"))
    found = [row.item for row in task.rows()]
    asked = {item.plain.split("\n")[0] for item in found}
    shown = {line for item in found for line in item.text[: item.prompt].split("\n") if line.startswith("Question")}
    assert len(asked) == len(found) == 108
    assert shown
    assert not shown & asked
    assert "; 12 more are shown as examples only" in task.read_as


def test_examples_of_another_split_leave_the_items_alone(folder):
    edit(folder, ("output_type", "num_fewshot: 3\nfewshot_split: test\noutput_type"))
    assert len(items(f"lm_eval:plus:{folder}")) == 120


def test_task_files_are_read_again_and_precede_those_of_lm_eval(folder):
    before, _ = items(f"lm_eval:plus:{folder}")[0]
    edit(folder, ("output_type", 'description: "Add. "\noutput_type'))
    after, _ = items(f"lm_eval:plus:{folder}")[0]
    assert after.text == f"Add. {before.text}"
    without = task_manager(None).task_index
    shipped, other = list(without)[:2]
    edit(folder, ("task: plus", f"task: {shipped}"))
    with_folder = task_manager(folder).task_index
    assert with_folder[shipped].yaml_path == folder / "plus.yaml" != without[shipped].yaml_path
    assert with_folder[other] is without[other]
    assert not {"plus", "minus"} & set(without)


def test_every_task_of_a_group_is_a_cluster_and_columns_may_be_named(folder):
    found = items(f"lm_eval:sums:{folder}")
    assert {cluster for _, cluster in found} == {"plus", "minus"}
    assert {item.domain for item, _ in items(f"lm_eval:sums:{folder}", domain="task")} == {"t.plus", "t.minus"}


def test_a_set_says_where_what_is_evaluated_was_read(folder):
    counts = {"clusters": 2, "items": 16, "select_items": 8, "audit_items": 8}
    notes = {
        task: build_calibration_set(
            Recipe(tasks=[{"name": "t", "source": f"lm_eval:{task}:{folder}"}], **counts)
        ).manifest.notes
        for task in ("plus", "minus")
    }
    said = "an audit by --lm-eval asks what was searched on: lm_eval:minus"
    assert any(said in note for note in notes["minus"])
    assert not any("--lm-eval" in note for note in notes["plus"])


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("multiple_choice", "loglikelihood")], "plus is loglikelihood; evop audit --lm-eval plus scores"),
        ([("output_type", 'target_delimiter: ""\noutput_type')], "plus joins query and choice by ''"),
        ([("doc_to_target: 0", "doc_to_target: [0, 1]")], "plus has several right answers"),
        ([('"Question: {{question}}\\nAnswer:"', "0")], "plus puts its choices before the text"),
        ([("{{question}}", "{{question | no_such}}")], "lm_eval cannot read it: "),
        ([("train.jsonl", "gone.jsonl")], "lm_eval cannot read it: .*gone.jsonl"),
    ],
)
def test_what_it_cannot_ask_is_one_line(folder, pairs, says):
    edit(folder, *pairs)
    with pytest.raises(CalibrationError, match=f"^task t: lm_eval:plus.*: {says}") as raised:
        items(f"lm_eval:plus:{folder}")
    assert "\n" not in str(raised.value)


def test_a_task_that_is_not_there_is_refused_before_anything_is_read(folder):
    with pytest.raises(CalibrationError, match=r"pluss: lm_eval has no such task; did you mean plus\?"):
        Task.open(TaskSource(name="t", source=f"lm_eval:pluss:{folder}"))
