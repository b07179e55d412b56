"""Stages that are killed, run out of disk or have company: what they leave; the first table of ``reliability.py``."""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from reliability_files import AUDITING, REFUSED

from calibration import Recipe
from evop.recipes.run import RunRecipe
from evop.reference import corpus_files, model_dir
from evop.stages.audit import audit
from evop.stages.calibrate import calibrate
from evop.stages.heal import heal
from evop.stages.prune import prune
from evop.stages.refit import refit
from evop.stages.run import run
from evop.stages.search import search
from patterns import STRATEGIES

PROMISED = ("trials.jsonl", "pattern.json", "*.safetensors", "config.json", "manifest.json", "passages.parquet")
PROMISED += ("centroids.npy", "audit.csv")
SEARCHING, RUNNING = {"max_tokens": 32, "min_group_tokens": 20}, {"device": "cpu", "dtype": "float32"}
OPTIONS = {**SEARCHING, **RUNNING}
LIMITS = {"exhaustive": {"grain": "layer", "remove": 0.17}, "greedy": {}, "oneshot": {}}
HEALING = {"tokens": 1200, "look_every": 400, "batch_tokens": 200, "rank": 4, "max_tokens": 64, "min_group_tokens": 100}
COUNTS = ("hit", "resumed", "clean", "with room again", "refused", "one answer", "left over")
REFITTING = {"max_tokens": 64, "device": "cpu", "dtype": "float32"}
Stage = Callable[[Path], object]


def stages(base: Path) -> dict[str, Stage]:
    """Make the stages that are tried, each a function of the folder that it writes into."""
    recipe = Recipe.model_validate(
        {
            "domains": [
                {"name": name, "source": str(corpus_files()[name])}
                for name in ("code_python", "legal_statute", "math_word")
            ],
            **{"group_by": "document", "clusters": 3, "embedder": "lexical", "passages": 6, "limit": 150},
            **{"passage_chars": 500, "min_group_tokens": 200, "select_passages": 3, "audit_passages": 4},
            "train_tokens": 1500,
        }
    )
    given, found = base / "set", base / "run"
    calibrate(recipe, given)
    search(model_dir(), given, found, strategy="oneshot", **OPTIONS)

    def searched(strategy: str) -> Stage:
        limits = LIMITS.get(strategy, {"evaluations": 24})
        return lambda home: search(model_dir(), given, home / "out", strategy=strategy, **OPTIONS, **limits)

    def ran(home: Path) -> object:
        searching = {**SEARCHING, "strategy": ["oneshot", "greedy"]}
        asked = {"model": model_dir(), "calibration": given, "audit": False, "prune": "none", **RUNNING}
        return run(RunRecipe.of(out=home / "out", search=searching, **asked))

    return {
        **{f"search, {strategy}": searched(strategy) for strategy in STRATEGIES},
        "calibrate": lambda home: calibrate(recipe, home / "out"),
        "run": ran,
        "audit": lambda home: audit(model_dir(), given, found, home / "out", random_patterns=2, **AUDITING),
        "prune": lambda home: prune(model_dir(), found, home / "out", parity=False),
        "refit": lambda home: refit(model_dir(), found, given, home / "out", **REFITTING),
        "heal": lambda home: heal(model_dir(), found, given, home / "out", **HEALING, device="cpu", dtype="float32"),
    }


def begun(stage: Stage, home: Path, room: int | None = None) -> int:
    """Fork a process that runs a stage: it ends with 0, with 2 where it refuses on one line, with 1 on a traceback."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        stage(home)
        code = 0
    except REFUSED:
        code = 2
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a process; returns how it ended, a signal as its number below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def promised(home: Path) -> dict[str, bytes]:
    """Read what must be the same bytes."""
    paths = {path for pattern in PROMISED for path in (home / "out").rglob(pattern)}
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(paths) if path.is_file()}


def left(home: Path) -> int:
    """Count what should not be there any more: hidden files and folders, drafts, locks."""
    return sum(path.name.startswith(".") or ".tmp" in path.name for path in home.rglob("*"))


def fresh(base: Path) -> Path:
    """Make a new folder."""
    return Path(tempfile.mkdtemp(dir=base))


def tried(name: str, stage: Stage, base: Path, asked: argparse.Namespace) -> dict[str, object]:
    """Kill a stage, fill its disk and give it company; returns one row of the table."""
    chance = random.Random(f"{asked.seed} {name}")
    whole = fresh(base)
    at = time.monotonic()
    if (code := ended(begun(stage, whole))) != 0:
        raise SystemExit(f"{name} alone ends with {code}")
    seconds, wanted = time.monotonic() - at, promised(whole)
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    shutil.rmtree(whole)
    found: Counter[str] = Counter()
    for _ in range(asked.kills):
        home = fresh(base)
        for _ in range(2):
            child = begun(stage, home)
            time.sleep(chance.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            found["hit"] += ended(child) == -signal.SIGKILL
        # A stage that was through before it could be killed may refuse to write over what is there.
        found["resumed"] += ended(begun(stage, home)) in (0, 2) and promised(home) == wanted
        found["left over"] += left(home)
        shutil.rmtree(home)
    for _ in range(asked.full):
        home = fresh(base)
        code = ended(begun(stage, home, room=int(chance.uniform(0, largest))))
        found["clean"] += code in (0, 2)
        found["with room again"] += ended(begun(stage, home)) == 0 and promised(home) == wanted
        found["left over"] += left(home)
        shutil.rmtree(home)
    for _ in range(asked.pairs):
        home = fresh(base)
        pair = [begun(stage, home), begun(stage, home)]
        codes = sorted(map(ended, pair))
        found["refused"] += codes == [0, 2]
        found["one answer"] += promised(home) == wanted
        shutil.rmtree(home)
    return {"stage": name, "kills": asked.kills, "full": asked.full, "pairs": asked.pairs} | {
        key: found[key] for key in COUNTS
    }


def table(frame: pd.DataFrame) -> str:
    """What came of it, a row a stage and one of all of them."""
    lines = ["| stage | kills that hit | then the same bytes | full disk: one line | then the same bytes |"]
    lines[0] += " two at once: one refused | the same bytes | left over |"
    lines.append("|---|" + "--:|" * 7)
    whole = pd.DataFrame([{"stage": "**all**", **frame.drop(columns="stage").sum()}])
    for row in pd.concat([frame, whole]).to_dict("records"):
        lines.append(
            f"| {row['stage']} | {row['hit']} | {row['resumed']} of {row['kills']} | {row['clean']} of {row['full']} | "
            f"{row['with room again']} of {row['full']} | {row['refused']} of {row['pairs']} | "
            f"{row['one answer']} of {row['pairs']} | {row['left over']} |"
        )
    return "\n".join(lines) + "\n"
