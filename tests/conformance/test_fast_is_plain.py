"""Law 2: the evaluator agrees with each pattern run alone, one passage at a time, within 1e-5 nats per token."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from evop.evaluator import Evaluator
from evop.fitness.fidelities import fidelities_of
from evop.fitness.sample import Sample
from evop.fitness.store import LossStore
from evop.losses import METERS
from evop.losses.loss import Loss
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import corpus_files, model_dir
from evop.removal.ranking import Ranking
from evop.removal.space import GRAINS, THINNED, pattern_space
from evop.tokens.passages import TokenPassages
from patterns import Budget

HEAD, HEADS_A_GROUP, GROUPS, WIDTH = 32, 3, 2, 512
"""Of the reference model: numbers of a head, heads of a key/value group, groups, channels."""
REL = {"nll": 0, "kl": 0, "reconstruction": 1e-5}
"""What rounding explains beside 1e-5 nats: squared logits are summed over a vocabulary, to thousands a token."""


@pytest.fixture(scope="module")
def loaded():
    return load_model(Checkpoint.find(model_dir()), "cpu", "float32")


@pytest.fixture(scope="module")
def passages(loaded):
    """Passages of very different length of two domains."""
    import pandas as pd

    rows = []
    for domain in ("code_python", "math_word"):
        for n, text in enumerate(pd.read_parquet(corpus_files()[domain])["text"][:5]):
            rows.append((tuple(loaded.tokenizer(text[: 40 + 150 * n], verbose=False)["input_ids"]), domain))
    rows.sort(key=lambda row: len(row[0]))
    return TokenPassages(
        tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(map(str, range(10))), (False,) * 10
    )


def ranked(space, fills):
    """Units in random order; where wanted, something that stands in for those that leave."""
    if space.grain not in THINNED:
        return Ranking()
    rng, wide = np.random.default_rng(5), {"attn": GROUPS * HEADS_A_GROUP * HEAD, "mlp": WIDTH}
    ranking = Ranking.random(space, seed=3)
    fill = {part.name: rng.normal(0, 0.3, wide[part.kind]).astype(np.float32) for part in space.parts}
    return replace(ranking, fill=fill) if fills else ranking


def plain_model(loaded, space, ranking, pattern):
    """Written apart from the evaluator: layers really deleted, columns of weights set to zero, biases added."""
    model, gone = copy.deepcopy(loaded.model), []
    for part, level in zip(space.parts, pattern.levels, strict=True):
        layer = model.model.layers[part.layer]
        if part.kind == "layer":
            gone += [part.layer] * level
            continue
        out = layer.self_attn.o_proj if part.kind == "attn" else layer.mlp.down_proj
        size = HEADS_A_GROUP * HEAD if part.kind == "attn" else 1
        if level == part.top:
            out.weight = torch.nn.Parameter(torch.zeros_like(out.weight))
        elif level:
            first = sorted(enumerate(ranking.importance[part.name]), key=lambda pair: pair[1])[: part.units[level]]
            columns = [unit * size + i for unit, _ in first for i in range(size)]
            dense = out.weight.detach().double()
            if ranking.fill:
                mean = torch.from_numpy(ranking.fill[part.name]).double()
                added = dense[:, columns] @ mean[columns]
                out.bias = torch.nn.Parameter(added.to(torch.float16).float())  # as the checkpoint stores it
            dense[:, columns] = 0
            out.weight = torch.nn.Parameter(dense.float())
    model.model.layers = torch.nn.ModuleList(layer for i, layer in enumerate(model.model.layers) if i not in gone)
    model.config.num_hidden_layers = len(model.model.layers)
    return model


def logits(model, ids):
    """What the model says at each token but the last: [length - 1, vocabulary], float64."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].double()


@pytest.fixture(scope="module")
def dense_logits(loaded, passages):
    return {ids: logits(loaded.model, ids) for ids in passages.ids}


def plain(dense_logits, pruned, ids):
    """Summed loss of one passage, by every meter of text."""
    found, dense = logits(pruned, ids), dense_logits[ids]
    chances, dense_chances = found.softmax(-1), dense.softmax(-1)
    nll = -chances[range(len(ids) - 1), ids[1:]].log().sum().item()
    divergence = (dense_chances * (dense_chances / chances).log_()).sum().item()
    return {"nll": nll, "kl": divergence, "reconstruction": (found - dense).square_().sum().item()}


def asked(space):
    """The dense model, and what random draws remove; thinned parts among it."""
    budget = Budget(space, 0.1 if space.grain == "head" else 0.3)
    drawn = [space.dense, *(budget.draw(np.random.default_rng(seed)) for seed in range(2))]
    if space.grain in THINNED:
        assert all(space.thinned(pattern) for pattern in drawn[1:])
    return drawn


