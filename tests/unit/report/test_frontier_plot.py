"""The picture of audited searches: how far it reaches, and what is said of a search that runs out of it."""

import pandas as pd
from matplotlib.figure import Figure

from evop.report.domain_panels import draw_panels, mark_beyond, within_reach
from evop.report.frontier_plot import draw_frontier
from evop.report.style import PATTERNS


def searches(*rows):
    """Audited searches: strategy, budget, seed, what the worst group lost and the ends of its interval."""
    columns = ("strategy", "budget", "seed", "audit_worst", "audit_low", "audit_high")
    frame = pd.DataFrame(rows, columns=columns)
    common = {"recovery": "none", "cost": "params", "audit_kind": "text", "model": "m", "random_worst": 9.0}
    return frame.assign(block_params=frame["budget"], **common)


def test_a_ruinous_search_does_not_squeeze_the_others():
    found = searches(
        ("greedy", 0.25, 0, 7.0, 6.5, 7.5),
        ("surrogate", 0.25, 0, 0.30, 0.25, 0.35),
        ("swap", 0.25, 0, 0.40, 0.35, 1.7),
        ("swap", 0.25, 1, 0.40, 0.35, 1.8),
    )
    assert within_reach(found, found["audit_high"]).tolist() == [False, True, True, False]


def test_larger_budgets_may_lose_more_and_so_may_what_nothing_stands_beside():
    found = searches(
        ("greedy", 0.125, 0, 0.02, 0.01, 0.03), ("surrogate", 0.25, 0, 0.3, 0.2, 0.4), ("greedy", 0.5, 0, 8, 7, 9)
    )
    assert within_reach(found, found["audit_high"]).all()


def test_where_a_search_lost_nothing_the_picture_still_reaches_small_losses():
    found = searches(("greedy", 0.1, 0, 0.2, 0.1, 0.24), ("surrogate", 0.1, 0, -0.01, -0.02, 0.0))
    assert within_reach(found, found["audit_high"]).all()


def test_what_runs_out_of_the_picture_is_written_at_its_edge(tmp_path):
    found = searches(
        ("greedy", 0.25, 0, 7.0, 6.5, 7.5),
        ("greedy", 0.25, 1, 9.0, 8.5, 9.5),
        ("oneshot", 0.25, 0, 3.0, 2.9, 3.1),
        ("surrogate", 0.25, 0, 0.3, 0.2, 0.4),
    ).assign(removed=0.25)
    axis = Figure().subplots()
    axis.set_ylim(0, 0.42)
    colour = dict(zip(("greedy", "oneshot", "surrogate"), PATTERNS, strict=False))
    mark_beyond(axis, found, found["audit_worst"], colour)
    written = {text.get_text(): (text.get_color(), text.xyann) for text in axis.texts}
    assert written == {"\u2191 8.00": (PATTERNS[0], (4, -2)), "\u2191 3.00": (PATTERNS[1], (4, -11))}
    draw_frontier(found, tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").stat().st_size > 10_000


def test_panels_of_the_domains_reach_as_far_as_what_is_not_ruinous():
    found = searches(("greedy", 0.25, 0, 7.0, 6.5, 7.5), ("surrogate", 0.25, 0, 0.3, 0.2, 0.4)).assign(removed=0.25)
    lines = pd.concat(
        found.assign(domain=domain, kind="text", worst=found["audit_worst"] * times, low=None, high=None)
        for domain, times in (("code", 1.0), ("law", 0.01))
    ).astype({"low": float, "high": float})
    figure = Figure()
    draw_panels(figure, figure.add_gridspec(2, 2), lines, dict(zip(("greedy", "surrogate"), PATTERNS, strict=False)), 0)
    code, law = figure.axes
    assert code.get_ylim() == law.get_ylim() == (0.0, 1.05 * 0.3)
    assert ([text.get_text() for text in code.texts], law.texts[:]) == (["\u2191 7.00"], [])
