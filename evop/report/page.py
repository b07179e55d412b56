"""``report.html``: the audit as one page that a person opens, looks at and understands; nothing is fetched for it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from calibration import CalibrationSet
from evop.auditing.audit_file import HELD_OUT, AuditFile
from evop.losses.loss import Loss
from evop.recovery.heal_file import HealFile
from evop.report.audit_sheets import KINDS, group_sheet, harness_sheet, removed_sheet, summary_sheet
from evop.report.domains_section import domains_section
from evop.report.groups_plot import groups_figure
from evop.report.map_plot import map_figure
from evop.report.naming import model_title, pattern_title, row_name
from evop.report.needs_plot import needs_figure
from evop.report.page_parts import Picture, Section, seen
from evop.report.pattern_plot import pattern_figure
from evop.report.recovery_section import recovery_section
from evop.report.search_plot import search_figure
from evop.report.speed_sheet import speed_sheet
from evop.report.style import VARIABLES, colours
from evop.report.trace import Trace
from evop.report.verdict import verdict
from evop.timing.speed_file import SpeedFile
from patterns import PatternError


def page(
    audit: AuditFile,
    calibration: CalibrationSet,
    runs: Mapping[str, Path],
    speed: SpeedFile | None = None,
    command: str = "",
    heals: Mapping[str, HealFile] | None = None,
    tolerate: float | None = None,
) -> str:
    """Write the page of an audit.

    Args:
        audit: the audit.
        calibration: the set that was audited.
        runs: pattern -> the folder of the search that found it, where there is one.
        speed: the speed of the models, where they were timed.
        command: the command that asks for this audit.
        heals: healed row -> the account of its healing, where there is one.
        tolerate: the excess of text that its user tolerates, where one was named.

    Returns:
        HTML that fetches nothing.
    """
    labels = calibration.labels
    traces = {name: trace for name, run in runs.items() if (trace := _trace(run)) is not None}
    titles = _titles(audit, runs, traces)
    sections = [
        _verdict(audit),
        _groups(audit),
        *domains_section(audit),
        *recovery_section(audit, heals or {}, labels, tolerate),
        *_harness(audit),
        _patterns(audit, titles),
        _needs(audit, labels),
        _search(audit, traces, labels),
        _map(audit, calibration),
        _size(audit, speed),
        _again(audit, calibration, command),
    ]
    source = files("evop.report") / "template"
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=seen)
    return environment.from_string((source / "page.html.j2").read_text("utf-8")).render(
        title=f"Who pays for pruning {model_title(audit.model.name)}",
        subtitle=f"{_sentence(titles[audit.patterns[0].name])} Audited on {_group_counts(audit)}.",
        sections=sections,
        keys=_keys(audit, titles),
        domains=sorted({row.domain for row in audit.groups}),
        css=Markup((source / "page.css").read_text("utf-8")),
        js=Markup((source / "page.js").read_text("utf-8")),
    )


def _titles(audit: AuditFile, runs: Mapping[str, Path], traces: Mapping[str, Trace]) -> dict[str, str]:
    """Say of every pattern which it is."""
    headers = {name: trace.log.header for name, trace in traces.items()}
    return {row.name: pattern_title(row, runs.get(row.name), headers.get(row.name)) for row in audit.patterns}


def _keys(audit: AuditFile, titles: Mapping[str, str]) -> list[dict[str, str]]:
    """List the colours of the patterns, and of random ones."""
    shown = {pattern.name: row_name(pattern) for pattern in audit.patterns}
    colour = colours(list(shown), audit.randoms)
    return [
        {"name": shown.get(name, name), "title": titles.get(name, ""), "variable": VARIABLES[hue]}
        for name, hue in colour.items()
    ]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _group_counts(audit: AuditFile) -> str:
    """Count the groups of each kind, in words."""
    counts = {kind: len({row.group for row in audit.groups if row.kind == kind}) for kind in KINDS}
    return " and ".join(f"{count} groups of {KINDS[kind]}" for kind, count in counts.items() if count)


def _kinds(audit: AuditFile) -> list[str]:
    return [kind for kind in KINDS if any(row.kind == kind for row in audit.groups)]


def _verdict(audit: AuditFile) -> Section:
    tables = tuple(summary_sheet(audit, kind) for kind in _kinds(audit))
    return Section("verdict", "verdict", "Verdict", tuple(verdict(audit)), tables=tables)


def _groups(audit: AuditFile) -> Section:
    caption = (
        "The ring is the dense model, a dot a pruned one with the 95% interval of its loss, or the median of random "
        "patterns with their range; the group that pays most under the first pattern is on top."
    )
    measured = {
        "audit": "new passages of the groups that were searched on",
        "unseen": "whole clusters that were held out",
        HELD_OUT: "whole domains that the search saw nothing of",
    }
    panels = [(split, kind) for split in audit.splits for kind in audit.kinds(split)]
    pictures = [
        Picture.of(
            groups_figure(audit, split, kind),
            "" if number else caption,
            f"{split}, {KINDS[kind]}: {measured[split]}",
        )
        for number, (split, kind) in enumerate(panels)
    ]
    tables = tuple(group_sheet(audit, split, kind) for split, kind in panels)
    words = ("Every group before and after. The wider the gap between ring and dot, the more that group pays.",)
    return Section("groups", "groups", "Who pays", words, tuple(pictures), tables)


def _harness(audit: AuditFile) -> list[Section]:
    if not audit.harness:
        return []
    words = (
        "Tasks of lm-evaluation-harness, on checkpoints as they would be written; a model may go on choosing well and "
        "still write worse, so look at the tasks in which it has to write.",
    )
    return [Section("harness", "tasks", "Tasks of lm_eval, group by group", words, tables=(harness_sheet(audit),))]


def _patterns(audit: AuditFile, titles: Mapping[str, str]) -> Section:
    caption = "One column per layer. Filled stays, empty leaves; half a box is a block with half of its units."
    pictures = (Picture.of(pattern_figure(audit), caption),) if any(row.left for row in audit.patterns) else ()
    words = tuple(f"{name} is {title}." for name, title in titles.items())
    return Section("pattern", "pattern", "What is left of the network", words, figures=pictures)


def _needs(audit: AuditFile, labels: Mapping[str, str]) -> Section:
    title = "Which domain needs which layer"
    if audit.needs is None:
        return Section("needs", "layers", title, notes=("Not measured.",))
    caption = (
        "The redder, the more the group on the left loses when that part alone leaves the dense model, on "
        f"{audit.needs.passages:,} audited {'passages' if audit.needs.kind == 'text' else 'questions'}. The parts that "
        "nothing can do without are of one red, so that the others are told apart."
    )
    return Section("needs", "layers", title, figures=(Picture.of(needs_figure(audit.needs, labels), caption),))


def _trace(run: Path) -> Trace | None:
    """Open the log of a search; None where there is none, or one of another version, whose answer is audited still."""
    try:
        return Trace.of(run)
    except PatternError:
        return None


def _search(audit: AuditFile, traces: Mapping[str, Trace], labels: Mapping[str, str]) -> Section:
    searched = [(pattern, traces[pattern.name]) for pattern in audit.patterns if pattern.name in traces]
    title = "How the searches got there" if len(searched) > 1 else "How the search got there"
    if not searched:
        return Section("search", "search", title, notes=("No pattern is from a search whose log can be read here.",))
    caption = (
        "The line is the worst group's excess of the best pattern so far; a dot says which group was the worst from "
        "there on. Beginnings that lost far more leave the picture. The search sample is smaller than the audit, and "
        "the answer is chosen on another split."
    )
    pictures: list[Picture] = []
    for pattern, trace in searched:
        unit = Loss.named(str(trace.log.header["loss"])).unit
        figure = search_figure(trace, labels, unit, pattern.claimed_group_on_audit)
        pictures.append(Picture.of(figure, "" if pictures else caption, pattern.name if len(searched) > 1 else ""))
    return Section("search", "search", title, figures=tuple(pictures))


def _map(audit: AuditFile, calibration: CalibrationSet) -> Section:
    caption = "A dot is an audited passage where it lies among its domain's; passages that say alike lie together."
    pictures = [Picture.of(map_figure(calibration, audit, kind), caption, KINDS[kind]) for kind in _kinds(audit)]
    return Section("map", "map", "Where the losses lie", ("The redder a cluster, the more it lost.",), tuple(pictures))


def _size(audit: AuditFile, speed: SpeedFile | None) -> Section:
    removed = removed_sheet(audit)
    if speed is None:
        return Section("size", "size", "Size and speed", tables=(removed,), notes=("Speed was not measured.",))
    flops = {speed.models[0].name: 1.0} | {pattern.name: 1 - pattern.reached.flops for pattern in audit.patterns}
    return Section("size", "size", "Size and speed", tables=(removed, speed_sheet(speed, flops)))


def _again(audit: AuditFile, calibration: CalibrationSet, command: str) -> Section:
    versions = ", ".join(f"{name} {version}" for name, version in calibration.manifest.versions.items())
    seeds = f"seed {calibration.manifest.recipe.seed}, split seed {calibration.manifest.recipe.split_seed}"
    lines = [
        command,
        f"model        {audit.model.name} {audit.model.revision or ''} {audit.model.fingerprint}",
        f"calibration  {audit.calibration} ({seeds}; {versions})",
        *(f"pattern      {pattern.name} {pattern.sha256}" for pattern in audit.patterns),
        f"evop         {audit.version}, {audit.dtype}, at most {audit.max_tokens:,} tokens per passage",
    ]
    return Section("again", "reproduce", "How to reproduce this", code="\n".join(line for line in lines if line))
