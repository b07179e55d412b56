"""What every level of every part costs, against tensors that are really sliced and models that really run."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import SHAPE, TINY, build, load, random_ids, ranking, write_pattern
from torch.utils.flop_counter import FlopCounterMode

import evop.hf  # noqa: F401
from evop.errors import EvopError
from evop.export.plan import planned
from evop.export.weights import plan_shards
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.space import COST_CONTEXT, GRAINS, THINNED, pattern_space
from evop.stages.prune import prune
from patterns import Pattern


def numbers_left(checkpoint, cut):
    """Numbers in all tensors that would be written."""
    family = family_of(checkpoint.model_type)
    shards = plan_shards(checkpoint, family, planned(checkpoint, family, cut))
    return sum(int(np.prod(piece.shape)) for shard in shards for piece in shard.pieces.values())


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("compensate", [False, True], ids=["plain", "bias"])
def test_every_level_costs_what_its_tensors_lack(name, compensate, tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder(name))
    family = family_of(checkpoint.model_type)
    grains = [grain for grain in ("mixed", "channel") if not family.refusal(checkpoint.resolved, grain, "any")]
    if not grains:
        pytest.skip(f"{name} holds no thinned parts")
    space = pattern_space(checkpoint, grains[0], compensate=compensate)
    whole = sum(tensor.numel for tensor in checkpoint.tensors.values())
    for i, part in list(enumerate(space.parts))[-2:]:
        for level in range(1, part.top + 1):
            pattern = space.dense.with_level(i, level)
            cut = ranking(space).cut_of(space, pattern)
            bias = {place: np.zeros(SHAPE["hidden_size"], dtype=np.float32) for place in cut.kept}
            lacks = whole - numbers_left(checkpoint, replace(cut, bias=bias) if compensate else cut)
            assert part.removed[level].params == lacks, (part.name, level)
        assert all(a < b for a, b in itertools.pairwise([cost.params for cost in part.removed]))


def matrix_flops(model, ids):
    """Floating-point operations a token in products with weights."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=ids, use_cache=False)
    counts = counter.get_flop_counts()["Global"]
    weights = [n for op, n in counts.items() if op in (torch.ops.aten.mm, torch.ops.aten.addmm)]
    assert sum(weights) % ids.numel() == 0
    return sum(weights) // ids.numel()


def cache_bytes(model, ids):
    """Bytes of keys and values a token."""
    with torch.inference_mode():
        cache = model(input_ids=ids, use_cache=True).past_key_values
    layers = [layer for layer in cache.layers if layer.keys is not None and layer.keys.numel()]
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers) // ids.numel()


@pytest.mark.parametrize("name", ["llama", "llama_biased", "qwen3", "phi3", "gpt2", "gpt_neox", "opt"])
def test_flops_and_cache_are_those_of_the_models(name, tiny_folder, tmp_path):
    """A thinned attention, one that is gone, one that is whole; products with weights and cache bytes are counted."""
    folder, ids = tiny_folder(name), random_ids(1, 16)
    space = pattern_space(Checkpoint.find(folder), "mixed")
    pattern = Pattern(tuple((1, 2, 0, part.top)[part.layer] % (part.top + 1) for part in space.parts))
    written = prune(folder, write_pattern(tmp_path / "p.json", space, pattern, folder), tmp_path / "out", parity=False)
    dense, pruned, gone = load(folder), load(written.folder), space.removed(pattern)
    assert cache_bytes(dense, ids) == space.blocks.kv
    assert gone.kv == cache_bytes(dense, ids) - cache_bytes(pruned, ids)
    config = dense.config
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    groups = sum(
        part.units[level] for part, level in zip(space.parts, pattern.levels, strict=True) if part.kind == "attn"
    )
    heads = groups * config.num_attention_heads // kv_heads
    # Each head's scores and sums: two products, a multiplication and an addition each, with half the context.
    products = heads * 2 * 2 * width * COST_CONTEXT // 2
    assert gone.flops == matrix_flops(dense, ids) - matrix_flops(pruned, ids) + products


def test_a_window_bounds_what_attention_costs(tiny_folder):
    """Every other layer of the model sees 16 tokens at most."""
    space = pattern_space(Checkpoint.find(tiny_folder("qwen3_mixed")), "head")
    sliding, full = (part.removed[1].kv for part in space.parts[:2])
    assert sliding * COST_CONTEXT == full * 16
    assert space.parts[0].removed[1].flops < space.parts[1].removed[1].flops


@pytest.mark.parametrize("grain", GRAINS)
def test_the_last_levels_hold_what_the_blocks_cost(grain, tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder("llama"))
    space, whole = pattern_space(checkpoint, grain), pattern_space(checkpoint, "layer")
    everything = space.removed(Pattern(tuple(part.top for part in space.parts)))
    assert space.blocks == whole.blocks
    assert (everything == space.blocks) == (grain not in ("head", "channel"))


def test_corrections_are_refused_where_they_cannot_be(tiny_folder):
    llama, gpt2 = (Checkpoint.find(tiny_folder(name)) for name in ("llama", "gpt2"))
    for grain in set(GRAINS) - set(THINNED):
        with pytest.raises(EvopError, match=f"--compensate bias is for thinned blocks, but --grain {grain} takes"):
            pattern_space(llama, grain, compensate=True)
    with pytest.raises(EvopError, match=r"a stock llama has no bias at mlp\.down_proj; use --deploy any"):
        pattern_space(llama, "channel", "stock", compensate=True)
    assert pattern_space(gpt2, "channel", "stock", compensate=True)


def test_names_of_grains_and_steps_are_checked(tmp_path):
    checkpoint = Checkpoint.find(build("llama", tmp_path / "model"))
    with pytest.raises(EvopError, match="--grain atom: unknown; choose one of layer, subblock, head, channel, mixed"):
        pattern_space(checkpoint, "atom")
    with pytest.raises(EvopError, match="--width-step 48: must lie between 1 and the MLP's width 48"):
        pattern_space(checkpoint, "mixed", width_step=48)
