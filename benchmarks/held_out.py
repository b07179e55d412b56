"""Does fitness on held-out clusters carry over better? Each domain left out of the search in turn.

    python benchmarks/held_out.py                # the embedded model and corpora; resumable

For every seed, every grain and every domain, two searches that see nothing of the domain (``--hold-out-domain``): one
judges thinned parts on the passages that rank their units (``--fitness-on all``), one on other clusters, crosswise
(``held-out``). A seed draws the search sample and seeds the strategy; both measure as many patterns.
Their answers are measured on three kinds of groups: ``audit`` of the domains that were searched, ``unseen`` clusters of
these, and all of the domain that was left out. Writes ``held-out.csv`` (one row a search) and ``held-out.md``: medians,
and the paired difference, held-out minus all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from processes import one_thread
from rivals import ASKED, HOW, embedded_domains
from rivals_table import spread

from calibration import CalibrationSet, build_calibration_set
from calibration.passage import domain_of
from evop.evaluator import Evaluator
from evop.files.json_file import write_json
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.space import pattern_space
from evop.stages.search import search
from evop.tokens.passages import tokenize

DOMAINS = ("biomedical", "code_python", "legal_statute", "math_word", "tech_docs")
"""Five of the embedded corpora; a search sees four of them."""
GRAINS = {"channel": 0.25, "mixed": 0.25, "head": 0.125}
"""Grain -> what is removed."""
EVALUATIONS = {"channel": 30, "mixed": 150, "head": 60}
"""Grain -> patterns a search measures, most on a part of the sample; the halves' rankings read it once more."""
ARMS = ("all", "held-out")
SEEDS = (0, 1, 2)
PASSAGES = 8
"""Search passages per domain: two or three of each searched cluster."""
TRUNCATED = {"max_tokens": 64, "min_group_tokens": 96}
"""Passages are cut there, so that a search takes half a minute."""
PLACES = ("audit", "unseen", "left out")
"""Groups of searched domains, whole clusters of these that were never searched, and the domain that was left out."""


def calibration(work: Path, seed: int) -> CalibrationSet:
    """The set whose search passages a seed drew; ``audit`` and ``unseen`` are the same for all."""
    folder = work / f"set-{seed}"
    if not folder.is_dir():
        recipe = calibration_recipe(
            tuple(domain for domain in embedded_domains() if domain.partition("=")[0] in DOMAINS),
            group_by=["document"],
            clusters=4,
            embedder="lexical",
            passages=PASSAGES,
            passage_chars=800,
            limit=1500,
            min_group_tokens=250,
            select_passages=2,
            audit_passages=6,
            seed=seed,
        )
        build_calibration_set(recipe).save(folder)
    return CalibrationSet.load(folder)


class Judge:
    """Measures what patterns lose on the groups that no search of theirs saw.

    Args:
        calibration: the set of one seed.
        loaded: the dense model.
    """

    def __init__(self, calibration: CalibrationSet, loaded: LoadedModel) -> None:
        self._groups = {group.key: group for group in calibration.groups}
        held = [*calibration.split("audit"), *calibration.split("unseen")]
        self._passages = tokenize(held, loaded.tokenizer, TRUNCATED["max_tokens"])
        space = pattern_space(loaded.checkpoint, "subblock")
        self._evaluator = Evaluator.of(loaded, space, TRUNCATED["max_tokens"], HOW["batch_size"])
        self._dense = self._evaluator.dense(self._passages).by_group

    def row(self, run: Path, left_out: str) -> dict[str, float]:
        """The worst and the mean excess of a run's answer in every place, nats per token."""
        opened = open_pattern(run, self._evaluator.loaded.checkpoint)
        (table,) = self._evaluator.of_cuts([opened.cut], self._passages)
        of_place: dict[str, list[float]] = {place: [] for place in PLACES}
        for key, lost in excess(table.by_group, self._dense).items():
            unseen = "unseen" if self._groups[key].unseen else "audit"
            of_place["left out" if domain_of(key) == left_out else unseen].append(lost)
        claim = opened.file.claim
        assert claim is not None
        numbers = {f"{place} worst": max(values) for place, values in of_place.items()}
        numbers |= {f"{place} mean": float(np.mean(values)) for place, values in of_place.items()}
        return {**numbers, "search": claim.search, "select": claim.select, "pooled": claim.pooled}


