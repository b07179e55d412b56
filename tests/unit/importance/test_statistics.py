"""Statistics of inputs and gates against autograd gates, one passage at a time; memory; the model afterwards."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from live_bytes import LiveBytes
from sites import gpt2, gpt2_sites, llama_sites, token_passages
from tiny import load
from tolerance import within
from torch import nn
from torch.nn import functional

from evop.errors import EvopError
from evop.importance.statistics import gather

PASSAGES = token_passages({"law": [30, 7, 12], "code": [2, 25], "rare": [9]})
EVERYTHING = 10_000
"""Tokens a batch that hold all passages at once; 1 gives every passage a batch of its own."""


@pytest.fixture(params=["llama", "llama_biased", "qwen3", "gpt2"])
def model(request, tiny_folder):
    return gpt2() if request.param == "gpt2" else load(tiny_folder(request.param))


def sites_of(model):
    return gpt2_sites(model) if model.config.model_type == "gpt2" else llama_sites(model)


class Gated(nn.Module):
    """A projection behind a gate on each of its inputs, which keeps what it was given."""

    def __init__(self, inner, features):
        super().__init__()
        self.inner, self.inputs = inner, []
        self.gate = nn.Parameter(torch.ones(features))

    def forward(self, x):
        self.inputs.append(x.detach().double().numpy()[0])
        return self.inner(x * self.gate)


def plain(model, group):
    """Part -> (every input [tokens, F], gate gradient [F]) of one group, one passage at a time, one graph."""
    model = copy.deepcopy(model)
    gates = {}
    for site in sites_of(model):
        gates[site.part] = Gated(site.out, site.features)
        for owner in list(model.modules()):
            for name, module in owner.named_children():
                if module is site.out and not isinstance(owner, Gated):
                    setattr(owner, name, gates[site.part])
    total, scored = torch.zeros(()), 0
    for ids, whose in zip(PASSAGES.ids, PASSAGES.groups, strict=True):
        if whose == group:
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
            total = total + functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="sum")
            scored += len(ids) - 1
    (total / scored).backward()
    return {part: (np.concatenate(gated.inputs), gated.gate.grad.double().numpy()) for part, gated in gates.items()}


def close(found, expected, share=1e-5):
    """Equal up to a share of the largest value."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= within(share) * np.abs(expected).max()


@pytest.mark.parametrize("batch_tokens", [1, 64, EVERYTHING])
def test_statistics_are_those_of_every_passage_alone(model, batch_tokens):
    found = gather(model, sites_of(model), PASSAGES, batch_tokens, gradients=True)
    assert found.groups == ("law", "code", "rare")
    assert found.tokens.tolist() == [49, 27, 9]
    for g, group in enumerate(found.groups):
        for part, (inputs, gradient) in plain(model, group).items():
            there = found.sites[part]
            close(there.mean[g], inputs.mean(axis=0))
            close(there.square[g], (inputs**2).mean(axis=0))
            close(there.rms[g], np.sqrt((inputs**2).mean(axis=0)))
            close(there.variance[g], inputs.var(axis=0))
            close(there.gradient[g], gradient, 1e-4)
            close(there.square_sum[g], (inputs**2).sum(axis=0) / PASSAGES.groups.count(group))


def test_forward_alone_gives_the_same_without_gradients(model):
    both = gather(model, sites_of(model), PASSAGES, 64, gradients=True)
    alone = gather(model, sites_of(model), PASSAGES, 64, gradients=False)
    for part, there in alone.sites.items():
        assert there.gradient is None
        close(there.mean, both.sites[part].mean, 1e-6)
        close(there.variance, both.sites[part].variance, 1e-6)


def test_batches_change_nothing(model):
    one, many = (gather(model, sites_of(model), PASSAGES, n, gradients=True) for n in (1, EVERYTHING))
    for part, there in one.sites.items():
        for name in ("mean", "variance", "gradient"):
            close(getattr(many.sites[part], name), getattr(there, name), 1e-5)


