"""What choices cost, and which items are right, item by item as lm-evaluation-harness has it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from calibration import Passage
from evop.checkpoint import Checkpoint
from evop.cut import Cut
from evop.evaluator import Evaluator
from evop.families.parts import pattern_space
from evop.load import load_model
from evop.meters import ITEM_METERS
from evop.reference import model_dir
from evop.tokens import tokenize

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
        evaluator = Evaluator.of(loaded, space, 512, loss=loss)
        (costs,), (table,) = evaluator.line_losses([Cut()], read), evaluator.of_cuts([Cut()], read)
        for i, sample in enumerate(samples):
            theirs = np.array([float(response[0]) for response in sample["filtered_resps"]])
            ours = -costs[read.lines[i] : read.lines[i + 1]]
            assert ours == pytest.approx(theirs, abs=1e-3), ITEMS[i]
            assert (table.loss[i] < 1) == (sample[metric] == 1.0), ITEMS[i]
