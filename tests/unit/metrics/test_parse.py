"""Metrics as lines: what is read, what is written, what is refused and where."""

import pytest

from evop.errors import EvopError
from evop.metrics.metric import Metric
from evop.metrics.parse import parse


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("abs(W)*sqrt(X)", "|W| * sqrt(X)"),
        ("|W*W| * minmax(G)", "|W * W| * minmax(G)"),
        ("mul(abs(mul(W, W)), mms(G))", "|W * W| * minmax(G)"),  # as Pruner-Zero's best_tree.json has it
        ("div(skp(W), zsn(X))", "W / norm(zscore(X))"),
        ("W-(X-G)", "W - (X - G)"),
        ("(W-X)-G", "W - X - G"),
        ("W/(X*G)", "W / (X * G)"),
        ("W*(X+G)", "W * (X + G)"),
        ("W*(X*G)", "W * (X * G)"),
        ("-(W+X)", "-(W + X)"),
        ("- -W", "--W"),
        ("||W|*X|", "abs(|W| * X)"),
        (" ( W ) ", "W"),
    ],
)
def test_a_line_is_read_and_written(line, written):
    assert str(parse(line)) == written
    assert parse(written) == parse(line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"found the end at character 1, expected a terminal, an operator, \( or \|"),
        ("W *", "found the end at character 4"),
        ("W X", r"found 'X' at character 3, expected an operator, or the end"),
        ("sqrt(W", r"found the end at character 7, expected '\)'"),
        ("|W", r"found the end at character 3, expected '\|'"),
        ("sqrt(W, X)", "found sqrt of 2 at character 1, expected 1 arguments"),
        ("W * y", "found 'y' at character 5, expected one of W, X, V, D, G, S, R, N"),
        ("cube(W)", "found 'cube' at character 1, expected one of add, sub"),
        ("2 * W", "found '2' at character 1, expected a name, .*a metric has no numbers"),
        ("(" * 500 + "W" + ")" * 500, "more than 150 operators within operators"),
        ("W+" * 1500 + "W", "3,001 characters; expected at most 2,000"),
        ("W @ code", "share 'code'; expected NAME=NUMBER, from 0 to 1"),
        ("W @ code=2", "share 'code=2'; expected NAME=NUMBER"),
    ],
)
def test_what_is_no_metric_is_refused_in_one_line(line, message):
    with pytest.raises(EvopError, match=message) as refused:
        Metric.parse(line)
    assert "\n" not in str(refused.value)


def test_shares_are_read_and_written():
    metric = Metric.parse("W*X @ my code=0.5, law=0")
    assert metric.by_name == {"my code": 0.5, "law": 0}
    assert str(metric) == "W * X @ my code=0.5,law=0"
    assert Metric.parse(str(metric)) == metric
