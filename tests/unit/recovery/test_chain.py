"""Chain refit: what it solves, over every architecture, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY, random_ids, ranking, removing

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model
from evop.recovery.blocks import stops_of
from evop.recovery.chain import METHODS, ChainRefit
from evop.recovery.projection import Projection, hadamard
from evop.recovery.solve import NormalSums
from evop.recovery.streams import batches_of
from evop.recovery.text import LearningText
from evop.removal.cut import Cut
from evop.removal.masking import masked
from evop.removal.space import pattern_space
from evop.tokens.passages import TokenPassages
from patterns import Budget


def text_of(count=24, length=40, seed=1):
    ids = tuple(tuple(row) for row in random_ids(count, length, seed).tolist())
    groups = tuple(f"{'ab'[i % 2]}/0" for i in range(count))
    return LearningText(TokenPassages(ids, groups, tuple(map(str, range(count))), (False,) * count))


def hidden(model, ids):
    """What runs into the head, [batch, length, hidden]."""
    with torch.inference_mode():
        return model.base_model(input_ids=ids, use_cache=False).last_hidden_state


def distance(model, cut, ids):
    """Mean squared difference to the dense model in front of the head, first tokens left out."""
    wanted = hidden(model, ids)
    with masked(model, family_of(model.config.model_type), cut):
        return float((hidden(model, ids) - wanted)[:, 1:].square().mean())


@pytest.fixture
def asked(tiny_folder):
    """Makes a tiny model, a cut of it, and what refits it."""

    def ask(name, grain="layer"):
        folder = tiny_folder(name)
        loaded = load_model(Checkpoint.find(folder), "cpu", "float32")
        if reason := loaded.family.refusal(loaded.checkpoint.resolved, grain, "any"):
            pytest.skip(f"{name} refuses grain {grain}: {reason}")
        if grain == "layer":
            space, pattern = removing(folder, "layers.1", grain="layer")
        else:
            space = pattern_space(loaded.checkpoint, grain, protect=())
            pattern = Budget(space, 0.3).draw(np.random.default_rng(1))
        return loaded, ranking(space).cut_of(space, pattern)

    return ask


@pytest.mark.parametrize("grain", ["layer", "subblock", "channel", "mixed"])
@pytest.mark.parametrize("name", TINY)
def test_it_comes_closer_to_the_dense_model(name, grain, asked):
    """Random models say nothing of language, but least squares must bring any of them closer."""
    loaded, cut = asked(name, grain)
    ids = torch.tensor(text_of().passages.ids)
    weights = ChainRefit(loaded, cut, text_of()).weights(0.001)
    before, after = distance(loaded.model, cut, ids), distance(loaded.model, replace(cut, weights=weights), ids)
    assert weights
    assert after < 0.8 * before


@pytest.mark.parametrize("grain", ["layer", "mixed"])
@pytest.mark.parametrize("name", TINY)
def test_what_blocks_read_with_comes_closer_too(name, grain, asked):
    loaded, cut = asked(name, grain)
    ids = torch.tensor(text_of().passages.ids)
    weights = ChainRefit(loaded, cut, text_of(), "both").weights(0.001)
    before, after = distance(loaded.model, cut, ids), distance(loaded.model, replace(cut, weights=weights), ids)
    assert any(weight.reads for weight in weights.values())
    assert after < 0.8 * before


def test_what_a_block_reads_with_by_hand(tiny_folder):
    """Behind a gap: the same numbers as numpy's least squares, of what each matrix is to put out."""
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    model, text = loaded.model, text_of(8, 30)
    cut = Cut(frozenset({("attn", 2)}))
    last = model.model.layers[2].mlp
    read: list = []
    handle = last.gate_proj.register_forward_pre_hook(lambda _m, args: read.append(args[0]))
    found = ChainRefit(loaded, cut, text, "both").weights(0.1)
    before = {("mlp", 1): found["mlp", 1]}  # what was solved for first: it changes what is read here
    read.clear()
    for weights in (None, before):
        with masked(model, loaded.family, Cut() if weights is None else replace(cut, weights=weights)):
            hidden(model, torch.tensor(text.passages.ids))
    handle.remove()
    wanted, a = (each[:, 1:].reshape(-1, each.shape[-1]).double().numpy() for each in read)
    ridge = 0.1 * (a**2).sum() / a.shape[1]
    for name, matrix in (("mlp.gate_proj", last.gate_proj), ("mlp.up_proj", last.up_proj)):
        weight = matrix.weight.double().numpy()
        aim = np.vstack([(wanted - a) @ weight.T, np.zeros((a.shape[1], len(weight)))])
        change = np.linalg.lstsq(np.vstack([a, np.sqrt(ridge) * np.eye(a.shape[1])]), aim, rcond=None)[0].T
        new = found["mlp", 2].reads[name].values.double().numpy()
        assert np.abs(new - weight - change).max() < 1e-4 * np.abs(change).max()
    assert not found["mlp", 1].reads  # in front of the gap it reads what it did


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "opt_post_norm"])
def test_a_bias_that_a_cut_adds_is_not_taken_for_a_norm(name, asked):
    loaded, cut = asked(name, "channel")
    hidden_size = loaded.model.config.hidden_size
    bias = {place: np.linspace(-9, 9, hidden_size, dtype=np.float32) for place in cut.kept}
    cut, ids = replace(cut, bias=bias), torch.tensor(text_of().passages.ids)
    weights = ChainRefit(loaded, cut, text_of()).weights(0.001)
    before, after = distance(loaded.model, cut, ids), distance(loaded.model, replace(cut, weights=weights), ids)
    assert after < 0.8 * before


