"""Healing from end to end on tiny models: what it refuses, what it writes, and that a killed one goes on."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sets import DOMAINS, small_set
from tiny import build, removing, write_pattern

from evop.errors import EvopError
from evop.files.names import HEAL, PATTERN
from evop.losses.objectives import cvar
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.model.sums import SUMS, write_sums
from evop.recipes.heal import HealRecipe
from evop.recovery.heal_file import HealFile
from evop.recovery.healing import lesson, looking, loop
from evop.recovery.healing.folder import HealingFolder
from evop.recovery.healing.passages import healing_passages
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from evop.stages import heal as stage
from evop.stages.audit import audit
from evop.stages.heal import heal
from evop.stages.prune import prune

SHORT = {
    "tokens": 1200,
    "look_every": 400,
    "batch_tokens": 200,
    "max_tokens": 64,
    "min_group_tokens": 100,
    "rank": 4,
    "learning_rate": 2e-3,
}
RUINOUS = {**SHORT, "learning_rate": 3.0, "train": "full"}
GONE = ("layers.1.mlp", "layers.2.attn")


@pytest.fixture(scope="module")
def learnable():
    return small_set(train_tokens=1500)


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_folder("llama")


@pytest.fixture(scope="module")
def pruned(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned")
    pattern = write_pattern(folder / "pattern.json", *removing(model, *GONE), model)
    return prune(model, pattern, folder / "checkpoint", parity=False).folder


@pytest.fixture
def out(tmp_path):
    (tmp_path / "there").mkdir()
    return tmp_path / "there" / "out"


def refused(words, *given, **options):
    """Refused on one line, with nothing written under the name that was asked for."""
    with pytest.raises(EvopError, match=words) as caught:
        heal(*given, **{**SHORT, **options})
    assert "\n" not in str(caught.value)
    assert not given[-1].exists()


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_from_a_checkpoint(model, pruned, learnable, out):
    steps = []
    result = heal(model, pruned, learnable, out, watch=steps.append, **SHORT, weights="excess")
    file = HealFile.of(out)
    assert file.curve == result.file.curve
    assert [point.tokens >= 400 * i for i, point in enumerate(file.curve)] == [True] * 4
    assert file.stopped == "tokens"
    assert file.tokens == file.curve[-1].tokens >= 1200
    assert file.recipe["learning_rate"] == 2e-3
    values = [cvar(np.array(list(point.excess.values()))) for point in file.curve]
    assert file.best_at == file.curve[int(np.argmin(values))].tokens
    assert min(values) < values[0]
    assert all(sum(point.weights.values()) == pytest.approx(1) for point in file.curve)
    assert {str(p.relative_to(out)) for p in out.iterdir()} == {p.name for p in pruned.iterdir()} | {HEAL}
    assert (out / PATTERN).read_bytes() == (pruned / PATTERN).read_bytes()
    card = (out / "README.md").read_text()
    assert "nothing was trained" not in card
    assert "## Healing" in card
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert steps[-1].share >= 1
    assert steps[-1].worst == max(file.curve[-1].excess.values())


def test_from_a_pattern_it_is_pruned_first(model, pruned, learnable, out, monkeypatch):
    """The check in a fresh process, which ``evop prune`` is tested for, is left out."""
    monkeypatch.setattr(stage, "prune", partial(prune, parity=False))
    heal(model, pruned / PATTERN, learnable, out, **SHORT)
    heal(model, pruned, learnable, out.with_name("other"), **SHORT)
    assert content(out) == content(out.with_name("other"))
    assert sorted(path.name for path in out.parent.iterdir()) == ["other", "out"]


KILLED = """
import os, signal, sys
sys.path.insert(0, "tests")
from calibration import CalibrationSet
from evop.stages.heal import heal

def watch(progress):
    if progress.share > 0.75:
        os.kill(os.getpid(), signal.SIGKILL)

