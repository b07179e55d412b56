"""A fixed road walked twice, at two revisions or with other threads: what it writes, file by file.

The road calibrates on embedded corpora, searches by every strategy and every grain, audits and prunes, on the embedded
model with fixed seeds. Both walk it on this machine, one after the other, so that nothing but the code (or the threads)
differs. Times, and the names of folders in a page's command line, are left out of the comparison; nothing else is.

    python benchmarks/same_bytes.py --before 8a1cb64 --out same_bytes
    python benchmarks/same_bytes.py --threads 2 --out same_bytes      # this revision, with one thread and with two

``RENAMED`` says which keys have another name today; both files are read with the new ones. What follows from the bytes
of such a file, its sha256 in other files, is compared as being there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOMAINS = ("code_python", "legal_statute", "math_word")
CALIBRATE = ["--embedder", "lexical", "--clusters", "3", "--passages", "6", "--limit", "400", "--passage-chars", "500"]
CALIBRATE += ["--min-group-tokens", "200", "--select-passages", "3", "--audit-passages", "6", "--group-by", "document"]
CALIBRATE += ["--continuations", "code_python", "--continuations", "math_word", "--items", "16", "--audit-items", "16"]
SEARCH = ["--max-tokens", "128", "--min-group-tokens", "100", "--dtype", "float32", "--device", "cpu", "--seed", "3"]
SEARCHES = {
    **{
        name: ["--strategy", name, "--evaluations", "24"]
        for name in ("surrogate", "cma", "genetic", "policy", "random", "swap")
    },
    **{name: ["--strategy", name] for name in ("greedy", "oneshot")},
    "exhaustive": ["--strategy", "exhaustive", "--grain", "layer", "--remove", "0.17"],
    "cvar": ["--objective", "cvar", "--evaluations", "12", "--deploy", "any"],
    "mean": ["--objective", "mean", "--evaluations", "12", "--scale", "random"],
    "kl": ["--loss", "kl", "--evaluations", "12", "--no-bounds"],
    "questions": ["--loss", "accuracy", "--evaluations", "12", "--min-group-items", "4"],
    "both": ["--loss", "nll+accuracy", "--scale", "random", "--evaluations", "12", "--min-group-items", "4"],
    "head": ["--grain", "head", "--deploy", "any", "--evaluations", "12", "--remove", "0.1"],
    "channel": ["--grain", "channel", "--importance", "wanda", "--evaluations", "12"],
    "mixed": ["--grain", "mixed", "--deploy", "any", "--compensate", "bias", "--evaluations", "12"],
    "taylor": ["--grain", "channel", "--importance", "taylor", "--importance-over", "worst", "--evaluations", "8"],
    "flops": ["--cost", "flops", "--evaluations", "12"],
}
RENAMED = {"trials.jsonl": {"effort": "fidelity"}, "search.json": {"cut": "truncated"}}
"""File -> key at the older revision -> its name today."""
TIMES = re.compile(rb'"(threads|seconds|at|tokens_per_second|measured_at)": ?[^,}\]]+')
VERSIONS = re.compile(r'"schema": "(evop\.[\w.]+)/\d+"')
TEXT = (".json", ".jsonl", ".md", ".html", ".csv")
UNCOMPARED = {"timings.jsonl", "speed.json"}
"""Files of times and nothing else."""
PAGES = {"report.html", "README.md", "audit.png"}
"""Pages and pictures for people: their words may change. They are named where they differ, and do not count."""


def walk(tree: Path, out: Path, threads: int) -> None:
    """Walk the road with the code of one tree, and so many threads."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads), "COLUMNS": "120"}

    def evop(*words: str) -> None:
        done = subprocess.run([sys.executable, "-m", "evop", *words], cwd=out, env=environment, capture_output=True)
        if done.returncode:
            raise SystemExit(f"{tree}: evop {' '.join(words)}\n{done.stderr.decode()}")

    out.mkdir(parents=True)
    model, corpora = tree / "evop" / "reference" / "model", tree / "evop" / "reference" / "corpora"
    (out / "model").symlink_to(model)
    (out / "corpora").symlink_to(corpora)
    domains = [word for name in DOMAINS for word in ("--domain", f"{name}=corpora/{name}.parquet")]
    evop("calibrate", *domains, *CALIBRATE, "--out", "set")
    for name, options in SEARCHES.items():
        evop("search", "--model", "model", "--calibration", "set", "--out", f"run-{name}", *SEARCH, *options)
        print(f"{tree.name}: searched {name}", flush=True)
    runs = [word for name in SEARCHES for word in ("--pattern", f"run-{name}")]
    evop("audit", "--model", "model", "--calibration", "set", *runs, "--no-speed", "--out", "audit")
    for name in ("surrogate", "channel", "mixed"):
        evop("prune", "--model", "model", "--pattern", f"run-{name}", "--audit", "audit", "--out", f"pruned-{name}")
    print(f"{tree.name}: audited and pruned", flush=True)


def digests(top: Path) -> dict[str, str]:
    """Sha256 of every file that another may name -> the file's name."""
    files = (path for path in top.rglob("*") if path.is_file())
    return {hashlib.sha256(path.read_bytes()).hexdigest(): str(path.relative_to(top)) for path in files}


def compared(path: Path, names: dict[str, str]) -> bytes:
    """What of a file must not change; ``names`` are what to call other files by their sha256."""
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl"):
        text = content.decode()
        for old, new in RENAMED.get(path.name, {}).items():
            text = text.replace(f'"{old}":', f'"{new}":')
        content = TIMES.sub(b'"time"', VERSIONS.sub(r'"schema": "\1"', text).encode())
    if path.suffix in TEXT:
        for digest, name in names.items():
            content = content.replace(digest.encode(), name.encode()).replace(digest[:12].encode(), name.encode())
    return content


def differences(before: Path, after: Path) -> list[str]:
    """One line per file that is not the same."""
    both = [{str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()} for top in (before, after)]
    names = [digests(top) for top in (before, after)]
    lines = [f"{name}: only at the {('older', 'newer')[name in both[1]]} revision" for name in both[0] ^ both[1]]
    for name in sorted(both[0] & both[1]):
        if Path(name).name not in UNCOMPARED and compared(before / name, names[0]) != compared(after / name, names[1]):
            lines.append(f"{name}: differs")
    return sorted(lines)


def main() -> None:
    """Compare two revisions, and end with an error where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", default=ROOT, help="the older revision, or a tree of it; this one otherwise")
    parser.add_argument("--threads", type=int, default=1, help="of the second walk; the first has one")
    parser.add_argument("--out", type=Path, required=True, help="a folder for what both write")
    asked = parser.parse_args()
    tree = Path(asked.before)
    if not tree.is_dir():
        tree = asked.out / "tree"
        subprocess.run(["git", "-C", ROOT, "worktree", "add", "--detach", tree, asked.before], check=True)
    for place, code, threads in ((asked.out / "before", tree.resolve(), 1), (asked.out / "after", ROOT, asked.threads)):
        if not place.exists():
            walk(code, place, threads)
    different = differences(asked.out / "before", asked.out / "after")
    pages = [line for line in different if Path(line.split(":")[0]).name in PAGES]
    others = [line for line in different if line not in pages]
    count = sum(path.is_file() for path in (asked.out / "after").rglob("*"))
    print(f"{len(SEARCHES)} searches, {count} files: {len(others)} differ, and {len(pages)} pages for people", sep="\n")
    print(*others, *pages, sep="\n")
    sys.exit(bool(others))


if __name__ == "__main__":
    main()
