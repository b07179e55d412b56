"""What the command line prints: progress while it works, tables when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from calibration import CalibrationSet, describe
from evop.auditing.file import AuditFile, GroupRow
from evop.evaluator import Profile
from evop.meters import lost_of, unit_of
from evop.progress import Progress, Watch
from evop.stages.search import SearchResult

LEFT_OUT_SHOWN = 8
"""Groups left out of the objective that are listed."""
PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """A live line of progress on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda progress: live.update(_line(progress))
        return
    stage, at = "", 0.0

    def plain(progress: Progress) -> None:
        nonlocal stage, at
        now = time.monotonic()
        if progress.stage != stage or now - at > PLAIN_EVERY:
            stage, at = progress.stage, now
            console.print(_line(progress), highlight=False, soft_wrap=True)

    yield plain


def new_table(title: str) -> Table:
    """An empty table as evop prints them."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _line(progress: Progress) -> str:
    said = {
        "loading": "loading the model",
        "importance": "ranking units",
        "dense": "measuring the dense model",
        "timing": "timing the answer beside the dense model",
        "selecting": f"{progress.evaluations} evaluations; measuring the finalists on select",
    }
    if progress.stage in said:
        return said[progress.stage]
    line = f"{progress.evaluations} evaluations"
    if progress.share is not None:
        line += f" ({progress.share:.0%})"
    if progress.best is not None and progress.worst is not None:
        line += f" · best {progress.best:.4f} · its worst group {progress.worst_group} {progress.worst:.4f}"
    if progress.seconds_left is not None:
        minutes, seconds = divmod(int(progress.seconds_left), 60)
        line += f" · {minutes}:{seconds:02} left"
    return line


def print_set(console: Console, calibration: CalibrationSet) -> None:
    """What is in a calibration set."""
    table = new_table(f"calibration set {calibration.fingerprint[:12]}")
    for name in ("group", "search", "select", "audit", "unseen", "tokens (est.)"):
        table.add_column(name, justify="left" if name == "group" else "right", overflow="fold")
    domain = None
    for row in describe(calibration):
        if domain not in (None, row["domain"]):
            table.add_section()
        domain = row["domain"]
        counts = [str(row[split] or "·") for split in ("search", "select", "audit", "unseen")]
        label = f"{row['domain']}/{row['cluster']} {row['name']}"
        table.add_row(label + (" (held out)" if row["held_out"] else ""), *counts, f"{row['tokens']:,}")
    console.print(table)
    for note in calibration.manifest.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def print_search(console: Console, result: SearchResult) -> None:
    """The answer of a search and what it claims."""
    pattern, account = result.pattern, result.account
    console.print(
        f"{account.evaluations} evaluations, {account.tokens['total']:,} tokens, {account.seconds:.0f} s of measuring; "
        f"stopped by: {account.stopped}"
        + (
            "; nothing measured met the budget yet, the answer was completed from the ranking"
            if account.completed
            else ""
        ),
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"removed: {', '.join(pattern.words)}", highlight=False, soft_wrap=True)
    reached = pattern.reached
    console.print(
        f"that is {reached.block_params:.1%} of block parameters, {reached.params:.1%} of all parameters, "
        f"{reached.flops:.1%} of FLOPs a token, {reached.kv:.1%} of the KV cache"
        + ("" if reached.latency is None else f", {reached.latency:.1%} of the predicted time of a request"),
        highlight=False,
        soft_wrap=True,
    )
    if pattern.claim and pattern.origin:
        group = account.groups[pattern.claim.worst_group]
        console.print(
            f"claimed {pattern.origin.objective} {lost_of(pattern.origin.loss)}: "
            f"{pattern.claim.search:.4f} on search, "
            f"{pattern.claim.select:.4f} on select (worst group there: {group}), "
            + (unit_of(pattern.origin.loss) if pattern.origin.scale == "none" else "in units of a random pattern's"),
            highlight=False,
            soft_wrap=True,
        )
    for key, why in list(account.left_out.items())[:LEFT_OUT_SHOWN]:
        console.print(f"left out of the objective: {key} ({why})", highlight=False, soft_wrap=True)
    if len(account.left_out) > LEFT_OUT_SHOWN:
        console.print(f"and {len(account.left_out) - LEFT_OUT_SHOWN} more groups: see search.json", soft_wrap=True)


def print_profile(console: Console, profile: Profile) -> None:
    """Where the time of a search's measurements went, and how much of the work was really done."""
    total = sum(profile.seconds.values())
    if not profile.padded:
        console.print("profile: nothing was measured")
        return
    table = new_table("where the time went")
    table.add_column("stage")
    for name in ("seconds", "share"):
        table.add_column(name, justify="right")
    for stage, seconds in profile.seconds.items():
        table.add_row(stage, f"{seconds:.1f}", f"{seconds / total:.0%}")
    console.print(table)
    run = profile.block_tokens / profile.padded
    console.print(
        f"{profile.tokens:,} tokens scored, {profile.tokens / total:,.0f} a second; padding added "
        f"{profile.padding:.1%}\n"
        f"blocks were run on {run:.0%} of the tokens that all patterns alone, dense and with every block, would have "
        f"taken, and looked up for {profile.cached / profile.padded:.0%}\n"
        f"peak memory {profile.peak_mb:,.0f} MiB of {profile.memory}; "
        f"{profile.cache_mb:,.0f} MiB of it are streams of the dense model that are kept",
        highlight=False,
        soft_wrap=True,
    )


