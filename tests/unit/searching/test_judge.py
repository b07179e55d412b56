"""Finalists that are judged refitted: what was judged is what is written."""

from __future__ import annotations

from collections import Counter

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.files.names import CORRECTIONS
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.text import LearningText
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.searching.search_file import SearchFile
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.stages.search import search
from evop.tokens.passages import tokenize

ASKED = {
    "grain": "layer", "deploy": "any", "strategy": "random", "evaluations": 12, "max_tokens": 64,
    "min_group_tokens": 100, "dtype": "float32", "device": "cpu", "judge": "refit",
}  # fmt: skip


@pytest.fixture(scope="module")
def learning():
    return small_set(train_tokens=1000)


def test_what_was_judged_is_what_is_written(learning, tmp_path):
    found = search(model_dir(), learning, tmp_path / "run", **ASKED)
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    opened = open_pattern(tmp_path / "run", loaded.checkpoint)
    assert opened.file.refit.calibration == learning.fingerprint
    assert opened.cut.weights
    evaluator = Evaluator(loaded, opened.space, Ranking(), 64)
    passages = [p for p in learning.split("select") if p.group in found.pattern.claim.excess]
    dense, mine = evaluator.of_cuts([Cut(), opened.cut], tokenize(passages, loaded.tokenizer, 64))
    lost = sorted(excess(mine.by_group, dense.by_group).values())[len(dense.by_group) // 2 :]
    assert found.pattern.claim.select == pytest.approx(sum(lost) / len(lost), abs=1e-6)
    account = SearchFile.read(tmp_path / "run" / "search.json")
    assert min(finalist.pooled for finalist in account.finalists) == pytest.approx(found.pattern.claim.pooled)
    text = tokenize(learning.split("train"), loaded.tokenizer, 64).total
    searched = tokenize(learning.split("search"), loaded.tokenizer, 64).total
    assert account.tokens["refit"] == 8 * (3 * text + searched)
    assert prune(model_dir(), tmp_path / "run", tmp_path / "out").parity.holds


def test_an_answer_judged_again_is_of_the_same_search(learning, tmp_path):
    """The log does not know who judges: a search that is done is judged again without one more pattern."""
    masked = search(model_dir(), learning, tmp_path / "run", **{**ASKED, "judge": "masked"})
    log = (tmp_path / "run" / "trials.jsonl").read_bytes()
    assert not (tmp_path / "run" / CORRECTIONS).exists()
    refitted = search(model_dir(), learning, tmp_path / "run", **ASKED)
    assert (tmp_path / "run" / "trials.jsonl").read_bytes() == log
    assert (tmp_path / "run" / CORRECTIONS).is_file()
    assert refitted.pattern.claim.pooled < masked.pattern.claim.pooled


def test_with_few_tokens_several_finalists_are_refitted_by_a_part_of_the_text(learning, tmp_path):
    tokenizer = load_model(Checkpoint.find(model_dir()), "cpu", "float32").tokenizer
    size = {split: tokenize(learning.split(split), tokenizer, 64).total for split in ("search", "select", "train")}
    tokens = 30 * size["search"] + 8 * size["select"]
    assert 4 * (3 * size["train"] + size["search"] + size["select"]) > tokens / 2
    lines = []
    asked = {**ASKED, "evaluations": None, "tokens": tokens}
    found = search(model_dir(), learning, tmp_path / "run", **asked, report=lines.append)
    account = SearchFile.read(tmp_path / "run" / "search.json")
    assert len(account.finalists) >= 4
    assert account.tokens["total"] <= tokens
    assert account.tokens["refit"] <= tokens / 2
    assert 0 < found.pattern.refit.tokens < size["train"]
    assert account.tokens["refit"] == len(account.finalists) * (3 * found.pattern.refit.tokens + size["search"])
    assert any(f"{found.pattern.refit.tokens:,} of the {size['train']:,} tokens" in line for line in lines)


def test_a_part_of_the_text_is_the_same_share_of_every_domain(learning):
    tokenizer = load_model(Checkpoint.find(model_dir()), "cpu", "float32").tokenizer
    whole = LearningText.of(learning, tokenizer, 64)
    part = whole.at_most(whole.tokens // 3)
    assert 0.2 * whole.tokens < part.tokens <= 0.4 * whole.tokens
    counts = [Counter(text.domains) for text in (whole, part)]
    assert all(counts[0][domain] // 3 - 1 <= counts[1][domain] <= counts[0][domain] // 3 + 1 for domain in counts[0])
    assert set(Counter(whole.at_most(0).domains).values()) == {1}
    assert whole.at_most(10 * whole.tokens).passages.ids == whole.passages.ids


def test_nothing_is_learned_of_a_domain_that_is_held_out(learning, tmp_path):
    found = search(model_dir(), learning, tmp_path / "run", **ASKED, hold_out_domain="math_word")
    tokenizer = load_model(Checkpoint.find(model_dir()), "cpu", "float32").tokenizer
    seen = [passage for passage in learning.split("train") if passage.domain != "math_word"]
    assert 0 < len(seen) < len(learning.split("train"))
    assert found.pattern.refit.tokens == tokenize(seen, tokenizer, 64).total
    assert found.pattern.origin.held_out == ["math_word"]
    options = {"dtype": "float32", "device": "cpu", "refit": "single", "ridge": 1.0}
    file = refit(model_dir(), tmp_path / "run", learning, tmp_path / "refitted", **options).file
    assert set(file.tokens) == {"code_python", "legal_statute", "anchor"}
    assert not any(group.startswith("math_word") for group in file.best.excess)


def test_it_needs_text_to_learn_from(tmp_path):
    with pytest.raises(EvopError, match="has no split train"):
        search(model_dir(), small_set(), tmp_path / "run", **ASKED)
