"""Bytes are those of real weights and of a real cache, of the dense model and of pruned ones."""

import numpy as np
import pytest
import tiny
import torch

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.memory import Memory
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from patterns import Budget

CONTEXT, BATCH = 24, 2
WHOLE = [("llama", "layer"), ("gpt2", "layer"), ("gpt_neox", "layer"), ("phi3", "layer"), ("llama", "head")]
"""Architectures of which every layer sees all that was read, and a grain of which stock models remain."""


def real(folder, context=CONTEXT):
    """Count the bytes of a model's weights, each once, and of its cache after a forward pass."""
    model = tiny.load(folder).float()
    cache = model(tiny.random_ids(BATCH, context), use_cache=True).past_key_values
    held = sum(getattr(layer, name).nbytes for layer in cache.layers for name in ("keys", "values"))
    return sum(weight.nbytes for weight in model.parameters()) + held


@pytest.mark.parametrize(("name", "grain"), WHOLE)
def test_bytes_are_those_of_weights_and_cache(name, grain, tmp_path):
    folder = tiny.build(name, tmp_path / "model")
    checkpoint = Checkpoint.find(folder)
    space = pattern_space(checkpoint, grain, "stock")
    counted = Memory(CONTEXT, BATCH, "float32").counted(checkpoint, space)
    assert counted.fingerprint == space.fingerprint
    assert counted.model.memory == real(folder)
    budget = Budget(counted, {"kv": 0.4}, fit_in=counted.model.memory - 8000)
    pattern = budget.draw(np.random.default_rng(0))
    left = counted.model.memory - counted.removed(pattern).memory
    assert left <= counted.model.memory - 8000
    written = tiny.write_pattern(tmp_path / "pattern.json", counted, pattern, folder)
    prune(folder, written, tmp_path / "pruned")
    assert real(tmp_path / "pruned") == left


def test_a_window_holds_no_more_than_it_sees(tmp_path):
    checkpoint = Checkpoint.find(tiny.build("qwen3_mixed", tmp_path / "model"))
    space = pattern_space(checkpoint, "layer", "any")
    short, long = (Memory(context, 1, "float32").counted(checkpoint, space) for context in (tiny.WINDOW, 100))
    more = [b.removed[-1].memory - a.removed[-1].memory for a, b in zip(short.parts, long.parts, strict=True)]
    # Two key/value heads of 16 numbers, keys and values, four bytes each.
    assert more == [0, 2 * 2 * 16 * 4 * (100 - tiny.WINDOW)] * 2


def test_what_is_left_open_suits_the_model(tmp_path):
    checkpoint = Checkpoint.find(tiny.build("llama", tmp_path / "model"))
    assert Memory.of(checkpoint) == Memory(256, 1, "float32")
    assert Memory.of(checkpoint, 100, 3, "bfloat16") == Memory(100, 3, "bfloat16")
    with pytest.raises(EvopError, match="--fit-context 257, but the model has 256 positions; give no more"):
        Memory.of(checkpoint, 257)


def test_weights_of_several_dtypes_need_one_named(tmp_path):
    folder = tiny.build("llama", tmp_path / "model")
    model = tiny.load(folder).to(torch.bfloat16)
    model.model.norm.float()
    model.save_pretrained(folder)
    with pytest.raises(EvopError, match=r"--fit-in counts weights of one dtype, but .* stores BF16, F32; name the one"):
        Memory.of(Checkpoint.find(folder))