def print_audit(console: Console, audit: AuditFile) -> None:
    """Who pays: a row a group, then worst, 90th percentile and mean, then claimed beside measured."""
    console.print(_group_table(audit))
    console.print(_summary_table(audit))
    labels = {row.group: row.label for row in audit.groups}
    for pattern in audit.patterns:
        if pattern.claim and pattern.claimed_group_on_audit is not None:
            own = next(r for r in audit.summary if r.pattern == pattern.name and r.split == "audit")
            console.print(
                f"{pattern.name}: claimed {pattern.claim.select_excess[pattern.claim.worst_group]:.4f} for its worst "
                f"group ({labels[pattern.claim.worst_group]}); measured on audit, {own.equal_tokens:,} tokens a group: "
                f"{pattern.claimed_group_on_audit:.4f} there, {own.equal_worst:.4f} in audit's own worst group "
                f"({labels[own.equal_worst_group]})",
                highlight=False,
                soft_wrap=True,
            )


def _group_table(audit: AuditFile) -> Table:
    table = new_table("excess loss over the dense model, nats a token")
    table.caption = escape(f"[low, high]: {audit.interval}; [–] where a group is one document")
    table.caption_justify = "left"
    table.add_column("group", overflow="fold", min_width=24)
    for name in ("docs", "tokens", "dense ppl"):
        table.add_column(name, justify="right")
    for pattern in audit.patterns:
        table.add_column(f"{pattern.name} ppl", justify="right")
        table.add_column(escape("excess [low, high]"), justify="right", no_wrap=True)
    found = {(row.pattern, row.split, row.group): row for row in audit.groups}
    first = audit.patterns[0].name
    for split in dict.fromkeys(row.split for row in audit.groups):
        table.add_section()
        table.add_row(f"[bold]{split}[/bold]")
        mine = [row for row in audit.groups if row.split == split and row.pattern == first]
        for row in sorted(mine, key=lambda row: -row.excess):
            cells = [cell for pattern in audit.patterns for cell in _cells(found[pattern.name, split, row.group])]
            table.add_row(row.label, str(row.documents), f"{row.tokens:,}", f"{row.dense_perplexity:.1f}", *cells)
    return table


def _cells(row: GroupRow) -> tuple[str, str]:
    return f"{row.perplexity:.1f}", escape(f"{row.excess:.3f} {_interval(row.low, row.high)}")


def _interval(low: float | None, high: float | None) -> str:
    return "[–]" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def _summary_table(audit: AuditFile) -> Table:
    table = new_table("over the groups of a split")
    table.caption = (
        "removed: of block parameters / all parameters / FLOPs a token / KV-cache bytes a token (at 2,048 tokens)"
        + (" / predicted time" if any(pattern.reached.latency is not None for pattern in audit.patterns) else "")
    )
    table.caption_justify = "left"
    for name in ("split", "pattern"):
        table.add_column(name)
    for name in ("removed", escape("worst [low, high]"), "p90", "mean", "gap of the worst to the best pattern's"):
        table.add_column(name, justify="right")
    reached = {pattern.name: pattern.reached for pattern in audit.patterns}
    for row in audit.summary:
        gap = "best" if row.pattern == row.against else f"{row.gap:.3f} {_interval(row.gap_low, row.gap_high)}"
        gap += " (a tie)" if row.tie else ""
        worst = f"{row.worst:.3f} {_interval(row.worst_low, row.worst_high)}"
        gone = reached[row.pattern]
        removed = " / ".join(f"{100 * part:.1f}" for part in gone.model_dump().values()) + "%"
        cells = (removed, escape(worst), f"{row.p90:.3f}", f"{row.mean:.3f}", escape(gap))
        table.add_row(row.split, row.pattern, *cells)
    return table
