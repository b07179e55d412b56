"""Every importance metric against its formula written out with whole matrices; how groups are combined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sites import gpt2, gpt2_sites, llama_sites, token_passages
from tiny import load
from tolerance import within
from torch import nn

from evop.errors import EvopError
from evop.importance import IMPORTANCES, OVERS, importance_of, unit_importance
from evop.importance.metric_file import metric_named
from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics, Statistics, gather
from evop.metrics.published import PUBLISHED

PASSAGES = token_passages({"law": [30, 12], "code": [5, 25], "rare": [9]})


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2"])
def case(request, tiny_folder):
    """A model, its sites, their statistics."""
    model = gpt2() if request.param == "gpt2" else load(tiny_folder(request.param))
    sites = gpt2_sites(model) if request.param == "gpt2" else llama_sites(model)
    return model, sites, gather(model, sites, PASSAGES, 64, gradients=True, of_weights=True)


def inputs_by_group(model, site):
    """Group -> every input of the projection, [tokens, F] float64, one passage at a time."""
    seen: dict[str, list[np.ndarray]] = {}
    for ids, group in zip(PASSAGES.ids, PASSAGES.groups, strict=True):
        keep = site.out.register_forward_pre_hook(
            lambda _module, args, group=group: seen.setdefault(group, []).append(args[0][0].double().numpy())
        )
        model(input_ids=torch.tensor([ids]), use_cache=False)
        keep.remove()
    return {group: np.concatenate(arrays) for group, arrays in seen.items()}


def weight_gradients(model, site):
    """Group -> dL/dW of the projection by autograd, L the group's mean loss; [in, out] float64."""
    found = {}
    site.out.weight.requires_grad_(True)
    for group in dict.fromkeys(PASSAGES.groups):
        own = [ids for ids, whose in zip(PASSAGES.ids, PASSAGES.groups, strict=True) if whose == group]
        losses = [model(input_ids=torch.tensor([i]), labels=torch.tensor([i])).loss * (len(i) - 1) for i in own]
        mean = torch.stack(losses).sum() / sum(len(ids) - 1 for ids in own)
        found[group] = columns(site, torch.autograd.grad(mean, site.out.weight)[0])
    site.out.weight.requires_grad_(False)
    return found


def squared_gradients(model, site):
    """Mean over groups of the mean over passages of the squared gradient of a passage's mean loss; [in, out]."""
    site.out.weight.requires_grad_(True)
    of_group: dict[str, list[np.ndarray]] = {}
    for ids, group in zip(PASSAGES.ids, PASSAGES.groups, strict=True):
        loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss
        gradient = torch.autograd.grad(loss, site.out.weight)[0]
        of_group.setdefault(group, []).append(columns(site, gradient) ** 2)
    site.out.weight.requires_grad_(False)
    return np.mean([np.mean(own, axis=0) for own in of_group.values()], axis=0)


def columns(site, weight):
    """[F, out] float64: what each input is multiplied with."""
    return (weight.T if isinstance(site.out, nn.Linear) else weight).detach().double().numpy()


def formula(metric, model, site):
    """Values one by one; [groups, values], those of a unit side by side."""
    weight = columns(site, site.out.weight)
    if metric == "magnitude":
        whole = torch.cat(site.coupled, dim=1).double().numpy()
        return np.array([[np.sqrt((row**2).sum()) for row in whole]])
    if metric == "taylor":
        products = [weight * gradient for gradient in weight_gradients(model, site).values()]
        return np.array([[abs(column.sum()) for column in product] for product in products])
    if metric == "pruner-zero":
        gradient = np.sqrt(squared_gradients(model, site))
        scaled = (gradient - gradient.min()) / (gradient.max() - gradient.min())
        return np.array([(weight**2 * scaled).mean(axis=1)])
    found = []
    for inputs in inputs_by_group(model, site).values():
        if metric == "wanda":
            each = [np.mean(np.abs(weight[j]) * np.sqrt(np.mean(inputs[:, j] ** 2))) for j in range(len(weight))]
        elif metric == "ria":
            size = np.abs(weight)
            relative = size / size.sum(axis=0, keepdims=True) + size / size.sum(axis=1, keepdims=True)
            each = [np.mean(relative[j]) * np.mean(inputs[:, j] ** 2) ** 0.25 for j in range(len(weight))]
        else:
            power = 2 if site.part.endswith("attn") else 1
            each = [(inputs[:, j].var() * np.linalg.norm(weight[j]) ** 2) ** power for j in range(len(weight))]
        found.append(each)
    return np.array(found)


