"""Which checkpoints an audit takes, and what it says of the others."""

import gc
import json
import shutil
import weakref

import pytest
import torch
from by_hand import change_by_hand
from safetensors.torch import load_file, save_file
from sets import small_set
from tiny import build, load, removing, write_pattern
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase
from transformers import AutoConfig, AutoModelForCausalLM

import evop.model.held
from evop.auditing.candidates import candidates_of
from evop.auditing.itself import open_checkpoint
from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS, HEAL, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.sums import SUMS, write_sums
from evop.recovery.heal_file import HealFile, HealPoint
from evop.removal.pattern_facts import ModelName
from evop.stages.audit import audit
from evop.stages.prune import prune


@pytest.fixture
def road(tmp_path):
    """A model, a pattern of it, and the checkpoint pruned by it."""
    model = build("llama", tmp_path / "model")
    (tmp_path / "run").mkdir()
    write_pattern(tmp_path / "run" / PATTERN, *removing(model, "layers.1.mlp", "layers.2.attn"), model)
    return model, tmp_path / "run", prune(model, tmp_path / "run", tmp_path / "pruned", parity=False).folder


def audited(model, *patterns, **more):
    how = {"device": "cpu", "dtype": "float32", "random_patterns": 0, "speed": False, "needs": False, "max_tokens": 32}
    return audit(model, small_set(), patterns, model.parent / "audit", **how | more)


def test_a_folder_with_a_config_is_measured_as_itself(road):
    model, run, pruned = road
    masked, itself = candidates_of(Checkpoint.find(model), [run, pruned], 0)[0]
    assert (masked.itself, itself.itself) == (None, Checkpoint(pruned, str(pruned)))
    assert (masked.recovery, itself.recovery) == ("none", "none")


def by_another_tool(pruned, change):
    """What another tool leaves: the smaller model, its weights changed, and no word of what it was pruned by."""
    (pruned / PATTERN).unlink()
    (pruned / SUMS).unlink()
    weights = load_file(pruned / "model.safetensors")
    for name in list(weights):
        change(name, weights)
    save_file(weights, pruned / "model.safetensors", metadata={"format": "pt"})


def test_the_weights_of_another_tools_checkpoint_say_what_left(road):
    """Its last projections may be another's: it is measured by its own weights, beside random ones of its size."""
    model, run, pruned = road

    def change(name, weights):
        if name.endswith("down_proj.weight"):
            weights[name] = 1.5 * weights[name]

    by_another_tool(pruned, change)
    said = []
    file = audited(model, run, pruned, random_patterns=2, report=said.append).file
    masked, own = file.patterns
    assert [line for line in said if line.startswith("pruned: by its weights, ") and "it is measured as it is" in line]
    assert (own.left, own.reached, own.random) == (masked.left, masked.reached, "random as pruned")
    assert own.checkpoint == Checkpoint.find(pruned).fingerprint
    losses = {name: [row.loss for row in file.groups if row.pattern == name] for name in ("run", "pruned")}
    assert min(abs(one - other) for one, other in zip(*losses.values(), strict=True)) > 1e-4


