"""The search stage at its edges: limits too small, completions, failed losses, bad weights, torn starts."""

import json
import math
import shutil
from itertools import count

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sets import small_set

from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.fitness.fitness import Fitness
from evop.fitness.sample import Sample
from evop.losses.objectives import worst
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.removal.space import pattern_space
from evop.searching.passages import objective_passages
from evop.searching.plan import SearchPlan, searched_space
from evop.stages.compare import compare
from evop.stages.search import SearchResult, search
from patterns import Pattern

QUICK = {"max_tokens": 64, "min_group_tokens": 50, "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def calibration():
    return small_set()


@pytest.fixture
def copy(tmp_path):
    folder = shutil.copytree(model_dir(), tmp_path / "model")
    (folder / "model.safetensors").chmod(0o600)
    return folder


def test_a_token_limit_below_one_pattern_is_refused_and_leaves_nothing(calibration, tmp_path):
    with pytest.raises(EvopError, match="--tokens 1,000 is too few for one pattern"):
        search(model_dir(), calibration, tmp_path / "run", tokens=1000, **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_share_of_nobody_is_refused_and_leaves_nothing(calibration, tmp_path):
    asked = {"grain": "channel", "importance": "|W| @ nosuch=1", **QUICK}
    with pytest.raises(EvopError, match=r"is called nosuch; there are code_python, code_python/0, ") as caught:
        search(model_dir(), calibration, tmp_path / "run", **asked)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("strategy", "evaluations", "said"),
    [("auto", 24, True), ("cma", 3, True), ("auto", 25, False), ("random", 3, False)],
)
def test_evaluations_that_end_with_the_sensitivities_are_said_before_them(
    calibration, tmp_path, strategy, evaluations, said
):
    asked = {"strategy": strategy, "evaluations": evaluations, "deploy": "any", **QUICK}
    recipe = SearchRecipe.of(**asked)
    checkpoint = Checkpoint.find(model_dir())
    plan = SearchPlan.of(checkpoint, recipe, searched_space(checkpoint, recipe))
    line = (
        f"--evaluations {evaluations}: strategy {plan.recipe.strategy} first measures what each of 24 parts costs alone"
    )
    assert plan.too_few.startswith(line) if said else plan.too_few == ""
    if evaluations == 3 and said:
        lines = []
        search(model_dir(), calibration, tmp_path / "run", report=lines.append, **asked)
        assert plan.too_few in lines


def test_a_stopped_greedy_is_completed_counted_and_said(calibration, tmp_path):
    found = search(model_dir(), calibration, tmp_path / "run", strategy="greedy", evaluations=3, **QUICK)
    account = found.account
    assert account.completed
    assert len(found.pattern.removed) == 6
    a_pattern = account.tokens["dense"]
    assert account.tokens["trials"] == 4 * a_pattern
    assert account.tokens["total"] == sum(v for k, v in account.tokens.items() if k != "total")
    logged = (tmp_path / "run" / "trials.jsonl").read_text().splitlines()[1:]
    assert [json.loads(line)["met"] for line in logged] == [False] * 3


@pytest.mark.parametrize("tokens", [None, 60_000, 20_000])
def test_where_sensitivities_are_all_it_measured_several_patterns_that_they_choose_are(calibration, tmp_path, tokens):
    """As many as there can be finalists, or as the tokens that are left allow; the best of them is the answer."""
    found = search(model_dir(), calibration, tmp_path / "run", evaluations=20, deploy="any", tokens=tokens, **QUICK)
    account, pattern = found.account, found.account.tokens["dense"]
    assert account.completed
    assert account.stopped == "evaluations"
    assert account.tokens["total"] <= (tokens or account.tokens["total"])
    if tokens == 20_000:
        assert 1 < len(account.finalists) < 8
        assert account.tokens["total"] + 2 * pattern > tokens
    else:
        assert len(account.finalists) == 8
    whole = len(account.finalists) * pattern
    logged = [json.loads(line) for line in (tmp_path / "run" / "trials.jsonl").read_text().splitlines()[1:]]
    assert account.tokens["trials"] == whole + sum(trial["tokens"] for trial in logged)
    assert [finalist.search for finalist in account.finalists] == sorted(f.search for f in account.finalists)
    assert found.pattern.claim.pooled == min(finalist.pooled for finalist in account.finalists)


def test_the_answer_is_the_best_finalist_on_search_and_select_together(calibration, tmp_path):
    found = search(model_dir(), calibration, tmp_path / "run", strategy="random", evaluations=6, tail=0.25, **QUICK)
    loaded = load_model(Checkpoint(model_dir(), "reference"), "cpu", "float32")
    passages = objective_passages(calibration, loaded.tokenizer, SearchRecipe(**QUICK))
    space = pattern_space(loaded.checkpoint, "subblock")
    evaluator = Evaluator.of(loaded, space, 16)
    patterns = [
        Pattern(tuple(1 if part.name in finalist.removed else 0 for part in space.parts))
        for finalist in found.account.finalists
    ]
    summed, counted = [dict.fromkeys(passages.groups, 0.0) for _ in patterns], dict.fromkeys(passages.groups, 0)
    for split in (passages.search, passages.select):
        dense, *pruned = evaluator.losses([space.dense, *patterns], split)
        for group, n in split.counts_by_group.items():
            counted[group] += n
            for sums, table in zip(summed, pruned, strict=True):
                sums[group] += n * (table.by_group[group] - dense.by_group[group])
    pooled = []
    for finalist, sums in zip(found.account.finalists, summed, strict=True):
        excess = sorted(sums[group] / counted[group] for group in passages.groups)
        pooled.append(np.mean(excess[-math.ceil(len(excess) / 4) :]))
        assert finalist.pooled == pytest.approx(pooled[-1], abs=1e-5)
    assert found.pattern.removed == found.account.finalists[int(np.argmin(pooled))].removed
    claim = found.pattern.claim
    assert claim.pooled == pytest.approx(min(pooled), abs=1e-5)
    best = summed[int(np.argmin(pooled))]
    assert claim.excess == pytest.approx({group: best[group] / counted[group] for group in best}, abs=1e-5)
    assert claim.worst_group == max(best, key=lambda group: best[group] / counted[group])


def test_a_tail_of_another_objective_is_refused(calibration, tmp_path):
    with pytest.raises(EvopError, match=r"^--tail is of --objective cvar, not of worst; leave one of them out$"):
        search(model_dir(), calibration, tmp_path / "run", objective="worst", tail=0.25, **QUICK)


def test_tokens_bound_everything_that_is_spent(calibration, tmp_path):
    found = search(model_dir(), calibration, tmp_path / "run", strategy="random", tokens=60_000, **QUICK)
    account = found.account
    assert account.stopped == "tokens"
    assert account.tokens["total"] <= 60_000 < account.tokens["total"] + 2 * account.tokens["dense"]


def test_losses_that_are_no_numbers_mark_a_measurement_failed(calibration, tmp_path, copy):
    """The output of one MLP overflows: patterns that keep it fail, patterns that remove it do not."""
    weights = load_file(copy / "model.safetensors")
    name = "model.layers.8.mlp.down_proj.weight"
    weights[name] = np.full_like(weights[name], np.inf)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvopError, match=r"the dense model's loss is not finite .*at --dtype float32; see whether"):
        search(copy, calibration, tmp_path / "dense", evaluations=4, **QUICK)
    assert not (tmp_path / "dense").exists()
    loaded = load_model(Checkpoint.find(copy), "cpu", "float32")
    passages = objective_passages(
        calibration, loaded.tokenizer, SearchRecipe.of(max_tokens=64, min_group_tokens=50)
    ).search
    space = pattern_space(loaded.checkpoint, "subblock")
    sample = Sample.whole(Evaluator.of(loaded, space, 64), passages)
    fitness = Fitness(sample, worst, {sample.full.passages: dict.fromkeys(passages.tokens_by_group, 3.0)})
    failed, fine = fitness([space.pattern(["layers.2.mlp"]), space.pattern(["layers.8.mlp"])])
    assert failed.value == np.inf
    assert "loss is not finite in" in str(failed.failed)
    assert failed.losses == {}
    assert fine.failed is None
    assert np.isfinite(fine.value)


