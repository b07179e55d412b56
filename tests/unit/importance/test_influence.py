"""Block influence against the residual stream followed by hand, one passage at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from live_bytes import LiveBytes
from sites import token_passages
from tiny import load
from tolerance import beyond, within
from torch import nn
from transformers import AutoModelForCausalLM, GPTNeoXConfig

from evop.errors import EvopError
from evop.importance.influence import StreamLayer, block_influence

PASSAGES = token_passages({"law": [30, 7, 12], "code": [2, 25], "rare": [9]})


def llama_stream(model):
    return [StreamLayer(layer, layer.self_attn, layer.mlp) for layer in model.model.layers]


def turn(before, after):
    """Summed 1 - cos of the tokens of one passage."""
    before, after = before[0].double().numpy(), after[0].double().numpy()
    return sum(1 - b @ a / (np.linalg.norm(b) * np.linalg.norm(a)) for b, a in zip(before, after, strict=True))


def llama_turns(model, ids):
    """Part -> summed turn of one passage, the layers run by hand."""
    base, found = model.model, {}
    x = base.embed_tokens(torch.tensor([ids]))
    places = base.rotary_emb(x, torch.arange(len(ids))[None])
    for i, layer in enumerate(base.layers):
        a = x + layer.self_attn(layer.input_layernorm(x), attention_mask=None, position_embeddings=places)[0]
        m = a + layer.mlp(layer.post_attention_layernorm(a))
        found |= {f"layers.{i}": turn(x, m), f"layers.{i}.attn": turn(x, a), f"layers.{i}.mlp": turn(a, m)}
        x = m
    return found


def neox_turns(model, ids):
    """The same of a parallel residual: attention is what of the layer is neither stream nor MLP."""
    states, found = model(torch.tensor([ids]), output_hidden_states=True).hidden_states, {}
    for i, layer in enumerate(model.gpt_neox.layers[:-1]):  # after the last comes the final norm
        x, after = states[i], states[i + 1]
        m = layer.mlp(layer.post_attention_layernorm(x))
        found |= {
            f"layers.{i}": turn(x, after),
            f"layers.{i}.attn": turn(x, after - m),
            f"layers.{i}.mlp": turn(x, x + m),
        }
    return found


def expected(turns, model, over):
    sums: dict[str, dict[str, float]] = {}
    tokens = {"law": 49, "code": 27, "rare": 9}
    for ids, group in zip(PASSAGES.ids, PASSAGES.groups, strict=True):
        for part, value in turns(model, ids).items():
            sums.setdefault(part, dict.fromkeys(tokens, 0.0))[group] += value
    means = {part: [value / tokens[group] for group, value in of.items()] for part, of in sums.items()}
    return {part: max(of) if over == "worst" else sum(of) / 3 for part, of in means.items()}


@pytest.mark.parametrize("over", ["mean", "worst"])
@pytest.mark.parametrize("batch_tokens", [1, 64, 10_000])
def test_a_sequential_stream(tiny_folder, batch_tokens, over):
    model = load(tiny_folder("llama"))
    found = block_influence(model, llama_stream(model), PASSAGES, batch_tokens, parallel=False, over=over)
    assert list(found)[:4] == ["layers.0", "layers.0.attn", "layers.0.mlp", "layers.1"]
    assert found == pytest.approx(expected(llama_turns, model, over), rel=1e-4)


@pytest.mark.parametrize("over", ["mean", "worst"])
@pytest.mark.parametrize("batch_tokens", [1, 10_000])
def test_a_parallel_stream(batch_tokens, over):
    model = neox()
    layers = [StreamLayer(layer, layer.attention, layer.mlp) for layer in model.gpt_neox.layers]
    found = block_influence(model, layers, PASSAGES, batch_tokens, parallel=True, over=over)
    wanted = expected(neox_turns, model, over)
    assert {part: found[part] for part in wanted} == pytest.approx(wanted, rel=1e-4)
    assert found.keys() - wanted.keys() == {"layers.2", "layers.2.attn", "layers.2.mlp"}
    sequential = block_influence(model, layers, PASSAGES, batch_tokens, parallel=False, over=over)
    assert abs(sequential["layers.1.mlp"] / found["layers.1.mlp"] - 1) > beyond(1e-2)


def neox():
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = GPTNeoXConfig(
        vocab_size=256, max_position_embeddings=64, initializer_range=0.3, use_parallel_residual=True, **shape
    )
    model = AutoModelForCausalLM.from_config(config)
    torch.random.set_rng_state(state)
    return model.eval().requires_grad_(False)


class Flattening(nn.Module):
    """An MLP that is given its tokens in one row, and hands back a tuple."""

    def __init__(self, inner):
        super().__init__()
        self.inner = Tupled(inner)

    def forward(self, x):
        return self.inner(x.flatten(0, 1))[0].view_as(x)


class Tupled(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs), None


class ByName(nn.Module):
    """A layer that is called with its stream by name and returns a tuple."""

    def __init__(self, inner):
        super().__init__()
        self.inner = Tupled(inner)

    def forward(self, stream, **kwargs):
        return self.inner(hidden_states=stream, **kwargs)[0]


def test_flattened_outputs_tuples_and_streams_by_name(tiny_folder):
    model = load(tiny_folder("llama"))
    wanted = block_influence(model, llama_stream(model), PASSAGES, 64, parallel=False, over="mean")
    layers = []
    for i, layer in enumerate(model.model.layers):
        layer.mlp = Flattening(layer.mlp)
        model.model.layers[i] = ByName(layer)
        layers.append(StreamLayer(model.model.layers[i].inner, layer.self_attn, layer.mlp.inner))
    found = block_influence(model, layers, PASSAGES, 64, parallel=False, over="mean")
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_block_that_adds_nothing_or_little(tiny_folder):
    model = load(tiny_folder("llama"))
    model.model.layers[1].mlp.down_proj.weight.zero_()
    model.model.layers[2].mlp.down_proj.weight.mul_(1e-3)
    found = block_influence(model, llama_stream(model), PASSAGES, 64, parallel=False, over="worst")
    assert found["layers.1.mlp"] == 0
    assert found["layers.1"] == pytest.approx(found["layers.1.attn"])
    assert 0 < found["layers.2.mlp"] < within(1e-5)
    assert found["layers.2.mlp"] == pytest.approx(expected(llama_turns, model, "worst")["layers.2.mlp"], rel=1e-2)


def test_no_more_than_a_few_streams_are_held(tiny_folder):
    model, peaks = load(tiny_folder("llama")), []
    for passages in (2, 2, 24):  # the first warms up what transformers keeps
        with LiveBytes() as live:
            given = token_passages({"a": [40] * passages})
            block_influence(model, llama_stream(model), given, 80, parallel=False, over="mean")
        peaks.append(live.peak)
    with LiveBytes() as live, torch.inference_mode():
        model.model(input_ids=torch.ones(2, 40, dtype=torch.int64), use_cache=False)
    assert peaks[1] == peaks[2]
    assert peaks[2] <= live.peak + 2 * 80 * 32 * 4


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_the_model_is_untouched(tiny_folder, fails):
    model = load(tiny_folder("llama"))
    if fails:
        model.model.layers[2].mlp.up_proj.weight[5, 3] = float("inf")
        with pytest.raises(EvopError, match=r"^layers\.2\.mlp: its influence is not finite; use --dtype"):
            block_influence(model, llama_stream(model), PASSAGES, 64, parallel=False, over="mean")
    else:
        block_influence(model, llama_stream(model), PASSAGES, 64, parallel=False, over="mean")
    for module in model.modules():
        assert not [*module._forward_hooks, *module._forward_pre_hooks, *module._forward_hooks_with_kwargs]


def test_an_unknown_combination_is_refused(tiny_folder):
    model = load(tiny_folder("llama"))
    with pytest.raises(EvopError, match=r"^--importance-over most: unknown; choose one of mean, worst$"):
        block_influence(model, llama_stream(model), PASSAGES, 64, parallel=False, over="most")