def test_what_evop_wrote_is_told_by_its_weights_too_or_by_its_pattern_alone(road, tmp_path):
    """Heterogeneous, a checkpoint runs as the dense model's type does."""
    model, dense = road[0], Checkpoint.find(road[0])
    write_pattern(tmp_path / PATTERN, *removing(model, "layers.1.mlp"), model)
    pruned = prune(model, tmp_path / PATTERN, tmp_path / "uneven", parity=False).folder
    assert Checkpoint.find(pruned).model_type == "evop_llama"
    (pruned / PATTERN).unlink()
    assert open_checkpoint(pruned, dense)[1].file.removed == ["layers.1.mlp"]
    weights = load_file(pruned / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"] *= 2
    save_file(weights, pruned / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvopError, match=r"was pruned by evop, but its pattern\.json is missing; copy that too"):
        open_checkpoint(pruned, dense)


def test_a_model_trained_since_is_measured_as_it_is(road):
    model, run, pruned = road

    def change(name, weights):
        if "proj" in name:
            weights[name] = weights[name] + 0.05 * torch.randn(weights[name].shape)

    by_another_tool(pruned, change)
    said = []
    file = audited(model, run, pruned, random_patterns=2, report=said.append).file
    masked, own = file.patterns
    line = f"pruned: its weights do not say what left of {model}; it is measured as it is, with no random patterns"
    assert [each for each in said if each.startswith(line)]
    assert (own.removed, own.left, own.asked, own.random, own.claim) == ([], {}, {}, None, None)
    assert own.reached.model_dump(exclude={"of_blocks"}) == masked.reached.model_dump(exclude={"of_blocks"})
    assert own.parts not in ("", masked.parts)
    summary = {row.pattern: row.mean for row in file.summary if row.split == "audit"}
    assert summary["pruned"] != summary["run"]
    page = (model.parent / "audit" / "report.html").read_text()
    assert "by its size; what left is not known" in page
    assert "What is left of the network" in page


def test_a_model_of_other_widths_alone_is_audited_without_a_picture_of_what_left(road, tmp_path):
    config, other, said = AutoConfig.from_pretrained(road[0]), build("llama", tmp_path / "other"), []
    config.intermediate_size, config.num_hidden_layers = 32, 3
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    file = audited(road[0], other, speed=True, report=said.append).file
    assert [row.left for row in file.patterns] == [{}]
    assert file.patterns[0].reached.block_params > 0.25
    assert "speed is not measured: what left is not known; evop speed times a model by itself" in said


def test_another_architecture_with_the_same_tokenizer_is_run_as_what_it_is(road, tmp_path):
    other = build("mistral", tmp_path / "other")
    assert audited(road[0], other).file.patterns[0].left == {}


def test_the_dense_model_is_no_pruned_checkpoint(road):
    with pytest.raises(EvopError, match="is --model itself, of which nothing left; give a pattern"):
        audited(road[0], road[0])


def test_a_checkpoint_of_another_model_is_refused(road, tmp_path):
    other = build("qwen2", tmp_path / "other")
    with pytest.raises(EvopError, match=r"--pattern .*pruned: the pattern was made for .*another model or revision"):
        audited(other, road[2])


def test_the_pattern_of_another_checkpoint_is_refused(road):
    """One that lacks less than its file says: its reached fractions would be another's."""
    model, _, pruned = road
    write_pattern(pruned / PATTERN, *removing(model, "layers.1.mlp"), model)
    with pytest.raises(EvopError, match=r"parameters less than --model .*, but its pattern.json says it removes"):
        audited(model, pruned)


def test_another_vocabulary_is_refused(road):
    model, _, pruned = road
    content = json.loads((pruned / "tokenizer.json").read_text())
    first, second = list(content["model"]["vocab"])[300:302]
    vocabulary = content["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (pruned / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(EvopError, match=r"pruned has another vocabulary \(4,096 tokens\) than --model"):
        audited(model, pruned)


def test_a_vocabulary_of_another_size_is_refused(road):
    model, _, pruned = road
    larger = load(pruned)
    larger.resize_token_embeddings(4100, mean_resizing=False)
    kept = (pruned / PATTERN).read_bytes()
    larger.save_pretrained(pruned)
    (pruned / PATTERN).write_bytes(kept)
    with pytest.raises(EvopError, match=r"pruned has a vocabulary of 4,100 tokens, --model .* one of 4,096"):
        audited(model, pruned)


def test_a_tokenizer_that_reads_otherwise_is_refused(road):
    model, _, pruned = road
    tokenizer = Tokenizer.from_file(str(pruned / "tokenizer.json"))
    tokenizer.normalizer = Lowercase()
    tokenizer.save(str(pruned / "tokenizer.json"))
    with pytest.raises(EvopError, match="reads the audited passages otherwise than that of --model"):
        audited(model, pruned)


def healed(folder, model, **changed):
    point = {"loss": None, "weights": {"law/0": 1.0}}
    content = {
        "version": "1", "model": ModelName.of(Checkpoint.find(model)), "pattern_sha256": sha256(folder / PATTERN),
        "calibration": "c", "recipe": {}, "tokens": 20, "stopped": "tokens", "best_at": 10,
        "curve": [HealPoint(tokens=at, excess={"law/0": 1 / (at + 1)}, **point) for at in (0, 10, 20)],
    }  # fmt: skip
    HealFile(**{**content, **changed}).write(folder / HEAL)


def test_a_healed_checkpoint_says_so_in_its_row(road):
    model, run, pruned = road
    healed(pruned, model)
    said = []
    file = audited(model, run, pruned, report=said.append).file
    assert "pruned was healed on another calibration set (c): what it saw may lie in this audit" in said
    assert [(row.recovery, row.healed_tokens) for row in file.patterns] == [("none", None), ("healed", 10)]
    page = (model.parent / "audit" / "report.html").read_text()
    assert "Who comes back, who does not" in page
    assert page.count('id="group:law:law/0:line"') == 1


def test_a_healing_of_another_checkpoint_is_refused(road):
    model, _, pruned = road
    healed(pruned, model, pattern_sha256="0" * 64)
    with pytest.raises(EvopError, match="another lies beside it"):
        audited(model, pruned)


def test_weights_that_are_no_numbers_are_said(road):
    model, _, pruned = road
    weights = load_file(pruned / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, pruned / "model.safetensors", metadata={"format": "pt"})
    write_sums(pruned)
    with pytest.raises(EvopError, match=r"losses on audit under .*pruned are not finite"):
        audited(model, pruned)
    assert not (model.parent / "audit").exists()


def test_a_refitted_pattern_alone_leads_to_its_checkpoint(road):
    """Its weights lie in the checkpoint: masked without them, it would be another model's row."""
    model, _, pruned = road
    note = {"method": "chain", "ridge": 0.1, "through": 3, "calibration": "c", "tokens": 1, "anchor": 0.0}
    change_by_hand(pruned / PATTERN, refit=note, corrections="0" * 64)
    assert not (pruned / CORRECTIONS).exists()
    with pytest.raises(EvopError, match=rf"give the folder {pruned}"):
        audited(model, pruned / PATTERN)
    assert audited(model, pruned).file.patterns[0].recovery == "refitted"


def test_a_checkpoint_may_be_of_the_name_of_its_run(road):
    model, run, pruned = road
    (model.parent / "runs").mkdir()
    (model.parent / "made").mkdir()
    shutil.move(run, model.parent / "runs" / "x")
    shutil.move(pruned, model.parent / "made" / "x")
    folders = [model.parent / "runs" / "x", model.parent / "made" / "x"]
    assert [row.name for row in candidates_of(Checkpoint.find(model), folders, 0)[0]] == ["x", "made/x"]


def test_one_model_is_in_memory_at_a_time(road, monkeypatch):
    model, run, pruned = road
    shutil.copytree(pruned, model.parent / "second")
    seen, load_model = [], evop.model.held.load_model

    def watched(*what, **how):
        gc.collect()
        assert not [found for found in seen if found() is not None], "another model is in memory"
        loaded = load_model(*what, **how)
        seen.append(weakref.ref(loaded.model))
        return loaded

    monkeypatch.setattr(evop.model.held, "load_model", watched)
    audited(model, run, pruned, model.parent / "second")
    assert len(seen) == 3
