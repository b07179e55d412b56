"""Tensors of pruned models, shard by shard."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import build, load, logits, random_ids, ranking, removing, write_pattern
from transformers import AutoModelForCausalLM

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.export.plan import planned
from evop.export.weights import plan_shards, write_weights
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from patterns import Pattern

OTHERS = ("layers.1.attn", "layers.1.mlp", "layers.2.mlp", "layers.3.attn")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """A bf16 model in many shards."""
    return build("llama_biased", tmp_path_factory.mktemp("sharded"), dtype=torch.bfloat16, max_shard_size="20KB")


def raw(folder):
    """Every tensor as bytes with its dtype."""
    found = {}
    for shard in Checkpoint.find(folder).shards:
        with safe_open(folder / shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_tensor(name)
                found[name] = (tensor.dtype, tensor.view(torch.uint8).numpy().tobytes())
    return found


def planned_for(checkpoint, *names):
    space, pattern = removing(checkpoint.folder, *names)
    return planned(checkpoint, family_of(checkpoint.model_type), Ranking().cut_of(space, pattern))


def pruned(folder, out, *names):
    file = write_pattern(out.parent / "p.json", *removing(folder, *names), folder)
    return prune(folder, file, out, parity=False)


def test_tensors_are_kept_byte_for_byte_under_their_new_names(sharded, tmp_path):
    out = pruned(sharded, tmp_path / "out", *OTHERS).folder
    before, after = raw(sharded), raw(out)
    moved = {}
    for name, content in before.items():
        _, _, rest = name.partition("model.layers.")
        number, _, inside = rest.partition(".")
        attention = inside.startswith(("self_attn.", "input_layernorm."))
        if not rest or number == "0":
            moved[name] = content
        elif (number, attention) == ("2", True) or (number, attention) == ("3", False):
            moved[f"model.layers.1.{inside}"] = content
    assert after == moved


def test_shards_stay_shards_and_empty_ones_go(sharded, tmp_path):
    before = Checkpoint.find(sharded)
    out = pruned(sharded, tmp_path / "out", *OTHERS).folder
    names = sorted(path.name for path in out.glob("*.safetensors"))
    assert 1 < len(names) < len(before.shards)
    assert names == [f"model-{i:05d}-of-{len(names):05d}.safetensors" for i in range(1, len(names) + 1)]
    index = json.loads((out / "model.safetensors.index.json").read_text())
    after = Checkpoint.find(out)
    assert index["weight_map"] == {name: tensor.shard for name, tensor in after.tensors.items()}
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in after.tensors.values())


@pytest.mark.parametrize("names", [OTHERS, ("layers.0.attn", "layers.3.mlp")], ids=["stock", "hetero"])
def test_dtype_is_kept(names, sharded, tmp_path):
    out = pruned(sharded, tmp_path / "out", *names).folder
    assert {tensor.dtype for tensor in Checkpoint.find(out).tensors.values()} == {"BF16"}
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    assert torch.isfinite(logits(model, random_ids())).all()


def test_one_shard_left_needs_no_index(sharded):
    checkpoint = Checkpoint.find(sharded)
    plan = planned_for(checkpoint, *OTHERS)
    one = Checkpoint(checkpoint.folder, "one")
    object.__setattr__(one, "shards", ("model.safetensors",))
    tensors = {name: type(t)(t.shape, t.dtype, "model.safetensors", t.nbytes) for name, t in checkpoint.tensors.items()}
    object.__setattr__(one, "tensors", tensors)
    assert [shard.name for shard in plan_shards(one, family_of("llama"), plan)] == ["model.safetensors"]


def test_tied_head_stays_tied(tiny_folder, tmp_path):
    out = pruned(tiny_folder("llama"), tmp_path / "out", "layers.0.attn").folder
    assert "lm_head.weight" not in Checkpoint.find(out).tensors
    model = load(out)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_an_added_bias_is_stored_as_its_weight_is(tmp_path):
    """Whatever else lies in the shard: what was measured is rounded as the weight is."""
    folder = build("llama", tmp_path / "model", dtype=torch.bfloat16)
    tensors = load_file(folder / "model.safetensors")
    wide = {name: tensor.float() if "down_proj" in name else tensor for name, tensor in tensors.items()}
    save_file(wide, folder / "model.safetensors", metadata={"format": "pt"})
    space = pattern_space(Checkpoint.find(folder), "mixed", compensate=True)
    cut = ranking(space).cut_of(space, Pattern((1,) * len(space.parts)))
    bias = {place: np.full(32, 0.1, dtype=np.float32) for place in cut.kept}
    plan = planned(Checkpoint.find(folder), family_of("llama"), replace(cut, bias=bias))
    write_weights(Checkpoint.find(folder), plan_shards(Checkpoint.find(folder), family_of("llama"), plan), tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    for layer in range(4):
        assert written[f"model.layers.{layer}.mlp.down_proj.bias"].dtype == torch.float32
        assert written[f"model.layers.{layer}.self_attn.o_proj.bias"].dtype == torch.bfloat16


def test_unknown_tensor_in_a_layer_is_refused(tiny_folder):
    folder = tiny_folder("llama")
    checkpoint = Checkpoint(folder, "odd")
    plan = planned_for(checkpoint, "layers.0.attn")
    odd = {**checkpoint.tensors, "model.layers.1.adapter.weight": next(iter(checkpoint.tensors.values()))}
    object.__setattr__(checkpoint, "tensors", odd)
    with pytest.raises(EvopError, match=r"model\.layers\.1\.adapter\.weight belongs to neither"):
        plan_shards(checkpoint, family_of("llama"), plan)


MEASURE = """
import sys
from pathlib import Path
import safetensors.torch
from evop.model.checkpoint import Checkpoint
from evop.export.weights import Piece, Shard, write_weights

def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

source, target = map(Path, sys.argv[1:])
checkpoint = Checkpoint(source, "big")
pieces = {name: {} for name in checkpoint.shards}
for key, t in checkpoint.tensors.items():
    pieces[t.shard][key] = Piece(key, t.shape, t.nbytes)
shards = tuple(Shard(name, name, inside) for name, inside in pieces.items())
before = peak()
write_weights(checkpoint, shards, target)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which is not here")
def test_memory_stays_near_one_shard(tmp_path):
    shard_kb, shards = 8 << 10, 16
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    names = {f"t{i}": f"model-{i:05d}-of-{shards:05d}.safetensors" for i in range(shards)}
    for tensor, name in names.items():
        save_file({tensor: torch.zeros(shard_kb << 10, dtype=torch.uint8)}, tmp_path / "source" / name)
    (tmp_path / "source" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "source"), str(tmp_path / "target")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 * shard_kb