@pytest.mark.parametrize("over", OVERS)
@pytest.mark.parametrize("metric", sorted(PUBLISHED))
def test_each_metric_is_its_formula(case, metric, over):
    model, sites, statistics = case
    found = unit_importance(metric, over, sites, statistics, 0)
    assert list(found) == [site.part for site in sites]
    for site in sites:
        values = formula(metric, model, site)
        shares = (values / values.mean(axis=1)[:, None]).reshape(len(values), site.units, -1)
        if over == "worst":
            expected = np.array([max(unit, key=np.mean) for unit in shares.swapaxes(0, 1)])
        else:
            expected = np.mean(shares, axis=0)
        np.testing.assert_allclose(found[site.part], expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("metric", IMPORTANCES)
def test_what_every_metric_gives(case, metric):
    _, sites, statistics = case
    given = statistics if importance_of(metric).needs_data else None
    for site in sites:
        values = unit_importance(metric, "mean", sites, given, 3)[site.part]
        assert len(values) == site.units
        assert values.size == (site.units if metric in ("magnitude", "random") else site.features)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.mean() == pytest.approx(1)
        worst = unit_importance(metric, "worst", sites, given, 3)[site.part]
        assert (worst.mean(axis=1) >= values.mean(axis=1) - within(1e-12)).all()


@pytest.mark.parametrize("metric", IMPORTANCES)
def test_statistics_without_gradients_do_where_none_are_needed(case, metric):
    model, sites, statistics = case
    without = gather(model, sites, PASSAGES, 64, gradients=False)
    if not importance_of(metric).needs_gradients:
        expected = unit_importance(metric, "mean", sites, statistics, 0)
        for part, values in unit_importance(metric, "mean", sites, without, 0).items():
            np.testing.assert_allclose(values, expected[part], rtol=1e-5)
    else:
        with pytest.raises(AssertionError):
            unit_importance(metric, "mean", sites, without, 0)


def test_random_depends_on_seed_and_part_alone(case):
    _, sites, _ = case
    states = np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()  # noqa: NPY002
    first = unit_importance("random", "mean", sites, None, 0)
    again = unit_importance("random", "mean", sites[::-1], None, 0)
    other = unit_importance("random", "mean", sites, None, 1)
    assert states == (np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist())  # noqa: NPY002
    mlps = [site.part for site in sites if site.part.endswith("mlp")]
    for part in first:
        assert np.array_equal(first[part], again[part])
        assert not np.array_equal(first[part], other[part])
    assert not np.array_equal(first[mlps[0]], first[mlps[1]])


@pytest.mark.parametrize("metric", ["wanda", "flap"])
def test_worst_keeps_what_one_rare_group_needs(tiny_folder, metric):
    """Channel 5 of the first MLP answers to token 7 alone, which only one of twelve groups ever shows."""
    model = load(tiny_folder("llama"))
    layer, embedding = model.model.layers[0], model.model.embed_tokens.weight
    layer.self_attn.o_proj.weight.zero_()
    embedding[:, 0] = 0
    embedding[7, 0] = 1
    for projection in (layer.mlp.gate_proj, layer.mlp.up_proj):
        projection.weight[5] = 0
        projection.weight[5, 0] = 2.5
    plain = token_passages({f"common/{i}": [24] for i in range(11)} | {"rare": [24]})
    ids = tuple(
        tuple(7 if group == "rare" and at % 4 == 2 else max(token, 8) for at, token in enumerate(row))
        for row, group in zip(plain.ids, plain.groups, strict=True)
    )
    site = llama_sites(model)[1]
    statistics = gather(model, [site], replace(plain, ids=ids), 256, gradients=False)
    ranks: dict[str, int] = {}
    for over in OVERS:
        values = unit_importance(metric, over, [site], statistics, 0)[site.part]
        ranks[over] = int((values > values[5]).sum())  # 0: the last to leave
    assert ranks["worst"] < 12 < 24 < ranks["mean"]


def test_a_part_that_does_nothing_has_no_importance(tiny_folder):
    model = load(tiny_folder("llama"))
    model.model.layers[1].mlp.down_proj.weight.zero_()
    statistics = gather(model, llama_sites(model), PASSAGES, 64, gradients=True)
    for metric in ("wanda", "flap", "taylor"):
        values = unit_importance(metric, "worst", llama_sites(model), statistics, 0)
        assert not values["layers.1.mlp"].any()
        assert values["layers.2.mlp"].any()


def test_half_precision_weights_are_summed_in_full():
    weight = torch.full((64, 48), 300.0, dtype=torch.float16)  # its square is beyond fp16
    site = Site("layers.0.mlp", nn.Linear(48, 64, dtype=torch.float16), 48, (weight.T,))
    site.out.weight.data.copy_(weight)
    one = np.ones((1, 48))
    statistics = Statistics(("a",), np.array([1]), {site.part: SiteStatistics(one, one, one)})
    for metric in ("magnitude", "flap", "wanda"):
        assert unit_importance(metric, "mean", [site], statistics, 0)[site.part] == pytest.approx(np.ones((48, 1)))


@pytest.mark.parametrize("metric", ["magnitude", "wanda", "flap"])
def test_weights_that_are_not_finite_are_refused(tiny_folder, metric):
    model = load(tiny_folder("llama"))
    sites = llama_sites(model)
    statistics = gather(model, sites, PASSAGES, 64, gradients=False)
    model.model.layers[1].mlp.down_proj.weight[4, 2] = float("nan")
    with pytest.raises(EvopError, match=r"layers\.1\.mlp: a weight is not finite; use --dtype"):
        unit_importance(metric, "mean", llama_sites(model), statistics, 0)


@pytest.mark.parametrize("metric", ["wanda", "flap", "taylor"])
def test_statistics_that_are_not_finite_are_refused(case, metric):
    _, sites, statistics = case
    site = sites[1]
    there = statistics.sites[site.part]
    bad = np.full_like(there.mean, np.nan)
    broken = replace(statistics, sites={**statistics.sites, site.part: SiteStatistics(bad, bad, bad)})
    with pytest.raises(EvopError, match=rf"--importance {metric}: {site.part} has units whose importance is not"):
        unit_importance(metric, "mean", sites, broken, 0)


def test_unknown_names_are_refused(case):
    _, sites, statistics = case
    with pytest.raises(EvopError, match=r"^--importance best: unknown; choose one of magnitude, wanda, flap, taylor"):
        unit_importance("best", "mean", sites, statistics, 0)
    with pytest.raises(EvopError, match=r"^--importance-over best: unknown; choose one of mean, worst$"):
        unit_importance("wanda", "best", sites, statistics, 0)


def test_what_a_person_names_is_a_metric(case, tmp_path):
    """A name, its expression, and a file that holds it are one metric."""
    _, sites, statistics = case
    (tmp_path / "wanda.txt").write_text("abs(W)*sqrt(X)\n")
    assert metric_named("wanda") == "wanda"
    lines = {metric_named(asked) for asked in ("abs(W)*sqrt(X)", "|W| * sqrt(X)", str(tmp_path / "wanda.txt"))}
    assert lines == {"|W| * sqrt(X)"}
    named, written = (unit_importance(line, "mean", sites, statistics, 0) for line in ("wanda", *lines))
    assert all(np.array_equal(named[part], written[part]) for part in named)
    with pytest.raises(EvopError, match=r"gone\.json: no such file; expected evop\.metric/3"):
        metric_named(str(tmp_path / "gone.json"))


def test_a_metric_below_zero_ranks_as_it_is(case):
    model, sites, _ = case
    law = gather(model, sites, PASSAGES.only(["law"]), 64, gradients=False)
    below, above = (unit_importance(line, "mean", sites, law, 0) for line in ("-X", "X"))
    for part in below:
        assert below[part].min() == 0
        assert np.array_equal(np.argsort(below[part], axis=None), np.argsort(-above[part], axis=None))