def test_the_dense_model_is_untouched(asked):
    loaded, cut = asked("gpt2", "mixed")
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    ChainRefit(loaded, cut, text_of()).weights(0.1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.model.state_dict().items())
    assert not any(module._forward_hooks for module in loaded.model.modules())


def test_blocks_before_the_first_change_are_left_alone(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    cut = Cut(frozenset({("attn", 2)}))
    refit = ChainRefit(loaded, cut, text_of())
    assert refit.places == [("mlp", 1), ("mlp", 2), ("attn", 3), ("mlp", 3)]
    assert list(refit.weights(0.1)) == refit.places
    assert ChainRefit(loaded, cut, text_of(), "single").places == [("mlp", 1)]
    assert ChainRefit(loaded, Cut(), text_of()).weights(0.1) == {}
    thinned = Cut(kept={("mlp", 1): (0, 1, 2)})
    assert ChainRefit(loaded, thinned, text_of(), "single").places == [("mlp", 1)]


def test_the_first_layer_may_be_gone(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    cut = Cut(frozenset({("attn", 0), ("mlp", 0)}))
    ids = torch.tensor(text_of().passages.ids)
    weights = ChainRefit(loaded, cut, text_of()).weights(0.001)
    assert min(weights) == ("attn", 1)
    assert distance(loaded.model, replace(cut, weights=weights), ids) < 0.8 * distance(loaded.model, cut, ids)


def test_what_a_gap_gave_is_learned_by_the_block_before_it(tiny_folder):
    """One block before one gap, by hand: the same numbers as numpy's least squares."""
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    model, text = loaded.model, text_of(8, 30)
    cut = Cut(frozenset({("attn", 3), ("mlp", 3)}))
    read, streams, rows = [], [], slice(1, None)
    layer = model.model.layers[2]
    handles = [
        layer.mlp.down_proj.register_forward_hook(lambda _m, args, out: read.append((args[0], out))),
        model.model.layers[3].register_forward_hook(lambda _m, args, out: streams.append((args[0], out))),
    ]
    hidden(model, torch.tensor(text.passages.ids))
    for handle in handles:
        handle.remove()
    (inputs, _), (before, behind) = read[0], streams[0]
    a = inputs[:, rows].reshape(-1, inputs.shape[-1]).double().numpy()
    e = (behind - before)[:, rows].reshape(-1, before.shape[-1]).double().numpy()
    ridge = 0.1 * (a**2).sum() / a.shape[1]
    padded = np.vstack([a, np.sqrt(ridge) * np.eye(a.shape[1])])
    change = np.linalg.lstsq(padded, np.vstack([e, np.zeros((a.shape[1], e.shape[1]))]), rcond=None)[0].T
    found = ChainRefit(loaded, cut, text, "single").weights(0.1)
    assert list(found) == [("mlp", 2)]
    wanted = layer.mlp.down_proj.weight.double().numpy() + change
    assert np.abs(found["mlp", 2].values.double().numpy() - wanted).max() < 1e-4 * np.abs(change).max()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_comes_closer_and_a_strong_ridge_changes_nothing(method, asked):
    loaded, cut = asked("llama", "layer")
    ids = torch.tensor(text_of().passages.ids)
    before = distance(loaded.model, cut, ids)
    assert (
        distance(loaded.model, replace(cut, weights=ChainRefit(loaded, cut, text_of(), method).weights(0.01)), ids)
        < before
    )
    bound = ChainRefit(loaded, cut, text_of(), method).weights(1e9)
    assert distance(loaded.model, replace(cut, weights=bound), ids) == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("channels", [32, 192, 7])
def test_a_hadamard_transform_undoes_itself_and_keeps_lengths(channels):
    values = torch.randn(5, channels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = hadamard(values)
    assert torch.allclose(hadamard(turned), values)
    assert torch.allclose(turned.norm(dim=1), values.norm(dim=1))
    matrix = hadamard(torch.eye(channels, dtype=torch.float64))
    assert set((matrix != 0).sum(1).tolist()) == {channels & -channels}
    assert torch.allclose(matrix, matrix.T)


def test_linearpatch_solves_for_a_factor_of_each_turned_channel(tiny_folder):
    """A block whose output is to be twice as large: every factor is 2, whatever the transform."""
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    layer = loaded.model.model.layers[2]
    projection = Projection.of(loaded, layer, ("mlp", 2), Cut(), "linearpatch")
    read = torch.randn(1, 40, 48, generator=torch.Generator().manual_seed(0))
    out = read @ layer.mlp.down_proj.weight.detach().T
    batch = batches_of(text_of(1, 40), 512)[0]
    projection.add(batch, read, out, (torch.zeros_like(out), out, 2 * out))
    assert torch.allclose(projection.weight(1e-9).values, 2 * projection.old, atol=1e-5)


@pytest.mark.parametrize("method", ["chain", "both"])
def test_what_is_done_is_not_done_again(method, asked):
    loaded, cut = asked("llama", "mixed")
    whole: dict = {}
    first = ChainRefit(loaded, cut, text_of(), method, keep=whole.__setitem__).weights(0.1)
    assert whole == first
    some = dict(list(first.items())[:3])
    ticked: list = []
    again = ChainRefit(loaded, cut, text_of(), method, solved=some, tick=ticked.append).weights(0.1)
    assert all(torch.equal(again[place].values, first[place].values) for place in first)
    for place, weight in first.items():
        assert again[place].reads.keys() == weight.reads.keys()
        assert all(torch.equal(again[place].reads[name].values, read.values) for name, read in weight.reads.items())
    assert all(again[place] is some[place] for place in some)
    assert set(first) - set(some) <= set(ticked)


def test_weights_are_rounded_as_they_are_stored(tiny_folder, tmp_path):
    from tiny import build

    loaded = load_model(Checkpoint.find(build("llama", tmp_path / "half", dtype=torch.bfloat16)), "cpu", "float32")
    weights = ChainRefit(loaded, Cut(frozenset({("mlp", 1)})), text_of()).weights(0.1)
    assert {weight.values.dtype for weight in weights.values()} == {torch.bfloat16}


def test_sums_of_batches_are_the_sums_of_all():
    rng = torch.Generator().manual_seed(0)
    inputs, errors = torch.randn(50, 7, generator=rng), torch.randn(50, 3, generator=rng)
    weights = torch.rand(50, generator=rng)
    whole, parts = NormalSums("whole"), NormalSums("parts")
    whole.add(inputs, errors, weights)
    for at in (slice(0, 20), slice(20, 50)):
        parts.add(inputs[at], errors[at], weights[at])
    assert torch.allclose(whole.solved(0.3), parts.solved(0.3), atol=1e-6)
    doubled = NormalSums("doubled")
    doubled.add(torch.cat([inputs, inputs[:5]]), torch.cat([errors, errors[:5]]), torch.ones(55))
    counted = NormalSums("counted")
    counted.add(inputs, errors, torch.tensor([2.0] * 5 + [1.0] * 45))
    assert torch.allclose(doubled.solved(0.0), counted.solved(0.0), atol=1e-5)


def test_a_singular_problem_is_solved_and_an_infinite_one_refused():
    sums = NormalSums("layers.3.mlp")
    inputs = torch.ones(10, 4)
    sums.add(inputs, torch.ones(10, 2), torch.ones(10))
    change = sums.solved(0.0)
    assert torch.isfinite(change).all()
    assert torch.allclose(inputs.double() @ change, torch.ones(10, 2, dtype=torch.float64), atol=1e-4)
    sums.add(torch.full((1, 4), torch.inf), torch.ones(1, 2), torch.ones(1))
    with pytest.raises(EvopError, match=r"layers\.3\.mlp: its inputs are not finite; use --dtype"):
        sums.solved(0.1)


def test_every_domain_counts_alike_and_the_anchor_as_many_tokens_as_it_has():
    ids = tuple((1,) * n for n in (11, 11, 31, 6))
    text = LearningText(TokenPassages(ids, ("a/0", "a/1", "b/0", "anchor"), tuple("wxyz"), (False,) * 4))
    scored = np.array([10, 10, 30, 5])
    sums = {name: (text.weights * scored)[[d == name for d in text.domains]].sum() for name in ("a", "b", "anchor")}
    assert sums == {"a": pytest.approx(25), "b": pytest.approx(25), "anchor": pytest.approx(5)}


def test_a_stream_that_is_not_finite_is_one_line(asked):
    loaded, cut = asked("llama")
    loaded.model.base_model.embed_tokens.weight[:, 0] = torch.nan
    with pytest.raises(EvopError, match=r"what goes through \S+ is not finite; use --dtype"):
        ChainRefit(loaded, cut, text_of()).weights(0.1)


def test_steps_of_a_parallel_model_are_layers():
    cut = Cut(frozenset({("attn", 1), ("attn", 2), ("mlp", 2)}))
    stops = stops_of(cut, 4, parallel=True)
    assert [(stop.places, stop.first, stop.end, stop.wounded) for stop in stops] == [
        ((("attn", 0), ("mlp", 0)), 0, 1, False),
        ((("mlp", 1),), 1, 3, True),
        ((("attn", 3), ("mlp", 3)), 3, 4, False),
    ]


def test_a_token_with_massive_activations_does_not_outweigh_the_others(asked):
    """One token of a thousand, on which the layer that leaves puts out far more than on all others."""
    loaded, cut = asked("llama")
    text, model = text_of(), loaded.model
    ids = [list(row) for row in text.passages.ids]
    loud = next(token for token in range(model.config.vocab_size) if not any(token in row for row in ids))
    with torch.no_grad():  # channel 0 of the stream is the loud token's alone
        model.get_input_embeddings().weight[:, 0] = 0
        model.get_input_embeddings().weight[loud, 0] = 10
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = layer.mlp.down_proj.weight[0] = 0
        model.model.layers[1].mlp.up_proj.weight[:, 0] = 1000
    plain = ChainRefit(loaded, cut, text).weights(0.001)
    ids[3][7] = loud
    shaken = LearningText(replace(text.passages, ids=tuple(map(tuple, ids))))
    found = ChainRefit(loaded, cut, shaken).weights(0.001)
    quiet = torch.tensor(text.passages.ids)
    after, wanted = (distance(model, replace(cut, weights=each), quiet) for each in (found, plain))
    assert after < 1.1 * wanted
