"""``report.html``: the audit as one page that a person opens, looks at and understands; nothing is fetched for it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from calibration import CalibrationSet
from evop.auditing.audit_file import AuditFile
from evop.losses.loss import Loss
from evop.report.groups_plot import groups_figure
from evop.report.map_plot import map_figure
from evop.report.needs_plot import needs_figure
from evop.report.page_parts import Picture, Section
from evop.report.pattern_plot import pattern_figure
from evop.report.search_plot import search_figure
from evop.report.sheets import group_sheet, harness_sheet, speed_sheet, summary_sheet
from evop.report.style import VARIABLES, colours, svg
from evop.report.trace import Trace
from evop.report.verdict import verdict
from evop.timing.speed_file import SpeedFile

KINDS = {"text": "text", "item": "questions"}


def page(
    audit: AuditFile,
    calibration: CalibrationSet,
    runs: Mapping[str, Path],
    speed: SpeedFile | None = None,
    command: str = "",
) -> str:
    """The page of an audit.

    Args:
        audit: what was measured.
        calibration: the set it was measured on.
        runs: pattern -> the folder of the search that found it, where there is one.
        speed: how fast the models are, where they were timed.
        command: how the audit was asked for.

    Returns:
        HTML that holds all it needs.
    """
    names = [pattern.name for pattern in audit.patterns]
    colour = colours(names, {pattern.name for pattern in audit.patterns if pattern.sha256 is None})
    sections = [
        _verdict(audit),
        _groups(audit),
        *_harness(audit),
        _patterns(audit),
        _needs(audit, calibration.labels),
        _search(audit, runs, calibration.labels),
        _map(audit, calibration),
        _size(audit, speed),
        _again(audit, calibration, command),
    ]
    source = files("evop.report") / "template"
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string((source / "page.html.j2").read_text("utf-8")).render(
        title=f"Who pays for {names[0]}",
        subtitle=f"{Path(audit.model.name).name} with {audit.patterns[0].reached.block_params:.0%} of its blocks' "
        f"parameters removed, audited on {len({row.group for row in audit.groups})} groups of text and questions.",
        sections=sections,
        keys=[{"name": name, "variable": VARIABLES[colour[name]]} for name in names],
        domains=sorted({row.domain for row in audit.groups}),
        css=Markup((source / "page.css").read_text("utf-8")),
        js=Markup((source / "page.js").read_text("utf-8")),
    )


def _picture(figure: object, caption: str, title: str = "") -> Picture:
    label = str(escape(title or caption))
    return Picture(Markup(svg(figure, label)), caption, title)  # type: ignore[arg-type]


def _verdict(audit: AuditFile) -> Section:
    return Section("verdict", "verdict", "Verdict", tuple(verdict(audit)), tables=(summary_sheet(audit),))


def _groups(audit: AuditFile) -> Section:
    pictures, tables = [], []
    for split in audit.splits:
        for kind in audit.kinds(split):
            said = {
                "audit": "new passages of the groups that were searched on",
                "unseen": "whole clusters that were held out",
            }[split]
            caption = (
                "The ring is the dense model, a dot a pruned one with the 95% interval of its loss; the group that "
                "pays most under the first pattern is on top."
            )
            pictures.append(_picture(groups_figure(audit, split, kind), caption, f"{split}, {KINDS[kind]}: {said}"))
            tables.append(group_sheet(audit, split, kind))
    words = ("Every group before and after. The wider the gap between ring and dot, the more that group pays.",)
    return Section("groups", "groups", "Who pays", words, tuple(pictures), tuple(tables))


def _harness(audit: AuditFile) -> list[Section]:
    if not audit.harness:
        return []
    words = (
        "Tasks of lm-evaluation-harness, on checkpoints as they would be written; a model may go on choosing well and "
        "still write worse, so look at the tasks in which it has to write.",
    )
    return [Section("harness", "tasks", "Tasks of lm_eval, group by group", words, tables=(harness_sheet(audit),))]


def _patterns(audit: AuditFile) -> Section:
    caption = "A column a layer. Filled is what stays, empty what leaves; half a box is a block with half of its units."
    picture = _picture(pattern_figure(audit), caption)
    return Section("pattern", "pattern", "What is left of the network", figures=(picture,))


def _needs(audit: AuditFile, labels: dict[str, str]) -> Section:
    title = "Which domain needs which layer"
    if audit.needs is None:
        return Section("needs", "layers", title, notes=("Not measured.",))
    caption = (
        "The redder, the more the group on the left loses when that part alone leaves the dense model, on "
        f"{audit.needs.passages:,} audited passages."
    )
    return Section("needs", "layers", title, figures=(_picture(needs_figure(audit.needs, labels), caption),))


def _search(audit: AuditFile, runs: Mapping[str, Path], labels: dict[str, str]) -> Section:
    found = [(p, Trace.of(runs[p.name])) for p in audit.patterns if p.name in runs]
    traces = [(pattern, trace) for pattern, trace in found if trace is not None and trace.steps]
    title = "How the searches got there" if len(traces) > 1 else "How the search got there"
    if not traces:
        return Section("search", "search", title, notes=("No pattern is from a search that is at hand.",))
    caption = (
        "The line is the worst group's excess of the best pattern so far; a dot says which group was the worst from "
        "there on. Beginnings that lost far more leave the picture. The search sample is smaller than the audit, and "
        "the answer is chosen on another split."
    )
    pictures: list[Picture] = []
    for pattern, trace in traces:
        unit = Loss.named(str(trace.log.header["loss"])).unit
        figure = search_figure(trace, labels, unit, pattern.claimed_group_on_audit)
        pictures.append(_picture(figure, "" if pictures else caption, pattern.name if len(traces) > 1 else ""))
    return Section("search", "search", title, figures=tuple(pictures))


def _map(audit: AuditFile, calibration: CalibrationSet) -> Section:
    kinds = [kind for kind in KINDS if any(row.kind == kind for row in audit.groups)]
    caption = "A dot is an audited passage where it lies among its domain's; passages that say alike lie together."
    pictures = [_picture(map_figure(calibration, audit, kind), caption, KINDS[kind]) for kind in kinds]
    return Section("map", "map", "Where the losses lie", ("The redder a cluster, the more it lost.",), tuple(pictures))


def _size(audit: AuditFile, speed: SpeedFile | None) -> Section:
    reached = audit.patterns[0].reached
    words = (
        f"{reached.block_params:.1%} of the block parameters are gone: {reached.params:.1%} of all parameters, "
        f"{reached.flops:.1%} of the FLOPs a token, {reached.kv:.1%} of the KV cache.",
    )
    if speed is None:
        return Section("size", "size", "Size and speed", words, notes=("Not timed.",))
    flops = {"dense": 1.0} | {pattern.name: 1 - pattern.reached.flops for pattern in audit.patterns}
    note = (
        f"Timed in turns: {speed.words}. Times are fractions of the dense model's in the same round, median and "
        "quartiles; by FLOPs is what fewer operations alone would give."
    )
    return Section("size", "size", "Size and speed", words, tables=(speed_sheet(speed, flops),), notes=(note,))


def _again(audit: AuditFile, calibration: CalibrationSet, command: str) -> Section:
    versions = ", ".join(f"{name} {version}" for name, version in calibration.manifest.versions.items())
    seeds = f"seed {calibration.manifest.recipe.seed}, split seed {calibration.manifest.recipe.split_seed}"
    lines = [
        command,
        f"model        {audit.model.name} {audit.model.revision or ''} {audit.model.fingerprint}",
        f"calibration  {audit.calibration} ({seeds}; {versions})",
        *(f"pattern      {pattern.name} {pattern.sha256}" for pattern in audit.patterns if pattern.sha256),
        f"evop         {audit.version}, {audit.dtype}, passages cut at {audit.max_tokens:,} tokens",
    ]
    return Section("again", "reproduce", "How to reproduce this", code="\n".join(line for line in lines if line))
