"""``evop calibrate``: domains in, a calibration set out."""

from __future__ import annotations

from typing import Annotated

import typer

from evop.cli.app import console, say
from evop.cli.options import Out, Seed, number_or_auto


def calibrate(
    out: Out,
    domain: Annotated[
        list[str] | None, typer.Option("--domain", help="NAME=FILE[:COLUMN] or NAME=REPO:CONFIG:SPLIT:COLUMN.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Questions with choices: NAME=FILE, NAME=REPO:CONFIG:SPLIT or NAME=lm_eval:TASK."),
    ] = None,
    task_columns: Annotated[
        list[str] | None,
        typer.Option(help="What a task's file calls its columns: NAME=query:question,choices:a+b,domain:subject."),
    ] = None,
    continuations: Annotated[
        list[str] | None,
        typer.Option(help="A domain of whose text a task is made (which ending is a passage's own?), or all."),
    ] = None,
    clusters: Annotated[str, typer.Option(help="Clusters per domain, or auto: the best silhouette.")] = "auto",
    passages: Annotated[int, typer.Option(min=1, help="Search passages per domain.")] = 64,
    items: Annotated[int, typer.Option(min=1, help="Search questions per domain of questions.")] = 128,
    hold_out: Annotated[float, typer.Option(help="Fraction of each domain's clusters kept unseen.")] = 0.2,
    group_by: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN that names the document of a row; DOMAIN=COLUMN for one domain, DOMAIN= for rows."),
    ] = None,
    embedder: Annotated[
        str, typer.Option(help="lexical, a sentence-transformers model, or precomputed:FILE.")
    ] = "lexical",
    sampler: Annotated[str, typer.Option(help="ccds, proportional, random or evop.")] = "ccds",
    seed: Seed = 0,
    split_seed: Seed = 0,
    passage_chars: Annotated[int, typer.Option(min=50, help="Wanted length of a passage, in characters.")] = 1000,
    limit: Annotated[int, typer.Option(min=1, help="Passages read of a domain at most.")] = 10000,
    min_group_tokens: Annotated[int, typer.Option(min=1, help="Estimated tokens a cluster needs in a split.")] = 512,
    select_passages: Annotated[int, typer.Option(min=1, help="Passages of a group in select at most.")] = 8,
    audit_passages: Annotated[int, typer.Option(min=1, help="Passages of a group in audit and unseen at most.")] = 24,
    min_group_items: Annotated[int, typer.Option(min=1, help="Items a cluster of a task needs in a split.")] = 8,
    select_items: Annotated[int, typer.Option(min=1, help="Items of a group in select at most.")] = 16,
    audit_items: Annotated[int, typer.Option(min=1, help="Items of a group in audit and unseen at most.")] = 100,
) -> None:
    """Build a calibration set of text and tasks: embed, cluster each domain, split, sample."""
    from calibration import build_calibration_set
    from evop.console.calibration_set import print_set
    from evop.recipes.words import calibration_recipe

    recipe = calibration_recipe(
        domain or (),
        group_by or (),
        task or (),
        task_columns or (),
        continuations=continuations or [],
        items=items,
        clusters=number_or_auto("--clusters", clusters) or "auto",
        passages=passages,
        hold_out=hold_out,
        embedder=embedder,
        sampler=sampler,
        seed=seed,
        split_seed=split_seed,
        passage_chars=passage_chars,
        limit=limit,
        min_group_tokens=min_group_tokens,
        select_passages=select_passages,
        audit_passages=audit_passages,
        min_group_items=min_group_items,
        select_items=select_items,
        audit_items=audit_items,
    )
    built = build_calibration_set(recipe, report=say)
    built.save(out)
    print_set(console, built)
    console.print(f"calibration set: {out}   map of the clusters: {out / 'clusters.png'}", soft_wrap=True)
