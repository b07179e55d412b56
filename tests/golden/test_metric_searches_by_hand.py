"""OptiShear and Pruner-Zero as papers and releases have them: masks by hand, quirks, the numbers of a search."""

import inspect
import math

import numpy as np
import pytest
import torch
from deap import gp
from optuna.samplers import NSGAIIISampler

from evop.importance.statistics import SiteStatistics
from evop.metrics.meta import AXES, meta_metric
from evop.metrics.methods import Asked, make_method, optishear, pruner_zero
from evop.metrics.methods.pruner_zero import metric_of_tree
from evop.metrics.parse import parse
from evop.metrics.simplify import simplified
from evop.metrics.values import value
from evop.removal.sparsity import Sparsity

W = torch.tensor([[3.0, -4.0, 0.0, 1.0], [0.5, 0.25, -2.0, 1.0]])
X = torch.tensor([[4.0, 1.0, 9.0, 16.0]])
G = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 4.0, 3.0, 2.0]])
TERMINALS = {"W": W, "X": X, "G": G, "S": X}


@pytest.fixture(scope="module")
def kept():
    """Which weights of every row stay."""
    return lambda scores, asked: Sparsity.read(asked).stays(scores, 0)


def test_what_leaves_by_optishears_metric(kept):
    """Wanda's corner of the space: |W| times 2, 1, 3, 4 is 6 4 0 4 and 1 0.25 6 4; of equals the first leaves."""
    scores = value(meta_metric("no_op", "no_op", "no_coe", "no_coe"), TERMINALS)
    assert scores.tolist() == [[6, 4, 0, 4], [1, 0.25, 6, 4]]
    assert kept(scores, 0.5).tolist() == [[True, False, False, True], [False, False, True, True]]
    assert kept(scores, "2:4").tolist() == kept(scores, 0.5).tolist()
    # Rows sum to 8 and 3.75, columns to 3.5, 4.25, 2, 2; the sum of X is 30, its mean 7.5.
    relative = value(meta_metric("pow", "sqrt", "relative_sum", "to_mean_scalar"), TERMINALS)
    assert relative[0].tolist() == pytest.approx([
        9 / 11.5 * math.sqrt(2) / 7.5, 16 / 12.25 / 7.5, 0, 1 / 10 * 2 / 7.5
    ])  # fmt: skip


def test_optishears_zero_weight_stays_where_the_release_divides_it_by_itself(kept):
    """Its A / A is no number there, and what is no number sorts behind everything: the 0 stays, and 4 leaves."""
    quirk = value(meta_metric("no_op", "no_op", "no_coe", "no_coe", faithful=True), TERMINALS)
    assert torch.isnan(quirk[0, 2])
    assert kept(quirk, 0.5).tolist()[0] == [True, False, True, False]


def test_optishears_logarithm_of_nothing_leaves_first(kept):
    """Its guard of log 0 has no effect: minus infinity is the least of all, beside the negative values below 1."""
    scores = value(meta_metric("log", "no_op", "no_coe", "no_coe"), TERMINALS)
    assert scores[0].tolist() == pytest.approx([math.log(3) * 2, math.log(4), -math.inf, 0])
    assert kept(scores, 0.25).tolist()[0] == [True, True, False, True]


def test_optishears_scale_of_inputs_matters_to_some_metrics_alone(kept):
    """Its X is summed over a passage, 2,048 tokens there: a factor, that roots and sums drop and that exp does not."""

    def order(scale, *choices):
        scores = value(meta_metric(*choices), {"W": W, "X": scale * X})
        return scores.argsort(dim=1).tolist(), scores

    assert order(1, "no_op", "no_op", "no_coe", "no_coe")[0] == order(2048, "no_op", "no_op", "no_coe", "no_coe")[0]
    assert order(1, "no_op", "pow", "no_coe", "row_sum")[0] == order(2048, "no_op", "pow", "no_coe", "row_sum")[0]
    small, large = (order(scale, "no_op", "exp", "no_coe", "no_coe") for scale in (1 / 16, 2048))
    assert small[0] != large[0]
    assert large[1].isinf().any()  # beyond float32


def test_optishears_sampler_is_optunas_with_its_defaults_and_a_seed():
    """The release gives no argument; 300 trials are one generation of chance and five bred ones."""
    defaults = {name: p.default for name, p in inspect.signature(NSGAIIISampler).parameters.items()}
    assert defaults["population_size"] == optishear.POPULATION == 50
    assert (defaults["crossover_prob"], defaults["swapping_prob"], defaults["mutation_prob"]) == (0.9, 0.5, None)
    assert (defaults["crossover"], defaults["dividing_parameter"]) == (None, 3)
    assert [len(choices) for choices in AXES.values()] == [7] * 4
    assert len(make_method("optishear", Asked(0)).ask()) == 50


def test_pruner_zeros_terminals_by_hand(kept):
    """W is the absolute weight, X is not rooted, and div is by the norm of the whole matrix: of X, sqrt(354)."""
    tree = metric_of_tree("div(sub(W, neg(skp(W))), X)")
    norm = math.sqrt(16 + 1 + 81 + 256)
    assert value(tree, TERMINALS)[0].tolist() == pytest.approx([6 / norm, 8 / norm, 0, 2 / norm])
    assert value(metric_of_tree("sub(X, W)"), TERMINALS)[0].tolist() == [1, -3, 9, 15]


