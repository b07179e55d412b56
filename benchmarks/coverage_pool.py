"""Pools of measured documents, whose means are the truth that simulated audits are held against.

    python benchmarks/coverage_pool.py embedded
    python benchmarks/coverage_pool.py elsewhere --domain web=web.jsonl --domain wiki=wiki.jsonl --clusters 6 --seed 1

A pool is the embedded model's losses on many documents of every group, under a pattern that was searched, three of its
neighbours, and four random patterns of the same size. Writes ``benchmarks/results/coverage-<name>.npz``: numbers
alone, no text.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rivals import HOW, embedded_domains

from calibration import CalibrationSet, Passage, build_calibration_set
from evop.evaluator import Evaluator
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.stages.search import search
from evop.tokens.passages import tokenize
from patterns import Budget

MAX_TOKENS, REMOVE, EVALUATIONS = 96, 0.25, 40
NEIGHBOURS, RANDOM = 3, 4
A_GROUP = 90
"""Passages of a group at most."""
RESULTS = Path("benchmarks/results")


@dataclass(frozen=True)
class Pool:
    """Documents of several groups, as they were measured.

    Attributes:
        groups: the group of each document, int64 [documents].
        tokens: scored tokens of each document, float64 [documents].
        extra: what each pattern loses on each document beyond the dense model, nats, float64 [patterns, documents].
    """

    groups: np.ndarray
    tokens: np.ndarray
    extra: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Pool:
        """Read a pool that was measured before."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["groups"].astype(int), file["tokens"].astype(float), file["extra"].astype(float))

    def save(self, path: Path) -> None:
        """Write it, as small as it can be without losing what matters."""
        arrays = {"groups": self.groups.astype(np.int16), "tokens": self.tokens.astype(np.int32)}
        np.savez_compressed(path, **arrays, extra=self.extra.astype(np.float32))


def measured(name: str, domains: tuple[str, ...], clusters: int, seed: int, work: Path) -> Pool:
    """Measure a pool; the set and the search are kept in ``work``."""
    if not (work / "set").is_dir():
        recipe = calibration_recipe(
            domains,
            group_by=["document"] if name == "embedded" else [],
            clusters=clusters,
            embedder="lexical",
            hold_out=0.0,
            passages=4 * clusters,
            passage_chars=400,
            limit=3000,
            min_group_tokens=100,
            select_passages=2,
            audit_passages=90,
            seed=seed,
        )
        build_calibration_set(recipe, report=print).save(work / "set")
    calibration = CalibrationSet.load(work / "set")
    options = {"remove": REMOVE, "deploy": "any", "max_tokens": MAX_TOKENS, "evaluations": EVALUATIONS, "seed": seed}
    search(model_dir(), calibration, work / "run", min_group_tokens=64, **options, **HOW)
    return _on_documents(calibration, work / "run", seed)


def _on_documents(calibration: CalibrationSet, run: Path, seed: int) -> Pool:
    """Measure the answer of a search, its neighbours and random patterns on the audit split, document by document."""
    checkpoint = Checkpoint.find(model_dir())
    loaded = load_model(checkpoint, HOW["device"], HOW["dtype"], False)
    opened = open_pattern(run, checkpoint)
    budget, rng = Budget(opened.space, REMOVE), np.random.default_rng(seed)
    near = [budget.move(opened.pattern, rng) for _ in range(NEIGHBOURS)]
    patterns = [opened.pattern, *near, *(budget.draw(rng) for _ in range(RANDOM))]
    passages = tokenize(_first(calibration.split("audit")), loaded.tokenizer, MAX_TOKENS)
    evaluator = Evaluator.of(loaded, opened.space, MAX_TOKENS, HOW["batch_size"])
    dense = evaluator.dense(passages).loss
    lost = np.array([table.loss - dense for table in evaluator.losses(patterns, passages)])
    keys = sorted(set(zip(passages.groups, passages.documents, strict=True)))
    at = {key: i for i, key in enumerate(keys)}
    owner = np.array([at[key] for key in zip(passages.groups, passages.documents, strict=True)])
    names = sorted(set(passages.groups))
    return Pool(
        np.array([names.index(group) for group, _ in keys]),
        np.bincount(owner, weights=passages.counts),
        np.array([np.bincount(owner, weights=row) for row in lost]),
    )


def _first(passages: Sequence[Passage]) -> list[Passage]:
    """Take the first passages of every group."""
    taken: Counter[str] = Counter()
    chosen = []
    for passage in passages:
        taken[passage.group] += 1
        if taken[passage.group] <= A_GROUP:
            chosen.append(passage)
    return chosen


def main() -> None:
    """Measure one pool."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", help="embedded, for the embedded corpora; any other with --domain")
    parser.add_argument("--domain", action="append", help="NAME=FILE; may be repeated")
    parser.add_argument("--clusters", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the search and of the random patterns")
    parser.add_argument("--work", type=Path, default=Path("runs/coverage"), help="sets and searches")
    given = parser.parse_args()
    pool = measured(
        given.name, tuple(given.domain or embedded_domains()), given.clusters, given.seed, given.work / given.name
    )
    pool.save(RESULTS / f"coverage-{given.name}.npz")
    print(f"{len(pool.tokens):,} documents in {len(set(pool.groups.tolist()))} groups, {len(pool.extra)} patterns")


if __name__ == "__main__":
    main()
