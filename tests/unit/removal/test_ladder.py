"""Ladders: how many units of a block may leave."""

import json
from itertools import pairwise

import pytest
from huggingface_hub.errors import StrictDataclassError
from tiny import build
from transformers import AutoConfig

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.ladder import LARGEST_STEP, MOST_WIDTHS, head_ladder, width_ladder
from evop.removal.space import pattern_space

WIDTHS = (2, 3, 17, 48, 100, 511, 512, 1000, 3072, 4304, 8192, 11008, 14336, 18944, 28672)


def steps(width):
    """Some that are allowed, the default among them."""
    return [None, *(step for step in (1, 3, 32, 100, 256, 1024, width - 1) if step < width)]


@pytest.mark.parametrize(("width", "step"), [(width, step) for width in WIDTHS for step in steps(width)])
def test_widths_that_are_kept_are_multiples_of_the_step(width, step):
    ladder = width_ladder(width, step)
    kept = [width - gone for gone in ladder]
    unit = step or max(n for n in (1, 2, 4, 8, 16, 32, 64, 128, LARGEST_STEP) if n == 1 or width >= MOST_WIDTHS * n)
    assert (kept[0], kept[-1]) == (width, 0)
    assert all(a > b for a, b in pairwise(kept))
    assert all(stays % unit == 0 for stays in kept[1:])
    apart = {a - b for a, b in pairwise(kept[1:])}
    assert len(apart) <= 1
    assert 2 < len(ladder) <= 1 + MOST_WIDTHS
    # As fine as the number of levels allows: half as far apart would be too many.
    finer = [n for n in range(unit, min(apart, default=unit), unit) if 1 + (width - 1) // n <= MOST_WIDTHS]
    assert finer == []


@pytest.mark.parametrize("step", [0, -1, 512, 513])
def test_steps_that_leave_nothing_between_all_and_none_are_refused(step):
    with pytest.raises(EvopError, match=f"--width-step {step}: must lie between 1 and the MLP's width 512"):
        width_ladder(512, step)


def test_a_step_reaches_the_parts(tiny_folder):
    checkpoint = Checkpoint.find(tiny_folder("llama"))
    default, wide = (pattern_space(checkpoint, "channel", width_step=step) for step in (None, 16))
    assert {part.units for part in default.parts} == {tuple(range(0, 49, 4))}
    assert {part.units for part in wide.parts} == {(0, 16, 32, 48)}


OWN_WIDTH = {"head_dim": 16}
HEADS = {
    "llama": {"num_attention_heads": 8, "num_key_value_heads": 8},
    "llama_biased": {"num_attention_heads": 8, "num_key_value_heads": 4},
    "qwen3": {"num_attention_heads": 8, "num_key_value_heads": 8, **OWN_WIDTH},
    "mistral": {"num_attention_heads": 12, "num_key_value_heads": 6, **OWN_WIDTH},
    "gemma2": {"num_attention_heads": 8, "num_key_value_heads": 8, **OWN_WIDTH},
}


DIVIDING = ("llama", "llama_biased", "gemma2")
"""They want heads that divide the hidden size."""


@pytest.mark.parametrize("name", HEADS)
def test_stock_counts_of_heads_are_those_that_the_config_takes(name, tmp_path):
    """Judged from files that say so, as a user's would."""
    folder = build(name, tmp_path / "model")
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **HEADS[name]}
    content["head_dim"] = content.get("head_dim") or content["hidden_size"] // content["num_attention_heads"]
    path.write_text(json.dumps(content))
    config, groups = AutoConfig.from_pretrained(folder), content["num_key_value_heads"]
    taken = []
    for stays in range(1, groups):
        heads = content["num_attention_heads"] * stays // groups
        path.write_text(json.dumps({**content, "num_key_value_heads": stays, "num_attention_heads": heads}))
        try:
            found = AutoConfig.from_pretrained(folder)
        except (StrictDataclassError, ValueError):
            continue
        assert (found.num_key_value_heads, found.head_dim) == (stays, config.head_dim)
        taken.append(groups - stays)
    assert head_ladder(config, groups, stock=True) == (0, *sorted(taken), groups)
    assert head_ladder(config, groups, stock=False) == tuple(range(groups + 1))
    assert (len(taken) < groups - 1) == (name in DIVIDING)
