"""A search by strategy darwin: what was trained and judged is what is written, and its tokens are counted."""

from __future__ import annotations

import json

import pytest
from sets import small_set
from tiny import build

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.names import CORRECTIONS, PATTERN, SEARCH, TRIALS
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model, load_tokenizer
from evop.recipes.search import SearchRecipe
from evop.recovery.text import LearningText
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern
from evop.searching.search_file import SearchFile
from evop.stages.prune import prune
from evop.stages.search import search
from evop.tokens.passages import tokenize

ASKED = {
    "grain": "mixed", "deploy": "any", "strategy": "darwin", "evaluations": 20, "max_tokens": 24, "loss": "kl",
    "width_step": 8, "min_group_tokens": 10, "dtype": "float32", "device": "cpu", "compensate": "obs",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("darwin")
    model = build("llama", place / "model")
    learning = small_set(train_tokens=400)
    return place, model, learning, search(model, learning, place / "run", **ASKED)


def test_what_was_judged_is_what_is_written(found):
    place, model, learning, result = found
    loaded = load_model(Checkpoint.find(model), "cpu", "float32")
    opened = open_pattern(place / "run", loaded.checkpoint)
    assert opened.file.refit.method == "darwin"
    assert opened.file.refit.calibration == learning.fingerprint
    assert opened.cut.weights.keys() >= opened.cut.kept.keys()
    evaluator = Evaluator.of(loaded, opened.space, 24, loss=SearchRecipe.of(**ASKED).loss)
    passages = [p for p in learning.split("select") if p.group in result.pattern.claim.excess]
    dense, mine = evaluator.of_cuts([Cut(), opened.cut], tokenize(passages, loaded.tokenizer, 24))
    lost = sorted(excess(mine.by_group, dense.by_group).values())[len(dense.by_group) // 2 :]
    assert result.pattern.claim.select == pytest.approx(sum(lost) / len(lost), abs=1e-5)
    assert prune(model, place / "run", place / "pruned").parity.holds
    assert (
        "learned from the dense model as the pattern was searched (`darwin`, "
        in (place / "pruned" / "README.md").read_text()
    )


def test_the_tokens_that_are_trained_on_are_counted(found):
    place, model, learning, result = found
    account = SearchFile.read(place / "run" / SEARCH)
    trained = result.pattern.refit.tokens
    tokenizer = load_tokenizer(Checkpoint.find(model))
    assert trained == LearningText.of(learning, tokenizer, 24).tokens > 200  # all of the text
    full = max(trial["fidelity"] for trial in _trials(place / "run"))
    at_full = [trial["tokens"] for trial in _trials(place / "run") if trial["fidelity"] == full]
    assert min(at_full) > trained
    spent = sum(trial["tokens"] for trial in _trials(place / "run"))
    assert spent + len(account.finalists) * trained == account.tokens["trials"] + account.tokens["tuning"]
    assert account.tokens["tuning"] >= (len(at_full) + len(account.finalists)) * trained


def _trials(run):
    return [json.loads(line) for line in (run / TRIALS).read_text().splitlines()[1:]]


def test_cut_anywhere_it_goes_on_to_the_same_bytes(found, tmp_path):
    place, model, learning, _ = found
    lines = (place / "run" / TRIALS).read_bytes().splitlines(keepends=True)
    (tmp_path / "run").mkdir()
    for file in (place / "run").glob("*.npz"):
        (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run" / TRIALS).write_bytes(b"".join(lines[:-5]))
    search(model, learning, tmp_path / "run", **ASKED)
    for name in (TRIALS, PATTERN, CORRECTIONS):
        assert (tmp_path / "run" / name).read_bytes() == (place / "run" / name).read_bytes(), name


def test_what_it_cannot_be_is_one_line(found, tmp_path):
    _, model, _, _ = found
    with pytest.raises(EvopError, match="the calibration set has no split train"):
        search(model, small_set(), tmp_path / "run", **ASKED)
    for option, value in {"engine": "ray", "fitness_on": "held-out", "scale": "random", "judge": "refit"}.items():
        says = f"--strategy darwin trains every pattern before it is measured, which --{option.replace('_', '-')}"
        with pytest.raises(EvopError, match=says):
            SearchRecipe.of(**ASKED, **{option: value})