CASES = [
    *((grain, "nll", False, batch_size) for grain in GRAINS for batch_size in (None, 1, 3)),
    *((grain, "kl", False, None) for grain in GRAINS),
    *((grain, loss, True, 3) for grain in THINNED for loss in METERS),
]


@pytest.fixture(scope="module")
def run_alone(loaded, passages, dense_logits):
    """Summed loss of every passage under a pattern of a space, run alone: once for all meters and sizes of batch."""
    known = {}

    def losses(space, ranking, pattern, loss):
        key = (space.grain, bool(ranking.fill), pattern)
        if key not in known:
            pruned = plain_model(loaded, space, ranking, pattern)
            known[key] = [plain(dense_logits, pruned, ids) for ids in passages.ids]
        return np.array([losses[loss] for losses in known[key]])

    return losses


@pytest.mark.parametrize(("grain", "loss", "fills", "batch_size"), CASES)
def test_the_evaluator_agrees_with_each_pattern_run_alone(loaded, passages, run_alone, grain, loss, fills, batch_size):
    space = pattern_space(loaded.checkpoint, grain, compensate=fills)
    ranking, patterns = ranked(space, fills), asked(space)
    evaluator = Evaluator.of(loaded, space, 256, batch_size, Loss.named(loss)).with_ranking(ranking)
    for pattern, table in zip(patterns, evaluator.losses(patterns, passages), strict=True):
        expected = run_alone(space, ranking, pattern, loss)
        assert table.loss / passages.scored == pytest.approx(expected / passages.scored, abs=1e-5, rel=REL[loss])
        assert list(table.counts) == [len(ids) - 1 for ids in passages.ids]
        for group, mean in table.by_group.items():
            mine = [i for i, name in enumerate(passages.groups) if name == group]
            assert mean == pytest.approx(expected[mine].sum() / passages.scored[mine].sum(), abs=1e-5, rel=REL[loss])


@pytest.mark.parametrize("loss", METERS)
def test_a_larger_fidelity_goes_on_where_a_smaller_one_ended(loaded, passages, dense_logits, loss, tmp_path):
    """Measured in steps or at once, from this search's measurements or another's: the same numbers, bit for bit."""
    space = pattern_space(loaded.checkpoint, "mixed")
    ranking, fidelities = ranked(space, False), fidelities_of(passages)
    evaluator = Evaluator.of(loaded, space, 256, loss=Loss.named(loss)).with_ranking(ranking)
    assert len(fidelities) > 1
    (_, pattern, _) = asked(space)
    stepwise = Sample(evaluator, passages, fidelities, LossStore(tmp_path, {}))
    steps = [stepwise.losses(pattern, fidelity) for fidelity in fidelities]
    at_once = Sample(evaluator, passages, fidelities)
    shared = Sample(evaluator, passages, fidelities, LossStore(tmp_path, {}))
    assert [at_once.losses(pattern, fidelity) for fidelity in reversed(fidelities)] == steps[::-1]
    assert [shared.losses(pattern, fidelity) for fidelity in fidelities] == steps
    (file,) = tmp_path.iterdir()
    assert len(file.read_text().splitlines()) == 1 + len(fidelities)  # each increment was measured once, by the first
    pruned = plain_model(loaded, space, ranking, pattern)
    alone = np.array([plain(dense_logits, pruned, ids)[loss] for ids in passages.ids])
    for fidelity, losses in zip(fidelities, steps, strict=True):
        for group, mean in losses.items():
            mine = [i for i, name in enumerate(passages.groups[: fidelity.passages]) if name == group]
            assert mean == pytest.approx(alone[mine].sum() / passages.scored[mine].sum(), abs=1e-5, rel=REL[loss])


def test_removing_something_changes_the_loss(loaded, passages):
    """The law would hold for a mask that does nothing; this one does something."""
    space = pattern_space(loaded.checkpoint, "subblock")
    evaluator = Evaluator.of(loaded, space, 256)
    dense, cut = evaluator.losses([space.dense, space.pattern(["layers.0.mlp"])], passages)
    assert min(cut.by_group[group] - dense.by_group[group] for group in dense.by_group) > 1.0


def test_what_stands_in_for_removed_units_changes_the_loss(loaded, passages):
    space = pattern_space(loaded.checkpoint, "channel", compensate=True)
    (_, pattern, _) = asked(space)
    with_bias, without = (
        Evaluator.of(loaded, space, 256).with_ranking(ranked(space, fills)).losses([pattern], passages)[0]
        for fills in (True, False)
    )
    assert np.median(np.abs(with_bias.loss - without.loss) / passages.scored) > 0.01
