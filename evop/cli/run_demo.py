"""The road that ``evop demo`` walks: calibrate, search, refit, audit, prune, on the embedded model and corpora."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.text import Text

from calibration import Recipe
from evop.console.audit import print_audit
from evop.console.calibration_set import print_set
from evop.console.plain import PlainConsole
from evop.console.recovery import print_refit, working
from evop.console.search import print_search
from evop.console.watching import watching
from evop.errors import EvopError
from evop.files.lock import LOCK, Writing
from evop.files.names import PATTERN
from evop.recipes.words import calibration_recipe
from evop.reference import corpus_files, model_dir
from evop.stages.audit import audit
from evop.stages.calibrate import calibrate
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.stages.search import search

EVALUATIONS = 60
"""Number of patterns that the search measures."""
RANDOM_PATTERNS = 4
"""Number of random patterns that the audit measures; fewer than it would by itself, for a demo has minutes."""
TRAIN_TOKENS = 2000
"""Tokens a domain that are kept to refit by."""
MARK = "demo.txt"
"""File that says that a folder was made by the demo and may be made again."""
MAX_TOKENS = 256
"""Tokens per passage at most: the embedded model was trained on sequences of this length."""


def run_demo(out: Path, console: PlainConsole) -> None:
    """Calibrate, search, refit, audit and prune; print each result, and where its files lie."""
    with Writing("demo", out, f"what is done is in {out}, and the demo begins anew").in_place():
        _walk(out, console)


def _walk(out: Path, console: PlainConsole) -> None:
    """Walk, as the only one who writes to the folder."""
    calibration, run, refitted, audited, pruned = _cleared(out)

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    def head(name: str, says: str) -> None:
        console.print(Text.assemble((name, "bold"), f": {says}"), soft_wrap=True)

    head("1. calibration set", "8 domains, 4 clusters each, one held out; of three, tasks too")
    built = calibrate(_recipe(), calibration)
    print_set(console, built)

    head("\n2. search", "which quarter of the decoder can go, judged by the groups that lose most")
    with watching(console) as watch:
        result = search(model_dir(), built, run, watch=watch, evaluations=EVALUATIONS, max_tokens=MAX_TOKENS)
    print_search(console, result)

    head("\n3. refit", "what stays makes up for what left, in closed form, on text kept for it")
    with working(console) as show:
        print_refit(console, refit(model_dir(), run, built, refitted, report=say, watch=show).file)

    head("\n4. audit", "passages and whole clusters that nothing was searched, chosen or fitted on")
    drawn: dict[str, Any] = {"random_patterns": RANDOM_PATTERNS, "random_refitted": 0}
    print_audit(console, audit(model_dir(), built, [run, refitted], audited, **drawn).file)

    head("\n5. prune", "a smaller checkpoint, checked in a fresh process")
    prune(model_dir(), refitted, pruned, audit=audited, report=say)
    say(f"\nreport:     {audited / 'report.html'}   (open it in a browser; the numbers: {audited / 'audit.csv'})")
    say(f"pattern:    {refitted / PATTERN}")
    say(f"checkpoint: {pruned}   (AutoModelForCausalLM.from_pretrained({str(pruned)!r}))")


def _recipe() -> Recipe:
    """Ask for the domains that ship with evop."""
    domains = [f"{name}={path}" for name, path in corpus_files().items()]
    return calibration_recipe(
        domains,
        group_by=["document"],
        clusters=4,
        embedder="lexical",
        passages=12,
        passage_chars=800,
        limit=600,
        select_passages=6,
        audit_passages=12,
        continuations=["code_python", "legal_statute", "math_word"],
        items=24,
        audit_items=24,
        train_tokens=TRAIN_TOKENS,
    )


def _cleared(out: Path) -> list[Path]:
    """Empty the demo's folder of an earlier demo; returns the folders of the five steps, in their order.

    Raises:
        EvopError: the folder holds something else.
    """
    folders = [out / name for name in ("set", "run", "refitted", "audit", "pruned")]
    if out.exists() and set(out.iterdir()) - {out / LOCK} and not (out / MARK).is_file():
        raise EvopError(f"--out {out} holds something else than an earlier demo; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("made by evop demo, which may replace what lies here\n")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return folders
