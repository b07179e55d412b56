"""The map of what every group needs."""

import numpy as np

from evop.auditing.audit_rows import Needs
from evop.report.needs_plot import needs_figure


def drawn(excess):
    parts = [f"layers.{i}.attn" for i in range(len(next(iter(excess.values()))))]
    figure = needs_figure(Needs(kind="text", parts=parts, excess=excess, passages=9), {})
    axis, bar = figure.axes
    return axis.images[0], bar.get_ylabel()


def colours(image):
    """What each field's colour is, as a share of the way from the first to the last."""
    return np.clip(image.norm(image.get_array()), 0, 1)


def test_one_part_that_nothing_can_do_without_leaves_the_others_their_colours():
    mild = {f"law/{i}": [0.01 * (i + at) for at in range(12)] for i in range(6)}
    huge = {group: [50.0, *row[1:]] for group, row in mild.items()}
    image, words = drawn(huge)
    assert np.ptp(colours(image)[:, 1:]) > 0.8
    assert "all one red, up to 50" in words
    assert colours(image)[:, 0].min() == 1


def test_where_nothing_is_beyond_the_colours_the_bar_says_nothing_of_it():
    image, words = drawn({"law/0": [0.2] * 9, "law/1": [0.2] * 9})
    assert words == "lost, nats per token"
    assert colours(image).min() == 1
