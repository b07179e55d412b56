"""What choices cost, and which items are right, item by item as lm-evaluation-harness has it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration import Passage
from evop.evaluator import Evaluator
from evop.losses import ITEM_METERS
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.space import pattern_space
from evop.tokens.passages import tokenize

pytest.importorskip("lm_eval", reason="lm_eval is not installed: pip install 'evop[eval]'")

ITEMS = [
    ("", ["The cats sleep on the mat.", "The cats sleeps on the mat."], 0),
    ("", ["  leading space", "no leading space"], 1),
    ("The capital of France is", ["Paris", "a very long river in the north of the country", "42"], 0),
    ("Question: What is 2 + 2?\nAnswer:", ["4", "5", "twenty-two"], 0),
    ("def add(a, b):\n    return ", ["a + b", "a - b", "b"], 0),
    ("He opened the door  ", ["and went in.", "nd wnt n."], 0),
    ("Ünïcode — “quotes”", ["日本語のテキスト", "plain words"], 1),
    ("x" * 600 + " and then", ["x", "y"], 0),
]
TASK = """
task: mine
dataset_path: json
dataset_kwargs:
  data_files: {file}
test_split: train
output_type: multiple_choice
doc_to_text: "{{{{query}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list:
  - metric: acc
  - metric: acc_norm
"""


def _samples(loaded, folder):
    """What the harness logs of every item, in their order."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    rows = [json.dumps({"query": query, "choices": choices, "gold": gold}) for query, choices, gold in ITEMS]
    (folder / "mine.jsonl").write_text("\n".join(rows))
    (folder / "mine.yaml").write_text(TASK.format(file=folder / "mine.jsonl"))
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=2, max_length=512)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    found = simple_evaluate(model=model, tasks=["mine"], task_manager=manager, log_samples=True, bootstrap_iters=0)
    assert found is not None
    return sorted(found["samples"]["mine"], key=lambda sample: sample["doc_id"])


@pytest.mark.filterwarnings("ignore")
def test_every_choice_costs_what_the_harness_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    samples = _samples(loaded, tmp_path)
    passages = [
        Passage.item("mine", f"d{i}", query, tuple(choices), gold) for i, (query, choices, gold) in enumerate(ITEMS)
    ]
    read = tokenize(passages, loaded.tokenizer, 512)
    space = pattern_space(loaded.checkpoint, "subblock")
    for loss, metric in zip(ITEM_METERS, ("acc", "acc_norm"), strict=True):
        evaluator = Evaluator.of(loaded, space, 512, loss=Loss.named(loss))
        (costs,), (table,) = evaluator.line_losses([Cut()], read), evaluator.of_cuts([Cut()], read)
        for i, sample in enumerate(samples):
            theirs = np.array([float(response[0]) for response in sample["filtered_resps"]])
            ours = -costs[read.lines[i] : read.lines[i + 1]]
            assert ours == pytest.approx(theirs, abs=1e-3), ITEMS[i]
            assert (table.loss[i] < 1) == (sample[metric] == 1.0), ITEMS[i]


