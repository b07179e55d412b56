"""The answer of a search, and where its time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evop.console.plain import PlainConsole
from evop.console.speed import print_speed
from evop.console.tables import new_table
from evop.evaluator import Profile
from evop.files.names import FRONTIER_PAGE as PAGE
from evop.losses.loss import Loss
from evop.losses.objectives import objective_words
from evop.removal.pattern_facts import Claim, Origin
from evop.removal.size import asked_and_reached
from evop.searching.result import SearchResult

LEFT_OUT_SHOWN = 8
"""Groups left out of the objective that are listed."""


def print_answer(console: PlainConsole, result: SearchResult) -> None:
    """Print the answer of a search, its speed where it was timed, and how much can go where that was asked."""
    if result.frontier is not None:
        console.print(f"of the budgets that were tried, {result.frontier.answer} is the answer's:", highlight=False)
    print_search(console, result)
    for line in result.statement:
        console.print(line, highlight=False, soft_wrap=True)
    if result.frontier is not None:
        every = f"every budget, to look at: {result.folder / PAGE}; one by name: --pattern {result.folder}@NAME"
        console.print(every, highlight=False, soft_wrap=True)
    if result.speed is not None:
        print_speed(console, result.speed)


def print_search(console: PlainConsole, result: SearchResult) -> None:
    """Print the answer of a search and what it claims."""
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
        f"{reached.flops:.1%} of FLOPs per token, {reached.kv:.1%} of the KV cache"
        + ("" if reached.latency is None else f", {reached.latency:.1%} of the predicted time of a request"),
        highlight=False,
        soft_wrap=True,
    )
    for asked, got in asked_and_reached(pattern):
        console.print(f"asked for: {asked}; reached: {got}", highlight=False, soft_wrap=True)
    if pattern.claim and pattern.origin:
        for line in _claimed(pattern.claim, pattern.origin, account.groups):
            console.print(line, highlight=False, soft_wrap=True)
    for key, why in list(account.left_out.items())[:LEFT_OUT_SHOWN]:
        console.print(f"left out of the objective: {key} ({why})", highlight=False, soft_wrap=True)
    if len(account.left_out) > LEFT_OUT_SHOWN:
        console.print(f"and {len(account.left_out) - LEFT_OUT_SHOWN} more groups: see search.json", soft_wrap=True)


def _claimed(claim: Claim, origin: Origin, labels: Mapping[str, str]) -> Iterator[str]:
    """Say the objective on each split, and the worst group and its loss, which is what a person asks for."""
    loss = Loss.named(origin.loss)
    unit = {
        "none": loss.unit,
        "random": "in units of a random pattern's",
        "tolerance": "1 being all that is tolerated",
    }[origin.scale]
    yield (
        f"claimed {objective_words(origin.objective, origin.tail)} {loss.word}: {claim.search:.4f} on search, "
        f"{claim.select:.4f} on select, {claim.pooled:.4f} on both, {unit}"
    )
    yield f"worst group on both: {labels[claim.worst_group]}, {claim.excess[claim.worst_group]:.4f} {loss.unit}"


def print_profile(console: PlainConsole, profile: Profile) -> None:
    """Print where the time of a search's measurements went, and how much of the work was really done."""
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
        f"{profile.tokens:,} tokens scored, {profile.tokens / total:,.0f} per second; padding added "
        f"{profile.padding:.1%}\n"
        f"blocks were run on {run:.0%} of the tokens that all patterns alone, dense and with every block, would have "
        f"taken, and looked up for {profile.cached / profile.padded:.0%}\n"
        f"peak memory {profile.peak_mb:,.0f} MiB of {profile.memory}; "
        f"{profile.cache_mb:,.0f} MiB of it are streams of the dense model that are kept",
        highlight=False,
        soft_wrap=True,
    )