heal(*sys.argv[1:5], watch=watch, **eval(sys.argv[5]))
"""


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "excess"},
        # Text is read again, some of it known by then and some of it not, for which there was no room.
        {"train": "full", "weights": "cvar", "teacher": "cache", "cache_gb": 5e-4, "tokens": 6000, "look_every": 2000},
    ],
    ids=["lora", "full"],
)
def test_a_killed_one_goes_on_to_the_same_bytes(options, model, pruned, learnable, out, tmp_path):
    learnable.save(tmp_path / "set")
    asked = {**SHORT, **options}
    command = [sys.executable, "-c", KILLED, model, pruned, tmp_path / "set", out, repr(asked)]
    killed = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stand, _ = HealingFolder(out).load()
    assert 0 < stand.tokens < asked["tokens"]
    assert not out.exists()
    steps = []
    heal(model, pruned, learnable, out, watch=steps.append, **asked)
    assert min(step.tokens for step in steps) > stand.tokens
    heal(model, pruned, learnable, out.with_name("whole"), **asked)
    assert content(out) == content(out.with_name("whole"))


def test_what_the_dense_model_said_before_is_as_good_as_asking_again(model, pruned, learnable, out):
    asked = {**SHORT, "tokens": 4000, "look_every": 2000}
    beside, kept = (
        heal(model, pruned, learnable, out.with_name(teacher), **asked, teacher=teacher).file.curve[-1].excess
        for teacher in ("beside", "cache")
    )
    assert kept == pytest.approx(beside, abs=1e-3)


def test_never_worse_than_the_start(model, pruned, learnable, out):
    """A rate that ruins everything: the weights of the start are written, to the byte."""
    result = heal(model, pruned, learnable, out, **RUINOUS)
    assert result.file.best_at == 0
    assert (out / "model.safetensors").read_bytes() == (pruned / "model.safetensors").read_bytes()


def test_it_ends_when_every_group_is_within_what_is_tolerated(model, pruned, learnable, out):
    result = heal(model, pruned, learnable, out, **SHORT, tolerate=100.0)
    assert (result.file.stopped, result.file.tokens) == ("tolerate", 0)


def test_what_is_within_the_tolerance_is_written_even_if_others_were_better_in_the_mean(
    model, pruned, learnable, out, monkeypatch
):
    """Excesses that are exact, and a judge to whom all looks are alike."""
    monkeypatch.setattr(looking, "errors_of", lambda means: (0 * means.value, 1e6 + 0 * means.value))
    monkeypatch.setattr(loop, "value_of", lambda point: 0.0)
    asked = {**SHORT, "train": "full", "weights": "cvar", "learning_rate": 5e-3}
    worst = [max(point.excess.values()) for point in heal(model, pruned, learnable, out, **asked).file.curve]
    assert min(worst) < worst[0]
    file = heal(model, pruned, learnable, out.with_name("other"), **asked, tolerate=min(worst)).file
    assert file.stopped == "tolerate"
    assert file.best_at == file.tokens == file.curve[int(np.argmin(worst))].tokens


def test_it_ends_when_the_worst_does_not_get_better(model, pruned, learnable, out):
    result = heal(model, pruned, learnable, out, **RUINOUS, patience=2)
    assert result.file.stopped == "patience"
    assert len(result.file.curve) == 3


def test_an_anchor_has_its_share(model, pruned, learnable, out):
    result = heal(model, pruned, learnable, out, **SHORT, anchor=0.2)
    assert all(point.weights["anchor"] == pytest.approx(0.2) for point in result.file.curve)
    assert "anchor" not in result.file.curve[0].excess
    other = out.with_name("other")
    refused(
        "--anchor-text mine.txt: its share is 0; give --anchor", model, pruned, learnable, other, anchor_text="mine.txt"
    )


def test_a_group_without_text_to_learn_from_is_watched_and_said(model, pruned, learnable, out):
    left = next(p.group for p in learnable.passages if p.split == "train")
    keep = [i for i, p in enumerate(learnable.passages) if (p.split, p.group) != ("train", left)]
    fewer = type(learnable).of(
        learnable.manifest, tuple(learnable.passages[i] for i in keep), learnable.centroids, learnable.positions[keep]
    )
    said = []
    result = heal(model, pruned, fewer, out, **SHORT, report=said.append)
    assert left in result.file.curve[0].excess
    assert left not in result.file.curve[0].weights
    assert any(learnable.labels[left] in line and "no text in train" in line for line in said)


def test_nothing_is_learned_of_domains_that_the_search_held_out(learnable):
    recipe = HealRecipe.of(**SHORT)
    tokenizer = load_tokenizer(Checkpoint.find(model_dir()))
    all_of_it, fewer = (healing_passages(learnable, tokenizer, recipe, out) for out in ((), ("math_word",)))
    assert {group.split("/")[0] for group in all_of_it.train.groups} == set(DOMAINS)
    for passages in (fewer.train, fewer.select):
        assert {group.split("/")[0] for group in passages.groups} == set(DOMAINS) - {"math_word"}
    with pytest.raises(EvopError, match="all text to learn from is of domains that the search held out"):
        healing_passages(learnable, tokenizer, recipe, DOMAINS)


def test_a_set_without_text_to_learn_from(model, pruned, out):
    refused(r"no split train.*--train-tokens", model, pruned, small_set(), out)


def test_groups_too_small_to_watch(model, pruned, learnable, out):
    refused("lower --min-group-tokens", model, pruned, learnable, out, min_group_tokens=10**6)


def test_one_healed_already(model, pruned, learnable, out, tmp_path):
    again = tmp_path / "again"
    heal(model, pruned, learnable, again, **SHORT)
    refused("healed already", model, again, learnable, out)


def by_another_tool(pruned, folder, change):
    """What another tool leaves: a smaller model with weights of its own, and no word of what it was pruned by."""
    shutil.copytree(pruned, folder)
    for name in (PATTERN, SUMS):
        (folder / name).unlink()
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith("down_proj.weight"):
            weights[name] = change(name, weights[name])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_what_another_tool_pruned_goes_on_from_its_own_weights(model, pruned, learnable, out, tmp_path):
    theirs = by_another_tool(pruned, tmp_path / "theirs", lambda name, weight: 1.1 * weight)
    before, said = content(theirs), []
    result = heal(model, theirs, learnable, out, report=said.append, **SHORT)
    own, ours = (heal(model, each, learnable, tmp_path / f"{each.name}-healed", **SHORT) for each in (theirs, pruned))
    assert "its weights say what left: layers.1.mlp, layers.2.attn; it begins with the weights that it has" in said
    assert result.file.curve[0].excess == own.file.curve[0].excess != ours.file.curve[0].excess
    assert PatternFile.read(out / PATTERN).removed == PatternFile.read(pruned / PATTERN).removed
    assert content(theirs) == before
    audit(model, learnable, [out], tmp_path / "audit", random_patterns=0, max_tokens=64, needs=False, speed=False)


def test_units_of_another_tool_that_are_zero_would_learn_again(model, pruned, learnable, out, tmp_path):
    def change(name, weight):
        return torch.zeros_like(weight) if ".2." in name else weight

    theirs = by_another_tool(pruned, tmp_path / "theirs", change)
    refused("what left of it is zero, not gone, and would learn again; write it smaller", model, theirs, learnable, out)


def test_a_model_that_was_never_pruned(model, learnable, out):
    refused(r"has no pattern\.json, and its weights hold every block and unit", model, model, learnable, out)


def test_a_pattern_of_another_model(pruned, tiny_folder, learnable, out):
    refused("another model or revision", tiny_folder("llama_biased"), pruned, learnable, out)


def test_another_tokenizer(model, pruned, learnable, out, tmp_path):
    changed = shutil.copytree(pruned, tmp_path / "changed")
    tokenizer = json.loads((changed / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, other = list(vocabulary)[300:302]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (changed / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused("has another tokenizer", model, changed, learnable, out)


def test_out_with_something_in_it(model, pruned, learnable, out):
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(EvopError, match="not an empty folder"):
        heal(model, pruned, learnable, out, **SHORT)


def test_another_healing_in_the_folder(model, pruned, learnable, out, monkeypatch):
    monkeypatch.setattr(HealingFolder, "remove", lambda self: None)
    heal(model, pruned, learnable, out, **SHORT)
    shutil.rmtree(out)
    refused("holds another healing: its eta is 1.0, this one's is 0.5", model, pruned, learnable, out, eta=0.5)


def test_one_that_learned_nothing_yet_gives_way(model, pruned, learnable, out):
    """What was refused, or killed before its first step, must not stand in the way of the command put right."""
    refused("more than the 256 positions", model, pruned, learnable, out, max_tokens=500)
    assert HealingFolder(out).folder.is_dir()
    assert heal(model, pruned, learnable, out, **SHORT).file.stopped == "tokens"


def test_a_folder_of_somebody_else(model, pruned, learnable, out):
    (HealingFolder(out).folder / "mine").mkdir(parents=True)
    refused("holds no healing", model, pruned, learnable, out)
    assert (HealingFolder(out).folder / "mine").is_dir()


def test_a_rank_that_no_weight_has(model, pruned, learnable, out):
    refused("--rank 49: no weight has more than 32 rows and columns; give", model, pruned, learnable, out, rank=49)


def test_a_loss_that_is_not_finite(model, learnable, out, tmp_path):
    """One of a weight that is no number, which the losses on select come to before a step does."""
    broken = build("llama", tmp_path / "model")
    pattern = write_pattern(tmp_path / "pattern.json", *removing(broken, *GONE), broken)
    folder = prune(broken, pattern, tmp_path / "pruned", parity=False).folder
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_sums(folder)
    refused("losses on select are not finite", broken, folder, learnable, out)


def test_a_step_that_is_not_finite_says_which(model, pruned, learnable, out, monkeypatch):
    monkeypatch.setattr(lesson, "distillation_loss", lambda own, *_: own.sum() * torch.nan)
    refused(r"not finite in the step after 0 tokens; lower --learning-rate", model, pruned, learnable, out)


def test_a_disk_that_is_too_small(model, pruned, learnable, out, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    refused("the disk has", model, pruned, learnable, out)


def test_a_disk_that_fills_up_loses_nothing_that_was_learned(model, pruned, learnable, out):
    """A limit on the size of files stands for the full disk: the state is larger than it, recipe and tables are not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        refused("disk is full; make room and run the same command again", model, pruned, learnable, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name for path in HealingFolder(out).folder.iterdir()} == {"recipe.json", "machines.json"}
    assert heal(model, pruned, learnable, out, **SHORT).file.stopped == "tokens"


def test_peft_is_missed_in_one_line(model, pruned, learnable, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    refused(r"needs peft.*pip install 'evop\[heal\]'", model, pruned, learnable, out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokens": "2X"}, "expected a number of tokens"),
        ({"device": "spread"}, "trains on one device"),
        ({"dtype": "float16"}, "gradients vanish"),
        ({"train": "half"}, "option train"),
    ],
)
def test_options(options, words, model, pruned, learnable, out):
    refused(words, model, pruned, learnable, out, **options)
