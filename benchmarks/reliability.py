"""Kills, full disks, second writers, damaged files, odd files: what evop makes of them.

    python benchmarks/reliability.py                            # all three tables, hours; goes on where it stopped
    python benchmarks/reliability.py --section stages --only prune --kills 4 --full 3 --pairs 4
    python benchmarks/reliability.py --section files --flips 200
    python benchmarks/reliability.py --table                    # the tables of what is done

``stages``: every stage runs in a process of its own, forked from this one, so that a kill costs no import: it is the
real stage and a real SIGKILL, at a moment of chance, twice a run. A full disk is a limit on how long a file may get, at
a size of chance below the largest that the stage writes. What is compared is what evop promises to be the same bytes.
``files``: every file torn at every byte of its last record (at most so many as are changed), and single bits of it
turned; "shorter" is a log without its last lines, which are measured again. ``readers``: the long tests of
``tests/faults/test_readers.py``, 10,000 cases a reader that hypothesis makes up, one process a reader.

Writes ``reliability-<section>.csv``, a row as soon as it is known, and ``.md``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import reliability_files
import reliability_stages
import torch
from transformers.utils import logging

TESTS = Path(__file__).parent.parent / "tests" / "faults" / "test_readers.py"
Row = dict[str, Any]


def stages(given: argparse.Namespace, done: set[str], base: Path) -> Iterator[Row]:
    """Kill, fill, double: a row a stage."""
    for name, stage in reliability_stages.stages(base).items():
        if name not in done and given.only in name:
            yield reliability_stages.tried(name, stage, base, given)


def files(given: argparse.Namespace, done: set[str], base: Path) -> Iterator[Row]:
    """Tear and change: a row a file, all of them again where one is missing."""
    if done:
        return
    reliability_stages.stages(base)
    home = reliability_stages.fresh(base)
    yield from reliability_files.damaged(home, base / "run", base / "set", given.flips, random.Random(given.seed))


def readers(given: argparse.Namespace, done: set[str], base: Path) -> Iterator[Row]:
    """Run the long tests one by one: a row a reader and kind of change."""
    pytest = [sys.executable, "-m", "pytest", "-o", "addopts=", "-o", "junit_family=legacy", "-p", "no:cacheprovider"]
    pytest += ["-n", "0", "-m", "long"]
    listed = subprocess.run([*pytest, "--collect-only", "-q", TESTS], capture_output=True, text=True, check=True)
    for name in [line.partition("::")[2] for line in listed.stdout.splitlines() if "::" in line]:
        if name in done or given.only not in name:
            continue
        report = base / "report.xml"
        subprocess.run([*pytest, f"{TESTS}::{name}", f"--junitxml={report}"], capture_output=True, check=False)
        case = next(ElementTree.parse(report).getroot().iter("testcase"))
        counts = {said.get("name", ""): int(said.get("value", "0")) for said in case.iter("property")}
        failed = case.find("failure") is not None or case.find("error") is not None
        yield {
            "reader": name,
            "read": counts.get("read", 0),
            "refused": counts.get("refused", 0),
            "failed": int(failed),
        }


def table_of_readers(frame: pd.DataFrame) -> str:
    """What came of it, a row a reader and kind of change."""
    lines = ["| reader | change | read | refused on one line | anything else |", "|---|---|--:|--:|--:|"]
    for row in frame.to_dict("records"):
        test, _, rest = row["reader"].partition("[")
        name = rest.rstrip("]").removesuffix("-10000").replace("10000", "chats.parquet")
        change = test.removeprefix("test_").replace("_", " ")
        lines.append(f"| {name} | {change} | {row['read']:,} | {row['refused']:,} | {row['failed']} |")
    return "\n".join(lines) + "\n"


SECTIONS = {
    "stages": (stages, reliability_stages.table),
    "files": (files, reliability_files.table),
    "readers": (readers, table_of_readers),
}


def main() -> None:
    """Try what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count, what in (
        ("kills", 10, "runs of each stage that are killed twice"),
        ("full", 5, "runs of each stage on a full disk"),
        ("pairs", 6, "pairs of each stage at once"),
        ("flips", 1000, "bits that are turned in each kind of file"),
    ):
        parser.add_argument(f"--{name}", type=int, default=count, help=what)
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and places")
    parser.add_argument("--section", action="append", choices=tuple(SECTIONS), help="all otherwise; may be repeated")
    parser.add_argument("--only", default="", help="stages or readers whose name holds this are tried, and no others")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--table", action="store_true", help="write the tables of what is done, try nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    # All forked processes share the lock of progress bars: one that is killed while it holds it would stop the others.
    logging.disable_progress_bar()
    for section in given.section or SECTIONS:
        written = given.results / f"reliability-{section}.csv"
        frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
        tries, table = SECTIONS[section]
        with tempfile.TemporaryDirectory() as folder:
            for row in (
                () if given.table else tries(given, set() if frame.empty else set(frame.iloc[:, 0]), Path(folder))
            ):
                frame = pd.concat([frame, pd.DataFrame([row])], ignore_index=True)
                frame.to_csv(written, index=False)
                print(f"{section}: {row}", flush=True)
        if not frame.empty:
            (given.results / f"reliability-{section}.md").write_text(table(frame))
            print(table(frame))


if __name__ == "__main__":
    main()
