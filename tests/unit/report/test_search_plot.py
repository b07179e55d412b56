"""The picture of a search: every name can be read, however soon one worst group follows another."""

import itertools

import pytest
from matplotlib.text import Annotation

from evop.report.search_plot import search_figure
from evop.report.trace import Trace
from patterns import Measurement, Pattern, Trial, TrialLog

LABELS = {f"domain_{i}/{i}": f"domain_{i}/{i} some, longer, words" for i in range(8)}
DENSE = dict.fromkeys(LABELS, 1.0)


def trace(path, improvements):
    """A log of trials, each better than the one before: the tokens it took, its worst group, and what that lost."""
    log = TrialLog.create(path / "trials.jsonl", {"dense": {"9": DENSE}, "scale_by": None})
    log.append(
        [
            Trial(i, Pattern((i,)), True, 9, Measurement(1.0 - 0.01 * i, {**DENSE, worst: 1.0 + lost}, tokens))
            for i, (tokens, worst, lost) in enumerate(improvements)
        ]
    )
    return Trace.of(path)


def names(figure):
    """The axes, and the room that every name beside a dot takes."""
    figure.draw_without_rendering()
    (axis,) = figure.axes
    marks = [mark for mark in axis.texts if isinstance(mark, Annotation) and mark.get_text()]
    return axis.get_window_extent(), {mark.get_text(): mark.get_window_extent() for mark in marks}


@pytest.mark.parametrize("before", [1_000, 400_000, 4_000_000])
@pytest.mark.parametrize("measured", [None, 0.3])
def test_no_name_lies_on_another(tmp_path, before, measured):
    """Eight worst groups one after the other, within a few percent of the width."""
    found = trace(tmp_path, [(before if i == 0 else 5_000, group, 0.5 - 0.01 * i) for i, group in enumerate(LABELS)])
    if before == 1_000:  # much later, nothing gets any better
        found.log.append([Trial(9, Pattern((9,)), True, 9, Measurement(2.0, DENSE, 1_000_000))])
    frame, boxes = names(search_figure(found, LABELS, "nats per token", measured))
    assert set(boxes) == set(LABELS.values())
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes.values(), 2))
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes.values())
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes.values())


def test_a_group_that_stays_the_worst_is_named_once(tmp_path):
    found = trace(tmp_path, [(100_000, "domain_0/0", 0.5 - 0.1 * i) for i in range(3)])
    assert list(names(search_figure(found, LABELS, "nats per token", None))[1]) == [LABELS["domain_0/0"]]