def test_a_start_torn_by_a_kill_can_be_begun_again(calibration, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trials.tmp").write_text('{"schema": "evop.tri')
    assert search(model_dir(), calibration, tmp_path / "run", evaluations=2, **QUICK).account.evaluations == 2


def test_weights_that_are_not_whole_are_refused(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(EvopError, match="is not a whole safetensors file"):
        load_model(Checkpoint.find(copy), "cpu")


def test_missing_weights_are_refused_rather_than_made_up(copy):
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.5.self_attn.q_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvopError, match=r"1 weights are missing from its files, model\.layers\.5\.self_attn\.q_proj"):
        load_model(Checkpoint.find(copy), "cpu")


def test_a_resumed_search_keeps_the_dtype_it_began_with(calibration, tmp_path):
    options = {**QUICK, "dtype": "bfloat16"}
    search(model_dir(), calibration, tmp_path / "run", evaluations=1, **options)
    found = search(model_dir(), calibration, tmp_path / "run", evaluations=2, **{**options, "dtype": "auto"})
    assert found.account.evaluations == 2


def test_passages_longer_than_the_model_has_positions_are_refused(calibration, tmp_path):
    with pytest.raises(EvopError, match="--max-tokens 5000 is more than the 1024 positions"):
        search(model_dir(), calibration, tmp_path / "run", **{**QUICK, "max_tokens": 5000})


def failing_on_select(monkeypatch, failing):
    """Some measurements on ``select`` give no numbers; ``failing`` says which, the dense model's being number 1."""
    real, number, at_select = Evaluator.of_cuts, count(1), []

    def of_cuts(evaluator, cuts, passages):
        tables = real(evaluator, cuts, passages)
        for table in tables:
            if at_select and failing(next(number)):
                table.loss[:] = float("nan")
        return tables

    monkeypatch.setattr(Evaluator, "of_cuts", of_cuts)
    return lambda progress: at_select.append(True) if progress.stage == "selecting" else None


def test_a_finalist_without_a_loss_on_select_is_none(calibration, tmp_path, monkeypatch):
    options = {"strategy": "random", "evaluations": 3, **QUICK}
    plain = search(model_dir(), calibration, tmp_path / "plain", **options).account
    watch = failing_on_select(monkeypatch, lambda number: number == 2)
    found = search(model_dir(), calibration, tmp_path / "run", watch=watch, **options)
    assert found.account.finalists == plain.finalists[1:]
    assert found.account.tokens == plain.tokens  # what was measured in vain was measured
    assert found.pattern.claim.pooled == min(finalist.pooled for finalist in plain.finalists[1:])


def test_no_finalist_with_a_loss_on_select_is_one_line(calibration, tmp_path, monkeypatch):
    watch = failing_on_select(monkeypatch, lambda number: number > 1)
    with pytest.raises(EvopError, match=r"^no finalist has a loss on select \(loss is not finite in .*; remove less"):
        search(model_dir(), calibration, tmp_path / "run", watch=watch, strategy="random", evaluations=2, **QUICK)
    assert not (tmp_path / "run" / "pattern.json").exists()


def test_an_answer_older_than_its_trials_is_refused_until_it_is_given_again(calibration, tmp_path):
    run, options = tmp_path / "run", {"strategy": "random", **QUICK}
    search(model_dir(), calibration, run, evaluations=1, **options)
    older = {name: (run / name).read_bytes() for name in ("search.json", "pattern.json")}
    search(model_dir(), calibration, run, evaluations=2, **options)
    for name, content in older.items():  # as a kill before the second answer leaves it
        (run / name).write_bytes(content)
    for read in (SearchResult.read, compare):
        with pytest.raises(
            EvopError, match=r"its trials are not those that search\.json answers for; .* again$"
        ) as said:
            read(run)
        assert "\n" not in str(said.value)
    search(model_dir(), calibration, run, evaluations=2, **options)
    assert SearchResult.read(run).account.evaluations == 2
