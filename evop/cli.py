"""The command line: ``evop demo | calibrate | show | search | audit | prune``."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from calibration.errors import CalibrationError
from evop.errors import EvopError
from evop.version import __version__
from patterns.errors import PatternError

app = typer.Typer(
    help="Prune a language model so that its worst domain holds up.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console(width=None if sys.stdout.isatty() else 150)

Model = Annotated[str, typer.Option("--model", help="A Hugging Face folder or hub name.")]
SetFolder = Annotated[Path, typer.Option("--calibration", help="A calibration set's folder.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write; a folder.")]
Seed = Annotated[int, typer.Option(min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
BatchSize = Annotated[str, typer.Option(help="Passages of full length a forward pass, or auto.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]


@app.callback()
def _global(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    if version:
        console.print(__version__, highlight=False)
        raise typer.Exit


@app.command()
def demo(out: Out = Path("demo")) -> None:
    """The whole road on the embedded model and corpora, in a few minutes on two CPU cores."""
    from evop.demo import run_demo

    _quiet()
    run_demo(out, console)


@app.command()
def calibrate(
    domain: Annotated[list[str], typer.Option("--domain", help="NAME=FILE[:COLUMN] or NAME=REPO:CONFIG:SPLIT:COLUMN.")],
    out: Out,
    clusters: Annotated[str, typer.Option(help="Clusters a domain, or auto: the best silhouette.")] = "auto",
    passages: Annotated[int, typer.Option(min=1, help="Search passages a domain.")] = 64,
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
) -> None:
    """Build a calibration set: embed passages, cluster each domain, split, sample."""
    from calibration import build_calibration_set
    from evop.console import print_set
    from evop.recipe import calibration_recipe

    recipe = calibration_recipe(
        domain,
        group_by or (),
        clusters=_number_or_auto("--clusters", clusters) or "auto",
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
    )
    built = build_calibration_set(recipe, report=_say)
    built.save(out)
    print_set(console, built)
    console.print(f"calibration set: {out}   map of the clusters: {out / 'clusters.png'}", soft_wrap=True)


@app.command()
def show(folder: Annotated[Path, typer.Argument(help="A calibration set, a search run or an audit.")]) -> None:
    """Print what is in a calibration set, a search run or an audit."""
    from calibration import CalibrationSet
    from evop.audit_file import AuditFile
    from evop.console import print_audit, print_search, print_set
    from evop.stages.search import SearchResult

    if (folder / "audit.json").is_file():
        print_audit(console, AuditFile.find(folder))
    elif (folder / "trials.jsonl").is_file():
        print_search(console, SearchResult.read(folder))
    else:
        print_set(console, CalibrationSet.load(folder))


@app.command()
def search(
    model: Model,
    calibration: SetFolder,
    out: Out,
    remove: Annotated[float, typer.Option(help="Fraction of the decoder blocks to remove.")] = 0.25,
    grain: Annotated[str, typer.Option(help="layer or subblock.")] = "subblock",
    strategy: Annotated[str, typer.Option(help="cma, greedy or random.")] = "cma",
    objective: Annotated[str, typer.Option(help="worst, cvar or mean excess over the groups.")] = "worst",
    cost: Annotated[str, typer.Option(help="What --remove counts: params, flops or kv.")] = "params",
    deploy: Annotated[str, typer.Option(help="stock: the result is a stock architecture; any: free.")] = "stock",
    protect: Annotated[
        str | None, typer.Option(help="Parts that stay, such as layers.0.attn,layers.11.mlp; or none.")
    ] = None,
    evaluations: Annotated[
        int | None,
        typer.Option(
            min=1, help="Distinct patterns to measure at most; 400 where no limit is given, but greedy ends by itself."
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens to score at most, select included.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes to search at most.")] = None,
    max_tokens: Annotated[int, typer.Option(min=2, help="Tokens of a passage at most.")] = 512,
    min_group_tokens: Annotated[int, typer.Option(min=1, help="Tokens a group needs to enter the objective.")] = 256,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = "auto",
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Search the pattern whose worst group loses least; run the same command again to go on."""
    from evop.console import print_search, watching
    from evop.stages.search import search as run_search

    _quiet()
    parts = None if protect is None else () if protect == "none" else tuple(protect.split(","))
    with watching(console) as watch:
        result = run_search(
            model,
            calibration,
            out,
            watch=watch,
            remove=remove,
            grain=grain,
            strategy=strategy,
            objective=objective,
            cost=cost,
            deploy=deploy,
            protect=parts,
            evaluations=evaluations,
            tokens=tokens,
            minutes=minutes,
            max_tokens=max_tokens,
            min_group_tokens=min_group_tokens,
            seed=seed,
            device=device,
            dtype=dtype,
            batch_size=_number_or_auto("--batch-size", batch_size),
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
    print_search(console, result)
    console.print(f"pattern: {out / 'pattern.json'}", soft_wrap=True)


@app.command()
def audit(
    model: Model,
    calibration: SetFolder,
    pattern: Annotated[list[Path], typer.Option("--pattern", help="A pattern file or a search run; may be repeated.")],
    out: Out,
    max_tokens: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a passage at most; else as searched.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = "auto",
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Measure what the search never saw, group by group: dense, pruned, and a random pattern of equal size."""
    from evop.console import print_audit
    from evop.stages.audit import audit as run_audit

    _quiet()
    result = run_audit(
        model,
        calibration,
        pattern,
        out,
        report=_say,
        max_tokens=max_tokens,
        device=device,
        dtype=dtype,
        batch_size=_number_or_auto("--batch-size", batch_size),
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    print_audit(console, result.file)
    console.print(
        f"audit: {out / 'audit.json'}   rows: {out / 'audit.csv'}   picture: {out / 'audit.png'}", soft_wrap=True
    )


@app.command()
def prune(
    model: Model,
    pattern: Annotated[Path, typer.Option("--pattern", help="A pattern file or a search run.")],
    out: Out,
    audit: Annotated[Path | None, typer.Option(help="An audit to put into the model card.")] = None,
    revision: Revision = None,
    trust_remote_code: Trust = False,
) -> None:
    """Write the smaller checkpoint, and check in a fresh process that it computes what was measured."""
    from evop.stages.prune import prune as run_prune

    _quiet()
    run_prune(model, pattern, out, audit=audit, revision=revision, trust_remote_code=trust_remote_code, report=_say)


def main() -> None:
    """Run a command; what a person can mend is one line and exit code 2."""
    try:
        app()
    except (EvopError, CalibrationError, PatternError, OSError) as error:
        if "--debug" in sys.argv or (isinstance(error, OSError) and error.errno is None):
            raise
        print(f"evop: {_one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("evop: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError):
        full = "; free some space and run the same command again" if error.errno == errno.ENOSPC else ""
        return f"{error.filename or 'writing'}: {error.strerror}{full}"
    return " ".join(str(error).split())


def _say(line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _number_or_auto(option: str, given: str) -> int | None:
    if given == "auto":
        return None
    if not given.isdigit() or int(given) < 1:
        raise EvopError(f"{option} {given}: expected auto or a number from 1 on")
    return int(given)


def _quiet() -> None:
    """Keep the libraries' own progress bars and warnings off the screen; evop shows its own."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