def test_pruner_zeros_published_metric_and_what_leaves_by_it(kept):
    """W squared: 9 16 0 1 and 0.25 0.0625 4 1. G from 1 to 5: 0 1/4 1/2 3/4 and 1 3/4 1/2 1/4."""
    published = metric_of_tree("mul(abs(mul(W, W)), mms(G))")
    scores = value(published, TERMINALS)
    assert scores.tolist() == [[0, 4, 0, 0.75], [0.25, 0.046875, 2, 0.25]]
    assert kept(scores, 0.5).tolist() == [[False, True, False, True], [False, False, True, True]]
    # Its G is the root of a sum of squares of gradients a hundred times as large; ours of a mean. It scales alike.
    theirs = value(published, {**TERMINALS, "G": 100 * math.sqrt(128) * G})
    torch.testing.assert_close(theirs, scores)


def test_faithful_terminals_by_hand():
    """Two passages of 3 tokens, one of 6: of mean square 2 a token, a passage sums to 2 x 12 / 3 = 8."""
    here = SiteStatistics(
        np.zeros((1, 1)), np.array([[2.0]]), None, torch.tensor([[0.5]]), np.array([12]), np.array([3])
    )
    assert here.square_sum.tolist() == [[8]]
    assert here.gradient_sum.item() == pytest.approx(100 * math.sqrt(3 * 0.5**2))
    # exp sees the size: by X it is e^2 times the weight, as released e^8.
    assert str(metric_of_tree("mul(W, exp(X))", faithful=True)) == "|W| * exp(S)"
    assert str(metric_of_tree("add(G, X)", faithful=True)) == "R + S"


@pytest.mark.parametrize(
    ("tree", "written"),
    [
        ("exp(log(W))", "|W|"),  # but for 0.001
        ("log(exp(X))", "X"),
        ("sqrt(sqr(G))", "G"),
        ("sqr(sqrt(W))", "|W|"),
        ("neg(neg(X))", "X"),
        ("abs(abs(W))", "|W|"),
        ("mms(mms(G))", "minmax(G)"),
        ("zsn(zsn(X))", "zscore(X)"),
        ("exp(log(sqrt(pow(W))))", "|W|"),
        ("tanh(mms(X))", "tanh(minmax(X))"),  # these have no opposite
        ("log(neg(exp(G)))", "G"),  # log takes the absolute value
    ],
)
def test_pruner_zeros_opposing_operations(tree, written):
    assert str(simplified(metric_of_tree(tree), opposites=True)) == written


def test_tiny_gps_mutation_lets_one_part_grow_anew_down_the_first_arguments(monkeypatch):
    """In tiny_gp a node mutates with 0.2, else its left child is asked; a right one only where there is no left."""
    method = make_method("pruner-zero", Asked(3, mutation="regrow"))
    for chances, kept in (
        ([0.1], "{}"),
        ([0.2, 0.1], "mul({}, mms(G))"),
        ([0.2, 0.2, 0.19], "mul(abs({}), mms(G))"),
        (
            [0.2, 0.2, 0.2, 0.2],
            "mul(abs(mul(W, W)), mms(G))",
        ),  # the first W has no arguments: it ends, G is never asked
    ):
        tree = gp.PrimitiveTree.from_string("mul(abs(mul(W, W)), mms(G))", pruner_zero.primitives())
        drawn = iter(chances)
        with monkeypatch.context() as patch, method._drawing():
            patch.setattr(pruner_zero.random, "random", lambda drawn=drawn: next(drawn))
            found = str(method._regrown(tree))
        assert next(drawn, None) is None, "as many nodes were asked as there are chances"
        before, after = kept.partition("{}")[::2]
        assert found.startswith(before)
        assert found.endswith(after)
        if "{}" in kept:
            grown = found[len(before) : len(found) - len(after)]
            assert gp.PrimitiveTree.from_string(grown, pruner_zero.primitives()).height == 2
        else:
            assert found == kept


def test_pruner_zeros_numbers_are_its_own_or_tiny_gps():
    """Depths are the paper's; the others are named as tiny_gp's, whose class the release extends."""
    assert (pruner_zero.SHALLOWEST, pruner_zero.DEEPEST) == (2, 4)
    assert (pruner_zero.POPULATION, pruner_zero.TOURNAMENT) == (60, 5)
    assert (pruner_zero.CROSSOVER, pruner_zero.MUTATION) == (0.8, 0.2)
    assert "tiny_gp's" in inspect.getsource(pruner_zero)
    assert pruner_zero.UNARY == ("sqr", "neg", "abs", "log", "exp", "sqrt", "tanh", "pow", "skp", "mms", "zsn")
    assert pruner_zero.BINARY == ("add", "sub", "mul", "div")
    method = make_method("pruner-zero", Asked(0, opposites=False))
    for _ in range(4):
        assert {2, 3, 4} >= {tree.height for tree in method._trees}
        method.tell({metric: float(len(str(metric))) for metric in method.ask()})
    assert parse("mul(abs(mul(W, W)), mms(G))") == parse("|W * W| * minmax(G)")