CHOICE = TASK.replace("task: mine", "task: choose")
WRITE = """
task: write
dataset_path: json
dataset_kwargs:
  data_files: {file}
test_split: train
output_type: generate_until
doc_to_text: "{{{{query}}}}"
doc_to_target: "{{{{choices[gold]}}}}"
generation_kwargs:
  max_gen_toks: 4
  until: ["\\n"]
metric_list:
  - metric: exact_match
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A task of choosing and one of writing, in files; two kinds of sums."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = [
        {"query": f"Question: What is {a} {sign} {b}?\nAnswer:", "choices": [str(a + b), str(a + b + 1)], "gold": 0,
         "kind": "plus" if sign == "+" else "and"}
        for a in range(1, 9) for b, sign in ((1, "+"), (2, "and"))
    ]  # fmt: skip
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, text in {"choose": CHOICE, "write": WRITE}.items():
        (folder / f"{name}.yaml").write_text(text.format(file=folder / "sums.jsonl"))
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("few_tasks")
def test_an_audit_runs_its_tasks_on_all_models_group_by_group(tasks, tmp_path, capsys):
    """Offline, from files; choosing and writing; the numbers are the harness' own, of a checkpoint by its weights."""
    from safetensors.torch import load_file, save_file
    from sets import small_set

    from evop.console.audit import print_audit
    from evop.console.plain import PlainConsole
    from evop.report.audit_sheets import harness_sheet
    from evop.stages.audit import audit
    from evop.stages.prune import prune

    (tmp_path / "layers.txt").write_text("[5, 6]")
    options = {"device": "cpu", "dtype": "float32", "max_tokens": 32, "speed": False, "needs": False}
    options |= {"lm_eval": "choose,write", "lm_eval_path": str(tasks), "lm_eval_groups": "kind"}
    own = prune(model_dir(), tmp_path / "layers.txt", tmp_path / "own", parity=False).folder
    weights = load_file(own / "model.safetensors")
    weights["model.norm.weight"] *= 1.5
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    (own / "SHA256SUMS").unlink()  # they are a person's own weights now
    file = audit(model_dir(), small_set(), [tmp_path / "layers.txt", own], tmp_path / "audit", **options).file
    dense = _harness_alone(model_dir(), tasks)
    for name, place in {
        "layers": prune(model_dir(), tmp_path / "layers.txt", tmp_path / "p").folder,
        "own": own,
    }.items():
        found = {(row.task, row.metric, row.group): row for row in file.harness if row.pattern == name}
        assert set(found) == {
            (task, metric, group)
            for task, metrics in {"choose": ("acc", "acc_norm"), "write": ("exact_match",)}.items()
            for metric in metrics
            for group in ("all", f"{task}/0", f"{task}/1")
        }
        for column, theirs in {"dense": dense, "pruned": _harness_alone(place, tasks)}.items():
            for task, metric in (("choose", "acc"), ("write", "exact_match")):
                row = found[task, metric, "all"]
                assert getattr(row, column) == pytest.approx(theirs[task][f"{metric},none"])
                parts = [found[task, metric, f"{task}/{i}"] for i in (0, 1)]
                assert [part.n for part in parts] == [8, 8]
                assert sum(getattr(part, column) for part in parts) / 2 == pytest.approx(getattr(row, column))
                assert row.lost - row.won == pytest.approx((row.dense - row.pruned) * row.n)
    assert {row.label for row in file.harness if row.group != "all"} >= {"choose/0 plus", "choose/1 and"}
    lines = [[cell.text for cell in row.cells[:3]] for row in harness_sheet(file).rows]
    assert lines[:2] == [["choose", "layers", "acc"], ["choose", "own", "acc"]]
    assert ["write", "own", "exact_match"] in lines
    capsys.readouterr()
    print_audit(PlainConsole(width=200), file)
    assert "tasks of lm_eval" in capsys.readouterr().out
    assert 'id="harness"' in (tmp_path / "audit" / "report.html").read_text()


def _harness_alone(place, tasks):
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    harness = HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=1)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return simple_evaluate(model=harness, tasks=["choose", "write"], task_manager=manager, bootstrap_iters=0)["results"]


@pytest.mark.filterwarnings("ignore")
def test_a_task_that_is_not_there_is_one_line(tasks, tmp_path, request):
    """Nor is one without its file, or without the column of groups; and nothing is written."""
    from sets import small_set

    from evop.errors import EvopError
    from evop.stages.audit import audit

    (tmp_path / "layers.txt").write_text("[5]")
    options = {"device": "cpu", "dtype": "float32", "max_tokens": 32, "lm_eval_path": str(tasks)}

    def refused(says, **more):
        with pytest.raises(EvopError, match=says) as raised:
            audit(model_dir(), small_set(), tmp_path / "layers.txt", tmp_path / "a", **options, **more)
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "a").exists()

    refused(r"--lm-eval choos: lm_eval has no such task; did you mean choose\?", lm_eval="choos")
    request.getfixturevalue("few_tasks")  # among all that lm_eval has, it was not found
    refused(
        r"--lm-eval-groups sort: choose has no such column; it has: query, choices",
        lm_eval="choose",
        lm_eval_groups="sort",
    )
    (tasks / "sums.jsonl").unlink()
    refused(r"--lm-eval choose: FileNotFoundError: ", lm_eval="choose")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("few_tasks")
def test_a_task_that_fails_midway_loses_nothing_that_was_measured(tasks, tmp_path):
    from sets import small_set

    from evop.auditing.audit_file import AuditFile
    from evop.errors import EvopError
    from evop.stages.audit import audit

    (tmp_path / "layers.txt").write_text("[5]")
    text = (tasks / "choose.yaml").read_text()
    (tasks / "choose.yaml").write_text(  # its first document is sound
        text.replace("{{query}}", "{{query}}{{1 // (kind == 'plus')}}")
    )
    options = {"device": "cpu", "dtype": "float32", "max_tokens": 32, "speed": False, "needs": False}
    options |= {"lm_eval": "choose", "lm_eval_path": str(tasks)}
    said = []
    with pytest.raises(EvopError, match=r"--lm-eval choose: ZeroDivisionError: "):
        audit(model_dir(), small_set(), tmp_path / "layers.txt", tmp_path / "a", report=said.append, **options)
    assert said[-1] == f"stopped; what was measured is in {tmp_path / 'a'}"
    file = AuditFile.find(tmp_path / "a")
    assert (bool(file.groups), file.harness) == (True, [])
    assert 'id="groups"' in (tmp_path / "a" / "report.html").read_text()
