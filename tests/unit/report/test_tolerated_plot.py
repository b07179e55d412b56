"""The picture of what every domain pays: a panel for each, its interval, what it may lose, and how much can go."""

import json

import numpy as np
import pytest
from borne import frontier, judgement

from evop.report.frontier_lines import FrontierLine
from evop.report.frontier_page import frontier_page
from evop.report.style import LIMIT
from evop.report.tolerated_plot import domains_figure, tolerated_figure

SHARES = {
    "0.10": {"code": 0.5, "law": 0.3, "sums": 0.0},
    "0.20": {"code": 0.7, "law": 0.5, "sums": 0.3},
    "0.30": {"code": 1.4, "law": 0.9, "sums": 0.6},
}


@pytest.fixture(scope="module")
def lines():
    points = {name: {"masked": judgement(shares)} for name, shares in SHARES.items()}
    return FrontierLine.of(frontier(points))


def both():
    """A frontier that was refitted, which halves what is lost, and judged as it is too."""
    points = {
        name: {"masked": judgement(shares), "refit": judgement({at: share / 2 for at, share in shares.items()})}
        for name, shares in SHARES.items()
    }
    return frontier(points, "refit")


def drawn(axis):
    """The heights of the lines of a panel that are more than one point."""
    return [line.get_ydata() for line in axis.lines if len(line.get_xdata()) > 2]


def limits(axis):
    return [line.get_ydata()[0] for line in axis.lines if line.get_color() == LIMIT]


def test_every_domain_has_a_panel_in_its_unit_with_what_it_may_lose(lines):
    top, *panels = tolerated_figure(lines, "params").axes
    assert [axis.get_title(loc="left") for axis in panels] == ["code", "law", "sums"]
    assert [limits(axis) for axis in panels] == [[0.05], [0.1], [3.0]]
    assert drawn(panels[0])[0] == pytest.approx([0, 0.025, 0.035, 0.07])
    assert drawn(panels[2])[0] == pytest.approx([0, 0, 0.9, 1.8])
    assert drawn(top)[0] == pytest.approx([0, 50, 70, 140])
    assert (limits(top), top.get_xlabel()) == ([100], "removed of the decoder blocks' parameters")


def test_a_band_reaches_from_one_end_of_the_interval_to_the_other(lines):
    law = tolerated_figure(lines, "params").axes[2]
    (band,) = law.collections
    corners = band.get_paths()[0].vertices
    at = corners[np.isclose(corners[:, 0], 0.3), 1]
    assert (at.min(), at.max()) == pytest.approx((0.07, 0.11))


def hollow(axis):
    dots = {line.get_gid().split(":")[1]: line for line in axis.lines if str(line.get_gid()).startswith("point:")}
    return {name for name, dot in dots.items() if dot.get_markerfacecolor() != dot.get_color()}


def test_what_can_go_is_said_and_points_within_are_filled(lines):
    top, code, law, sums = tolerated_figure(lines, "params").axes
    assert [text.get_text() for text in top.texts] == ["20.0% can go"]
    assert hollow(top) == hollow(code) == {"0.30"}
    assert hollow(law) == {"0.30"}  # measured within, but the interval reaches over
    assert hollow(sums) == set()


def test_refitted_and_as_it_is_are_two_lines_the_shipped_one_first():
    figure = tolerated_figure(FrontierLine.of(both()), "params")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["refitted", "as it is", "what is tolerated"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"30.0% can go", "20.0% can go"}
    assert len(drawn(figure.axes[1])) == 2
    assert len(limits(figure.axes[1])) == 1


def test_what_was_healed_at_the_edge_alone_is_no_line_from_nothing_on():
    points = {name: {"masked": judgement(shares), "refit": judgement(shares)} for name, shares in SHARES.items()}
    points["0.20"]["healed"] = judgement({"code": 0.4, "law": 0.2, "sums": 0.1})
    file = frontier(points, "refit").model_copy(update={"judge": "healed"})
    file = file.model_copy(update={"edges": {"healed": "0.20", **file.edges}, "answer": "0.20"})
    lines = FrontierLine.of(file)
    assert [line.name for line in lines] == ["healed", "refitted", "as it is"]
    assert lines[0].removed == pytest.approx([np.nan, 0.2], nan_ok=True)
    figure = tolerated_figure(lines, "params")
    figure.draw_without_rendering()
    assert "(bar: 95% interval" in figure.axes[0].get_title(loc="left")
    assert "30.0% removed: refitted, code/0" in frontier_page(file)
    assert "20.0% removed: code/0" in frontier_page(file)


def test_of_single_documents_there_is_no_interval_and_a_domain_that_lacks_is_left_out():
    alone = frontier({"0.10": {"masked": judgement({"code": 0.5}, single=True)}})
    other = frontier({"0.10": {"masked": judgement({"law": 0.5})}})
    figure = domains_figure([*FrontierLine.of(alone, "a"), *FrontierLine.of(other, "b")])
    figure.draw_without_rendering()
    assert [len(axis.lines) for axis in figure.axes] == [3, 3]
    assert hollow(figure.axes[0]) == {"0.10"}
    assert hollow(figure.axes[1]) == set()


def test_where_nothing_was_tried_nothing_is_drawn():
    assert FrontierLine.of(frontier({})) == []


def test_points_that_remove_alike_have_one_word_under_them():
    points = {name: {"masked": judgement(shares)} for name, shares in SHARES.items()}
    file = frontier(points)
    alike = [point.model_copy(update={"removed": 0.204}) if point.name == "0.20" else point for point in file.points]
    alike = [point.model_copy(update={"removed": 0.196}) if point.name == "0.10" else point for point in alike]
    page = frontier_page(file.model_copy(update={"points": alike})).split('id="domains"')[0]
    assert page.count(">20%</text>") == 1
    assert "removed of the decoder blocks' parameters</text>" in page.replace("&#39;", "'")


def test_the_page_says_what_makes_the_model_of_every_point():
    points = {name: {"masked": judgement(shares), "refit": judgement(shares)} for name, shares in SHARES.items()}
    for name in ("0.10", "0.20"):
        points[name]["healed"] = judgement({"code": 0.4, "law": 0.2, "sums": 0.1})
    file = frontier(points, "refit").model_copy(update={"judge": "healed"})
    page = frontier_page(file.model_copy(update={"edges": {"healed": "0.20", **file.edges}, "answer": "0.20"}))
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])["points"]
    how = {point["name"]: (point["how"], point["command"]) for point in data}
    assert how["0.30"] == (
        "This pattern as a checkpoint:", "evop prune --model MODEL --pattern RUN@0.30 --out pruned"
    )  # fmt: skip
    assert "The healed model lies in RUN/points/0.20/healed" in how["0.20"][0]
    assert "its weights were not kept" in how["0.10"][0]
    assert how["0.10"][1].startswith("evop heal --model MODEL --pattern RUN@0.10 --calibration SET --tokens N")
