"""Kills, full disks, second writers and damaged files: what a stage that meets them leaves, beside one that does not.

    python benchmarks/reliability.py --kills 4 --full 3 --pairs 4 --flips 200

Every stage runs in a process of its own, forked from this one, so that a kill costs no import: it is the real stage and
a real SIGKILL, at a moment of chance. A full disk is a limit on how long a file may get, at a size of chance below the
largest that the stage writes. What is compared is what evop promises to be the same bytes, ``PROMISED``. The tables are
printed, line by line.
"""

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

from damage import AUDITING, REFUSED, damaged

from calibration import Recipe
from evop.reference import corpus_files, model_dir
from evop.stages.audit import audit
from evop.stages.calibrate import calibrate
from evop.stages.heal import heal
from evop.stages.prune import prune
from evop.stages.run import run
from evop.stages.search import search
from patterns import STRATEGIES

PROMISED = ("trials.jsonl", "pattern.json", "*.safetensors", "config.json", "manifest.json", "passages.parquet")
PROMISED += ("centroids.npy", "audit.csv")
OPTIONS = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32"}
LIMITS = {"exhaustive": {"grain": "layer", "remove": 0.17}, "greedy": {}, "oneshot": {}}
HEALING = {"tokens": 1200, "look_every": 400, "batch_tokens": 200, "rank": 4, "max_tokens": 64, "min_group_tokens": 100}
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
    recipes = base / "recipe.yaml"

    def searched(strategy: str) -> Stage:
        limits = LIMITS.get(strategy, {"evaluations": 24})
        return lambda home: search(model_dir(), given, home / "out", strategy=strategy, **OPTIONS, **limits)

    def ran(home: Path) -> object:
        words = "".join(f"  {key}: {value}\n" for key, value in OPTIONS.items())
        recipes.write_text(
            f"model: {model_dir()}\nout: {home / 'out'}\ncalibration: {given}\naudit: false\nprune: none\n"
            f"search:\n  strategy: [oneshot, greedy]\n{words}"
        )
        return run(recipes)

    return {
        **{f"search, {strategy}": searched(strategy) for strategy in STRATEGIES},
        "calibrate": lambda home: calibrate(recipe, home / "out"),
        "run": ran,
        "audit": lambda home: audit(model_dir(), given, found, home / "out", random_patterns=2, **AUDITING),
        "prune": lambda home: prune(model_dir(), found, home / "out", parity=False),
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


def tried(name: str, stage: Stage, base: Path, arguments: argparse.Namespace, chance: random.Random) -> str:
    """Kill a stage, fill its disk and give it company; returns one line of the table."""
    whole = fresh(base)
    at = time.monotonic()
    if (code := ended(begun(stage, whole))) != 0:
        raise SystemExit(f"{name} alone ends with {code}")
    seconds, wanted = time.monotonic() - at, promised(whole)
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    counts: Counter[str] = Counter()
    for _ in range(arguments.kills):
        home = fresh(base)
        for _ in range(2):
            child = begun(stage, home)
            time.sleep(chance.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            counts["hit"] += ended(child) == -signal.SIGKILL
        counts["kills same"] += ended(begun(stage, home)) == 0 and promised(home) == wanted
        counts["left"] += left(home)
        shutil.rmtree(home)
    for _ in range(arguments.full):
        home = fresh(base)
        code = ended(begun(stage, home, room=int(chance.uniform(0, largest))))
        counts["clean"] += code in (0, 2)
        counts["full same"] += ended(begun(stage, home)) == 0 and promised(home) == wanted
        counts["left"] += left(home)
        shutil.rmtree(home)
    for _ in range(arguments.pairs):
        home = fresh(base)
        pair = [begun(stage, home), begun(stage, home)]
        codes = sorted(map(ended, pair))
        counts["refused"] += codes == [0, 2]
        counts["pair bytes"] += promised(home) == wanted
        shutil.rmtree(home)
    shutil.rmtree(whole)
    return (
        f"| {name} | {counts['hit']} | {counts['kills same']} of {arguments.kills} | {counts['clean']} of "
        f"{arguments.full} | {counts['full same']} of {arguments.full} | {counts['refused']} of {arguments.pairs} | "
        f"{counts['pair bytes']} of {arguments.pairs} | {counts['left']} |"
    )


def main() -> None:
    """Try what was asked for, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count, what in (
        ("kills", 4, "runs of each stage that are killed twice"),
        ("full", 3, "runs of each stage on a full disk"),
        ("pairs", 4, "pairs of each stage at once"),
        ("flips", 200, "bits that are turned in each kind of file"),
    ):
        parser.add_argument(f"--{name}", type=int, default=count, help=what)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and places")
    parser.add_argument("--only", default="", help="stages whose name holds this are tried, and no others")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    heads = "| stage | kills that hit | resumed: same bytes | full disk: clean | then: same bytes |"
    print(heads + " two at once: one refused | same bytes | left over |")
    print("|---|" + "--:|" * 7)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for name, stage in stages(base).items():
            if arguments.only in name:
                print(tried(name, stage, base, arguments, chance), flush=True)
        if not arguments.flips:
            return
        outcomes = "detected | same | shorter | another | traceback |"
        print(f"\n| file | torn: {outcomes} changed: {outcomes}")
        print("|---|" + "--:|" * 10)
        for line in damaged(fresh(base), base / "run", base / "set", arguments.flips, chance):
            print(line, flush=True)


if __name__ == "__main__":
    main()
