"""Operators and published metrics on numbers worked out by hand."""

import math

import pytest
import torch

from evop.metrics.expression import OPERATORS
from evop.metrics.meta import meta_metric
from evop.metrics.parse import parse
from evop.metrics.values import COMPUTED, value

W = torch.tensor([[3.0, -4.0], [0.0, 5.0]])
X = torch.tensor([[4.0, 1.0]])
G = torch.tensor([[1.0, 2.0], [3.0, 5.0]])


def of(line, **other):
    return value(parse(line), {"W": W, "X": X, "G": G, **other}).tolist()


def test_every_operator_by_hand():
    worked = {
        "W + X": [[7, -3], [4, 6]],
        "W - X": [[-1, -5], [-4, 4]],
        "W * X": [[12, -4], [0, 5]],
        "W / X": [[0.75, -4], [0, 5]],
        "-W": [[-3, 4], [0, -5]],
        "|W|": [[3, 4], [0, 5]],
        "sqr(W)": [[9, 16], [0, 25]],
        "sqrt(-X)": [[2, 1]],  # of the absolute value
        "log(W)": [[math.log(3.001), math.log(4.001)], [math.log(0.001), math.log(5.001)]],
        "ln(X)": [[math.log(4), 0]],
        "exp(X)": [[math.e**4, math.e]],
        "tanh(X)": [[math.tanh(4), math.tanh(1)]],
        "sigmoid(X)": [[1 / (1 + math.e**-4), 1 / (1 + 1 / math.e)]],
        "minmax(W)": [[7 / 9, 0], [4 / 9, 1]],  # over the whole matrix, from -4 to 5
        # Mean 1, deviations 2, -5, -1, 4: squares sum to 46, of a sample of four 46 / 3.
        "zscore(W)": [[2 / math.sqrt(46 / 3), -5 / math.sqrt(46 / 3)], [-1 / math.sqrt(46 / 3), 4 / math.sqrt(46 / 3)]],
        "softmax(X)": [[1 / (1 + math.e**-3), 1 / (1 + math.e**3)]],
        "rowsum(W)": [[-1], [5]],
        "colsum(W)": [[3, 1]],
        "sum(W)": [[4]],
        "mean(W)": [[1]],
        "norm(W)": [[math.sqrt(50)]],
    }
    for line, expected in worked.items():
        assert of(line) == [pytest.approx(row, rel=1e-6) for row in expected], line
    names = {parse(line).name for line in worked}
    assert names == set(OPERATORS) == set(COMPUTED)


def test_the_edges_of_operators():
    assert of("exp(X)", X=torch.tensor([[1000.0, 1.0]], dtype=torch.float64))[0][0] == pytest.approx(math.exp(100))
    assert of("exp(X)", X=torch.tensor([[99.0, 1.0]]))[0][0] == math.inf  # beyond float32, as in the releases
    assert of("ln(|W|)")[1][0] == -math.inf
    assert math.isnan(of("W / W")[1][0])  # 0 / 0
    assert of("X / (W - W)")[0][0] == math.inf


def test_pruner_zeros_metric_by_hand():
    # W * W: 9, 16, 0, 25. G from 1 to 5: 0, 1/4, 1/2, 1.
    for line in ("mul(abs(mul(W, W)), mms(G))", "|W * W| * minmax(G)"):
        assert of(line) == [pytest.approx([0, 4]), pytest.approx([0, 25])]
    # Its division is by the norm of the whole matrix: |G| = sqrt(39).
    assert of("div(W, G)")[0] == pytest.approx([3 / math.sqrt(39), -4 / math.sqrt(39)])


def test_optishears_metric_by_hand():
    # |W|: rows sum to 7 and 5, columns to 3 and 9. sqrt(X): 2, 1.
    def score(*choices, **options):
        return value(meta_metric(*choices, **options), {"W": W, "X": X})

    assert torch.allclose(score("no_op", "no_op", "no_coe", "no_coe"), torch.tensor([[6.0, 4], [0, 5]]))  # Wanda
    relative = torch.tensor([[3 / 10, 4 / 16], [0, 5 / 14]])
    assert torch.allclose(score("no_op", "no_op", "relative_sum", "no_coe"), relative * torch.tensor([2.0, 1]))
    # beta is of X, not of its root: of a single row, the sum of a column is X itself; X sums to 5.
    squared = torch.tensor([[9.0, 16], [0, 25]])
    assert torch.allclose(score("pow", "no_op", "no_coe", "column_sum"), squared * torch.tensor([2 / 4, 1 / 1]))
    assert torch.allclose(score("pow", "no_op", "no_coe", "relative_sum"), squared * torch.tensor([2 / 9, 1 / 6]))
    assert torch.allclose(score("pow", "no_op", "frobenius_norm", "to_mean_scalar"),
                          squared / math.sqrt(50) * torch.tensor([2 / 2.5, 1 / 2.5]))  # fmt: skip
    # The release's A / A is no number where a weight is 0; ours is 1. Its X is a sum over a passage, here of one token.
    quirk = value(meta_metric("no_op", "no_op", "no_coe", "no_coe", faithful=True), {"W": W, "S": X})
    assert quirk[0].tolist() == [6, 4]
    assert math.isnan(quirk[1, 0])
    assert quirk[1, 1] == 5
