"""Choosing the table of a search: its own where it has one, else the one that is named, else one measured now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evop.errors import EvopError
from evop.files.json_file import inside
from evop.files.names import LATENCY
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import SPREAD
from evop.recipes.search import SearchRecipe
from evop.removal.opened import OpenedPattern
from evop.timing.table import LatencyTable
from evop.timing.workload import Workload
from patterns import PatternSpace

Report = Callable[[str], None]
BUSY = 0.3
"""Rounds that differ by a larger fraction of a block's time tell little of a level's."""


def refuse_options(recipe: SearchRecipe) -> None:
    """Check that options about a table come with a budget in time, and that the model is on one device.

    Raises:
        EvopError: they do not.
    """
    if recipe.counts_time and recipe.device == SPREAD:
        raise EvopError(f"--cost latency times a model on one device, so not with --device {SPREAD}")
    for name in ("latency_batch", "latency_context", "latency_decode", "latency_table"):
        if not recipe.counts_time and getattr(recipe, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise EvopError(f"{option} is for --cost latency, found --cost {recipe.costs}; leave {option} out")


def table_of_run(
    checkpoint: Checkpoint,
    space: PatternSpace,
    recipe: SearchRecipe,
    folder: Path,
    header: Mapping[str, Any] | None,
    report: Report,
) -> LatencyTable:
    """Choose the table by which a search counts its budget.

    Args:
        checkpoint: the model.
        space: the model's parts, without times.
        recipe: the recipe of the search.
        folder: folder of the run.
        header: header of the run's log, where it has begun; then the run's own table is the only one.
        report: is told when a table is measured.

    Raises:
        EvopError: a table of another model, of other levels or of another workload; or the run has lost its own.
    """
    own = folder / LATENCY
    if header is None:
        return given_or_measured(checkpoint, space, recipe, report)
    if not own.is_file():
        raise EvopError(f"{own} is missing, the times this search counts its budget with; put it back, or search anew")
    table = _fitting(own, checkpoint, space, recipe)
    if recipe.latency_table is not None:
        named = inside(recipe.latency_table, LATENCY)
        if LatencyTable.read(named).fingerprint != table.fingerprint:
            raise EvopError(
                f"--out {folder} holds a search by other times: its {LATENCY} is not --latency-table {named}; choose a "
                "new folder, or leave --latency-table out to go on with it"
            )
    return table


def given_or_measured(
    checkpoint: Checkpoint, space: PatternSpace, recipe: SearchRecipe, report: Report
) -> LatencyTable:
    """Read the table that ``--latency-table`` names, or measure one.

    Raises:
        EvopError: as ``table_of_run``.
    """
    if recipe.latency_table is not None:
        return _fitting(inside(recipe.latency_table, LATENCY), checkpoint, space, recipe)
    import torch

    from evop.timing.measure import measured_table

    workload = Workload.of(checkpoint.resolved, recipe.latency_batch, recipe.latency_context, recipe.latency_decode)
    report(f"timing every level of every part: {workload.words}")
    try:
        table = measured_table(checkpoint, space, workload, recipe.device, recipe.dtype)
    except torch.OutOfMemoryError as error:
        raise EvopError(
            f"out of memory while timing a {workload.words}; use a smaller --latency-batch or --latency-context"
        ) from error
    _refuse_noise(table, space)
    report(f"timed {table.rounds} times in turns: {table.words}; rounds differ by {table.unrest:.0%} of a block")
    if table.unrest > BUSY:
        report("this machine is busy, and the times are rough: time again when it is not, or with fewer threads")
    return table


def timed_as_searched(opened: OpenedPattern) -> PatternSpace:
    """Give the space of a pattern the times it was searched by; without any, the space stays as it is.

    Raises:
        EvopError: the table is missing, or another one.
    """
    expected, place = opened.file.latency, opened.latency
    if expected is None:
        return opened.space
    if not place.is_file():
        raise EvopError(
            f"{opened.place} was searched by measured times, but {place} is missing; copy it there from the run"
        )
    table = LatencyTable.read(place)
    if table.fingerprint != expected:
        raise EvopError(
            f"{place} ({table.fingerprint[:12]}) is not the table that {opened.place.name} was searched by "
            f"({expected[:12]}); copy the run's own there"
        )
    return table.timed(opened.space)


def _fitting(place: Path, checkpoint: Checkpoint, space: PatternSpace, recipe: SearchRecipe) -> LatencyTable:
    """Read a table, and check that it fits model, space and options."""
    table = LatencyTable.read(place)
    table.refuse_another(checkpoint, space, place)
    _refuse_noise(table, space)
    table.refuse_another_workload(recipe.latency_batch, recipe.latency_context, recipe.latency_decode, place)
    return table


def _refuse_noise(table: LatencyTable, space: PatternSpace) -> None:
    """Check that the blocks together take more than no time."""
    if table.timed(space).blocks.latency <= 0:
        raise EvopError(
            f"the blocks' time cannot be told from noise ({table.words}, timed {table.rounds} times); time again when "
            "the machine is less busy, or with a larger --latency-context"
        )