def test_a_large_mean_does_not_drown_the_variance(tiny_folder):
    model = load(tiny_folder("llama_biased"))
    for layer in model.model.layers:
        layer.self_attn.v_proj.bias.fill_(3000.0)
    found = gather(model, llama_sites(model), PASSAGES, 64, gradients=False)
    for g, group in enumerate(found.groups):
        for part, (inputs, _) in plain(model, group).items():
            if part == "layers.0.attn":  # the first: later ones read another rounding of the stream
                assert abs(found.sites[part].mean[g]).min() > 100 * inputs.std(axis=0).max()
                close(found.sites[part].variance[g], inputs.var(axis=0), 1e-3)


def test_projections_that_are_given_flattened_tokens(tiny_folder):
    class Flattening(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x.flatten(0, 1)).view_as(x)

    model = load(tiny_folder("llama"))
    expected = gather(model, llama_sites(model), PASSAGES, EVERYTHING, gradients=True)
    sites = llama_sites(model)
    for layer in model.model.layers:
        layer.mlp = Flattening(layer.mlp)
    found = gather(model, sites, PASSAGES, EVERYTHING, gradients=True)
    for part, there in expected.sites.items():
        close(found.sites[part].variance, there.variance)
        close(found.sites[part].gradient, there.gradient)


@pytest.mark.parametrize("gradients", [False, True])
def test_memory_is_that_of_one_batch_however_many_passages(tiny_folder, gradients):
    model = load(tiny_folder("llama"))
    peaks = []
    for passages in (2, 2, 24):  # the first warms up what transformers keeps
        with LiveBytes() as live:
            gather(model, llama_sites(model), token_passages({"a": [40] * passages}), 80, gradients=gradients)
        peaks.append(live.peak)
    assert peaks[1] == peaks[2] > 80 * 32 * 4


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_the_model_is_untouched(model, gradients, fails):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = torch.tensor([PASSAGES.ids[0]])
    before, training = model(input_ids=ids).logits, [module.training for module in model.modules()]
    if fails:  # a token beyond the vocabulary, in the last batch
        passages = token_passages({"a": [30, 20]}).take([0, 1])
        passages = type(passages)((passages.ids[0], (1, 10**6)), passages.groups, ("0", "1"), (False, False))
        with pytest.raises(IndexError):
            gather(model, sites_of(model), passages, 1, gradients=gradients)
    else:
        gather(model, sites_of(model), PASSAGES, 64, gradients=gradients)
    for module in model.modules():
        assert not [*module._forward_hooks, *module._forward_pre_hooks, *module._backward_hooks]
    assert [module.training for module in model.modules()] == training
    assert all(not weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(model(input_ids=ids).logits, before)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_weights_that_ask_for_gradients_get_none(tiny_folder):
    model = load(tiny_folder("llama"))
    expected = gather(model, llama_sites(model), PASSAGES, 64, gradients=True)
    model.requires_grad_(True)
    with torch.inference_mode():  # the caller's mode does not matter either
        found = gather(model, llama_sites(model), PASSAGES, 64, gradients=True)
    assert all(weight.grad is None for weight in model.parameters())
    for part, there in expected.sites.items():
        assert np.array_equal(found.sites[part].gradient, there.gradient)


@pytest.mark.parametrize("gradients", [False, True])
def test_inputs_that_are_not_finite_are_refused(tiny_folder, gradients):
    model = load(tiny_folder("llama"))
    model.model.layers[2].mlp.up_proj.weight[5, 3] = float("inf")
    with pytest.raises(EvopError, match=r"layers\.2\.mlp: its input is not finite; use --dtype"):
        gather(model, llama_sites(model), PASSAGES, 64, gradients=gradients)


def test_gradients_that_are_not_finite_are_refused(tiny_folder):
    model = load(tiny_folder("llama"))
    model.model.norm.weight[3] = float("nan")
    with pytest.raises(EvopError, match=r"layers\.3\.mlp: its gradient is not finite; use --dtype"):
        gather(model, llama_sites(model), PASSAGES, 64, gradients=True)