def run(work: Path, seeds: Iterable[int], grains: Iterable[str]) -> None:
    """Search what is missing, and measure every answer."""
    loaded = load_model(Checkpoint.find(model_dir()), "cpu", "float32")
    for seed in seeds:
        made = calibration(work, seed)
        judge = Judge(made, loaded)
        for domain, grain, arm in product(DOMAINS, grains, ARMS):
            name = f"{grain}-{domain}-{arm}-seed{seed}"
            if (work / f"{name}.json").is_file():
                continue
            options = {
                "grain": grain,
                "remove": GRAINS[grain],
                "evaluations": EVALUATIONS[grain],
                "seed": seed,
                **ASKED,
            }
            options |= {**TRUNCATED, "fitness_on": arm, "hold_out_domain": domain}
            search(model_dir(), made, work / name, **options)
            row = {
                "grain": grain,
                "left_out": domain,
                "seed": seed,
                "fitness_on": arm,
                **judge.row(work / name, domain),
            }
            write_json(work / f"{name}.json", row)
            print(name, *(f"{place} {row[f'{place} mean']:.3f}" for place in PLACES), flush=True)


def measured(work: Path) -> pd.DataFrame:
    """One row a search, of pairs of which both searches are done."""
    frame = pd.DataFrame([json.loads(path.read_text()) for path in sorted(work.glob("*-seed*.json"))])
    keys = ["grain", "left_out", "seed"]
    whole = frame.groupby(keys)["fitness_on"].transform("count") == len(ARMS)
    return frame[whole].sort_values([*keys, "fitness_on"]).reset_index(drop=True)


def table(frame: pd.DataFrame) -> str:
    """Medians of both arms, and the paired differences, as Markdown; negative where held-out loses less."""
    lines = [
        "| grain | what | all | held-out | held-out minus all | held-out is better in |",
        "|---|---|---|---|---|---|",
    ]
    for grain in frame["grain"].unique():
        pairs = frame[frame["grain"] == grain].pivot(index=["left_out", "seed"], columns="fitness_on")
        for what in ("search", "select", *(f"{place} {which}" for place in PLACES for which in ("worst", "mean"))):
            one, other = (pairs[what][arm] for arm in ARMS)
            gap = other - one
            won = f"{int((gap < 0).sum())} of {len(gap)}"
            name = f"claimed on {what}" if what in ("search", "select") else what
            lines.append(f"| {grain} | {name} | {spread(one)} | {spread(other)} | {signed(gap)} | {won} |")
    return "\n".join(lines) + "\n"


def signed(gap: pd.Series) -> str:
    """Median and quartiles of a difference, and its mean with the standard error."""
    low, middle, high = gap.quantile([0.25, 0.5, 0.75])
    error = gap.std() / len(gap) ** 0.5
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]; mean {gap.mean():+.4f} ± {error:.4f}"


def main() -> None:
    """Run what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("runs/held-out"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where tables are written")
    parser.add_argument("--seed", action="append", type=int, help="0, 1 and 2 otherwise; may be repeated")
    parser.add_argument("--grain", action="append", choices=tuple(GRAINS), help="all otherwise; may be repeated")
    parser.add_argument("--table", action="store_true", help="write the tables of what is done, and search nothing")
    given = parser.parse_args()
    if not given.table:
        one_thread()
        run(given.work, given.seed or SEEDS, given.grain or GRAINS)
    frame = measured(given.work)
    given.results.mkdir(parents=True, exist_ok=True)
    frame.to_csv(given.results / "held-out.csv", index=False, float_format="%.5f")
    text = table(frame)
    (given.results / "held-out.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
