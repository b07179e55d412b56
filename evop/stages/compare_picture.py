"""The picture of a comparison: what is lost over what is removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from evop.errors import EvopError, first_line
from evop.files.given_file import given_file
from evop.files.names import FRONTIER, POINT, POINTS
from evop.report.frontier_lines import FrontierLine, judged_so
from evop.report.frontier_plot import draw_frontier
from evop.report.naming import model_title
from evop.report.tolerated_plot import tolerated_figure
from evop.searching.frontier_file import SHIPPED, FrontierFile, Point
from evop.searching.point_file import JudgedAs, PointFile
from evop.stages.compare_domains import domain_frame


def draw_comparison(table: pd.DataFrame, path: Path) -> list[str]:
    """Draw compared searches: those with tolerances beside what is tolerated, else what audits measured.

    Args:
        table: the frame that ``compare`` made.
        path: the picture to write; the end of its name says its format.

    Returns:
        The runs that are not in the picture, since no audit measured them.

    Raises:
        EvopError: runs that cannot be in one picture, or a format that is not known.
    """
    lines = frontier_lines([Path(folder) for folder in table["folder"]])
    audited = table[table["audit_worst"].notna()]
    drawn = table if lines else audited
    if drawn.empty or len(drawn.groupby(["model_fingerprint", "calibration", "cost"])) > 1:
        raise EvopError(
            "--picture needs runs of one model, one calibration set and one --cost; all of them audited, or all "
            "searched with --tolerate"
        )
    with given_file("--picture", path) as file:
        try:
            if lines:
                figure = tolerated_figure(lines, str(table["cost"].iloc[0]), model_title(str(table["model"].iloc[0])))
                figure.savefig(file, dpi=130)
            else:
                draw_frontier(table, file, domain_frame(table))
        except ValueError as error:  # matplotlib knows no such format
            raise EvopError(f"--picture {path}: {first_line(error)}; end the name in .png, .svg or .pdf") from error
    return [] if lines else table.loc[table["audit_worst"].isna(), "run"].tolist()


def frontier_lines(runs: Sequence[Path]) -> list[FrontierLine]:
    """Take the lines of runs with tolerances; none where a run is of no such search.

    Args:
        runs: folders of searches at one budget each; those of one search by tolerances make its lines, and the others
            together one for everything that they were judged as.
    """
    runs = list(dict.fromkeys(runs))
    if not runs or not all((run / POINT).is_file() for run in runs):
        return []
    homes = {run: run.parent.parent for run in runs if run.parent.name == POINTS}
    whole_runs = [place for place in dict.fromkeys(homes.values()) if (place / FRONTIER).is_file()]
    several = len(whole_runs) > 1
    lines = [
        line
        for place in whole_runs
        for line in FrontierLine.of(FrontierFile.read(place / FRONTIER), place.resolve().name if several else "")
    ]
    return lines + _of_budgets([run for run in runs if homes.get(run) not in whole_runs], bool(lines))


def _of_budgets(runs: Sequence[Path], named: bool) -> list[FrontierLine]:
    """Make lines of searches at one budget each."""
    points = [Point.of(run.resolve().name, PointFile.read(run / POINT)) for run in runs]
    judges: list[JudgedAs] = [judge for judge in SHIPPED if any(judge in point.judgements for point in points)]
    lines = []
    for judge in reversed(judges):
        own = judged_so(points, judge)
        within = [point.name for point in own if point.judgements[judge].verdict == "within"]
        name = f"other runs, {SHIPPED[judge]}" if named else SHIPPED[judge]
        lines.append(FrontierLine(name, judge, own, within[-1] if within else None))
    return lines
