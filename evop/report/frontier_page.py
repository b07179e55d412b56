"""``frontier.html``: every budget that was tried as a point that one can hover and click; nothing is fetched for it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from calibration.visible import visible
from evop.files.names import HEALED
from evop.losses.tolerance import amount
from evop.report.frontier_lines import FrontierLine
from evop.report.naming import model_title
from evop.report.page_parts import Picture, seen
from evop.report.tolerated_plot import domains_figure, interval_word
from evop.searching.frontier_file import SHIPPED, WORDS, FrontierFile, Point, point_folder
from evop.searching.point_file import GroupBorne, Judgement

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 360, 56, 40
"""Of the picture, in its own units; margins for the words of the axes."""


def frontier_page(frontier: FrontierFile) -> str:
    """Draw the frontier of a search by tolerances.

    Returns:
        HTML that fetches nothing; its data stand in it as JSON, under the id ``data``.
    """
    source = files("evop.report") / "template"
    points = [_point(frontier, point) for point in frontier.points]
    right = 1.1 * max((point["removed"] for point in points), default=1.0)
    ticks: set[str] = set()
    top = min(max([1.2, *(1.05 * point["high"] for point in points)]), 4.0)
    for point in points:
        point["x"] = LEFT + (WIDTH - LEFT - 20) * point["removed"] / right
        point |= {f"y_{end}": _y(point[end], top) for end in ("low", "measured", "high")}
        percent = f"{point['removed']:.0%}"
        point["tick"] = "" if percent in ticks else percent  # two that remove alike lie on each other
        ticks.add(percent)
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=seen)
    data = json.dumps({"points": points}, ensure_ascii=False).replace("<", "\\u003c")
    return environment.from_string((source / "frontier.html.j2").read_text("utf-8")).render(
        title=f"What {model_title(frontier.model.name)} can do without",
        statement=frontier.statement,
        tolerate=", ".join(frontier.tolerate),
        shipped=SHIPPED[frontier.judge],
        cost=WORDS.get(frontier.cost, WORDS["params"]),
        points=points,
        domains=_domains(frontier),
        line=_y(1.0, top),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        floor=HEIGHT - BOTTOM,
        data=Markup(data),
        css=Markup((source / "page.css").read_text("utf-8")),
        js=Markup((source / "frontier.js").read_text("utf-8")),
    )


def _domains(frontier: FrontierFile) -> Picture | None:
    """Draw every domain by itself; None where nothing was tried."""
    lines = FrontierLine.of(frontier)
    if not lines:
        return None
    caption = (
        f"The group of each domain that uses most of what it may lose. A {interval_word(lines)} is the 95% interval of "
        "the largest loss in the domain, for all its groups together; a point is filled where all of it is within what "
        "is tolerated, the dashed line."
    )
    return Picture.of(domains_figure(lines), caption, "loss of every domain over what is removed")


def _y(share: float, top: float) -> float:
    """Place a share of what is tolerated; what lies outside of the picture lies at its edge."""
    return 16 + (HEIGHT - BOTTOM - 16) * (1 - min(max(share, 0.0), top) / top)


def _point(frontier: FrontierFile, point: Point) -> dict[str, Any]:
    """List what the page says of a point."""
    as_judged = frontier.judged(point)
    judged = point.judgements[as_judged]
    how = "" if as_judged == frontier.judge else f"{SHIPPED[as_judged]}, "
    measured = judged.measured
    return {
        "name": point.name,
        "removed": point.removed,
        "verdict": judged.verdict,
        "answer": point.name == frontier.answer,
        "measured": measured,
        "low": measured if judged.low is None else judged.low,
        "high": measured if judged.high is None else judged.high,
        "words": visible(how + judged.words(frontier.labels)),
        **_command(frontier, point),
        "groups": _groups(judged, frontier),
    }


def _command(frontier: FrontierFile, point: Point) -> dict[str, str]:
    """Say what makes a point's model: RUN, MODEL and SET stand for what the search was given."""
    pattern = f"--model MODEL --pattern RUN@{point.name}"
    prune = f"evop prune {pattern} --out pruned"
    if "healed" not in point.judgements:
        return {"how": "This pattern as a checkpoint:", "command": prune}
    if point.name == frontier.answer:
        how = (
            f"The healed model lies in {point_folder(Path('RUN'), point.name) / HEALED}: copy the folder. Its pattern, "
            "refitted and not healed, as a checkpoint:"
        )
        return {"how": how, "command": prune}
    how = "It was healed and judged; its weights were not kept. This heals it again, from the search's N --heal-tokens:"
    return {"how": how, "command": f"evop heal {pattern} --calibration SET --tokens N --out healed"}


def _groups(judged: Judgement, frontier: FrontierFile) -> list[dict[str, Any]]:
    rows = sorted(judged.groups, key=lambda row: -row.loss / row.tolerance)
    return [
        {
            "label": visible(frontier.labels.get(row.group, row.group)),
            "loss": amount(row.loss, row.kind),
            "interval": _interval(row),
            "tolerance": amount(row.tolerance, row.kind),
            "share": f"{row.loss / row.tolerance:.0%}",
            "over": row.loss > row.tolerance,
        }
        for row in rows
    ]


def _interval(row: GroupBorne) -> str:
    if row.low is None or row.high is None:
        return "–"
    return f"{amount(row.low, row.kind)} to {amount(row.high, row.kind)}"
