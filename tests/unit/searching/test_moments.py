"""What the levels of a search are refitted on, what it costs, and what it is good for."""

from __future__ import annotations

import json
from collections import namedtuple

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.removal import moments_file
from evop.searching.moments import moment_texts
from evop.stages.search import search
from evop.tokens.passages import tokenize

QUICK = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32"}
OBS = {**QUICK, "grain": "channel", "compensate": "obs", "strategy": "oneshot"}


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(Checkpoint.find(model_dir()))


def texts(calibration, tokenizer, domains=None, **options):
    """The texts, and the samples they are chosen beside: a whole, and two halves that happen to be equal to it."""
    searched = [p for p in calibration.split("search") if p.domain in (domains or {p.domain})]
    samples = [tokenize(searched, tokenizer, 32)] * 3
    return moment_texts(SearchRecipe.of(**{**OBS, **options}), calibration, tokenizer, samples), samples


def test_without_text_to_learn_from_it_is_what_ranks_units(tokenizer):
    found, samples = texts(small_set(), tokenizer)
    assert found == samples
    assert texts(small_set(), tokenizer, compensate="bias")[0] == []


def test_text_to_learn_from_serves_all_rankings_in_the_searched_domains_alone(tokenizer):
    calibration = small_set(train_tokens=500)
    (found,), _ = texts(calibration, tokenizer, domains={"legal_statute"})
    learnt = [p for p in calibration.split("train") if p.domain == "legal_statute"]
    assert found.groups == tuple(p.group for p in learnt)
    assert len(learnt) > 2
    assert {len(ids) for ids in found.ids} <= set(range(2, 33))


@pytest.mark.parametrize("train", [0, 500])
def test_the_tokens_are_counted_and_the_halves_have_their_own(train, tokenizer, tmp_path):
    calibration, out = small_set(**({"train_tokens": train} if train else {})), tmp_path / "run"
    found = search(model_dir(), calibration, out, **OBS, deploy="any", fitness_on="held-out")
    spent = found.account.tokens
    assert spent["total"] == sum(count for purpose, count in spent.items() if purpose != "total")
    files = sorted(path.name for path in out.glob("moments*"))
    if train:
        assert files == ["moments.npz"]
        assert spent["moments"] == tokenize(calibration.split("train"), tokenizer, 32).total
    else:
        assert files == ["moments-0.npz", "moments-1.npz", "moments.npz"]
        assert spent["moments"] == spent["importance"]


def test_half_of_all_channels_leave_and_what_stays_makes_up_for_them(tmp_path):
    """On the embedded model, on text that the weights were not fitted on."""
    options = {**OBS, "remove": 0.375, "max_tokens": 96}
    lost = {}
    for how in ("none", "obs"):
        found = search(model_dir(), small_set(), tmp_path / how, **{**options, "compensate": how})
        assert set(found.pattern.kept) == {f"layers.{layer}.mlp" for layer in range(12)}
        lost[how] = found.pattern.claim.select
    assert lost["obs"] < 0.75 * lost["none"]


def test_a_disk_without_room_is_said_before_anything_is_measured(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(moments_file.shutil, "disk_usage", lambda place: usage(20_000_000))
    with pytest.raises(EvopError, match=r"has 0\.02 GB free, what --compensate obs keeps there takes 0\.01 GB"):
        search(model_dir(), small_set(), tmp_path / "run", **OBS)
    assert not (tmp_path / "run").exists()


def test_the_answer_says_how_it_was_compensated(tmp_path):
    search(model_dir(), small_set(), tmp_path / "run", **OBS)
    content = json.loads((tmp_path / "run" / "pattern.json").read_text())
    assert (content["compensate"], content["refit"]) == ("obs", None)
    assert content["corrections"] is not None
