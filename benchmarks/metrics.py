"""Does it matter by which metric heads, channels and weights leave, and does evolving one pay?

    python benchmarks/metrics.py                       # the embedded model; goes on where its CSV ends
    python benchmarks/metrics.py --grain channel --seeds 1
    python benchmarks/metrics.py --table               # the table of the cells that are done

Of the embedded domains five are searched and three kept away, others for every seed. Channels, or heads and channels,
give a quarter of the decoder by one ranking over the model (``evop search --strategy oneshot``); of weights half of
every row leave, or two of four. Published metrics are taken as they are; three are searched with ``--evaluations``
metrics each, so with equal tokens: OptiShear's by NSGA-III and the distance of logits, and trees bred as Pruner-Zero's
by the mean excess and by that of the worse half. ``flap, searched`` is a search of patterns of as many tokens.

Each answer is judged as it is, and refitted: units by ``evop refit`` (a chain, ridge 0.1, no anchor), weights by least
squares of every row. What is judged is nothing that was searched, chosen or fitted on: audit (new passages of the same
groups), unseen (whole clusters) and the three domains. Writes ``metrics.csv`` and ``metrics.md``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from metrics_table import table
from rivals import embedded_domains
from weight_masks import Sums, WeightMasks
from weight_search import WeightSearch

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.files.json_file import write_json
from evop.importance.metric_file import MetricFile
from evop.losses.objectives import OBJECTIVES
from evop.losses.table import excess
from evop.metrics.methods import Asked
from evop.metrics.metric import Metric
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.words import calibration_recipe
from evop.recovery.text import LearningText
from evop.reference import model_dir
from evop.removal.cut import Cut
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.searching.passages import ObjectivePassages, objective_passages
from evop.searching.search_file import SearchFile
from evop.stages.metric import search_metric
from evop.stages.refit import refit
from evop.stages.search import search
from evop.tokens.passages import tokenize

UNITS, WEIGHTS = {"channel": 0.25, "mixed": 0.25}, {"weight 50%": 0.5, "weight 2:4": "2:4"}
GRAINS = ("channel", "weight 50%", "mixed", "weight 2:4")
MAX_TOKENS, KEPT_AWAY = 48, 3
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 8}
ASKED: dict[str, Any] = {"max_tokens": MAX_TOKENS, "min_group_tokens": 48, "deploy": "any", **HOW}
PUBLISHED = ("magnitude", "wanda", "ria", "flap", "taylor", "pruner-zero")
OF_WEIGHTS = {
    "magnitude": "|W|",
    "wanda": "|W| * sqrt(X)",
    "ria": "(|W| / rowsum(|W|) + |W| / colsum(|W|)) * sqrt(sqrt(X))",
    "taylor": "|W| * G",
    "pruner-zero": "|W * W| * minmax(G)",
}
"""The published metrics of weights; FLAP's is of units alone, and the change to first order is by each passage's G."""
EVOLVED: dict[str, dict[str, Any]] = {
    "OptiShear's": {"method": "optishear", "objective": "mean", "loss": "reconstruction"},
    "evolved, mean": {"method": "pruner-zero", "objective": "mean"},
    "evolved, worse half": {"method": "pruner-zero", "objective": "cvar"},
}
LAYERS = ", layers too"
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """All metrics of a grain and a seed."""

    grain: str
    seed: int
    evaluations: int
    work: Path

    @property
    def folder(self) -> Path:
        """Where its runs lie."""
        return self.work / f"{self.grain.replace(' ', '-').replace(':', '').strip('%')}-seed{self.seed}"

    def calibration(self, *, away: bool) -> CalibrationSet:
        """Three clusters a domain to search, and one unseen."""
        folder = self.work / f"set-{'away' if away else 'named'}-{self.seed}"
        names = embedded_domains()
        kept_away = [names[(KEPT_AWAY * self.seed + i) % len(names)] for i in range(KEPT_AWAY)]
        if not folder.is_dir():
            recipe = calibration_recipe(
                [name for name in names if (name in kept_away) is away],
                group_by=["document"], clusters=4, embedder="lexical", hold_out=0.25, passages=9, passage_chars=250,
                limit=2500, min_group_tokens=120, select_passages=4, audit_passages=12, train_tokens=1000,
                seed=self.seed,
            )  # fmt: skip
            build_calibration_set(recipe).save(folder)
        return CalibrationSet.load(folder)

    def run(self) -> list[Row]:
        """Search, refit, judge: the rows of the table."""
        loaded = load_model(Checkpoint.find(str(model_dir())), HOW["device"], HOW["dtype"])
        calibration = self.calibration(away=False)
        away = self.calibration(away=True)
        judged = {
            "audit": calibration.split("audit"),
            "unseen": calibration.split("unseen"),
            "other domains": (*away.split("audit"), *away.split("unseen")),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        of = self._of_units if self.grain in UNITS else self._of_weights
        return [{"grain": self.grain, "seed": self.seed, **row} for row in of(loaded, calibration, judged)]

    def _of_units(self, loaded: LoadedModel, calibration: CalibrationSet, judged: dict[str, Any]) -> list[Row]:
        model, asked = model_dir(), {"grain": self.grain, "remove": UNITS[self.grain], **ASKED}
        named: dict[str, dict[str, Any]] = {name: {"importance": name} for name in PUBLISHED}
        for name, how in EVOLVED.items():
            out = self.folder / f"metric-{_plain(name)}"
            search_metric(model, calibration, out, evaluations=self.evaluations, seed=self.seed, **asked, **how)
            named[name] = {"importance": str(out)}
        tokens = MetricFile.read(out / "metric.json").tokens["total"]
        named["flap, searched"] = {"importance": "flap", "strategy": "auto", "tokens": tokens, "seed": self.seed}
        rows, cuts = [], []
        for name, options in named.items():
            run, refitted = self.folder / _plain(name), self.folder / f"{_plain(name)}-refit"
            found = search(model, calibration, run, **{**asked, "strategy": "oneshot", **options})
            if not (refitted / "pattern.json").is_file():
                refit(
                    model, run, calibration, refitted,
                    refit="chain", ridge=0.1, anchor=0, max_tokens=MAX_TOKENS, **HOW,
                )  # fmt: skip
            account = SearchFile.read(run / "search.json")
            claimed = min(finalist.pooled for finalist in account.finalists)
            importance = found.pattern.origin.importance
            for place, weights in ((run, "as pruned"), (refitted, "refitted")):
                opened = open_pattern(place, loaded.checkpoint)
                rows.append({"metric": name, "weights": weights, "claimed": claimed, "is": importance})
                cuts.append(opened.cut)
        evaluator = Evaluator(loaded, opened.space, Ranking(), MAX_TOKENS, HOW["batch_size"], cache_mb=0)
        for split, passages in judged.items():
            dense, *tables = evaluator.of_cuts([Cut(), *cuts], tokenize(passages, loaded.tokenizer, MAX_TOKENS))
            for row, losses in zip(rows, tables, strict=True):
                row |= _worst_and_mean(split, np.array(list(excess(losses.by_group, dense.by_group).values())))
        return rows

    def _of_weights(self, loaded: LoadedModel, calibration: CalibrationSet, judged: dict[str, Any]) -> list[Row]:
        recipe = SearchRecipe.of(grain="channel", remove=0.25, **ASKED)
        passages = objective_passages(calibration, loaded.tokenizer, recipe)
        masks = WeightMasks.of(loaded, passages.search.as_text())
        judge = WeightSearch(masks, WEIGHTS[self.grain], passages.search, passages.select, _objective("cvar"))
        text = LearningText.of(calibration, loaded.tokenizer, MAX_TOKENS).passages
        tokens = {split: tokenize(part, loaded.tokenizer, MAX_TOKENS) for split, part in judged.items()}
        dense = {split: masks.measured(None, part) for split, part in tokens.items()}
        layers = [f"OptiShear's{LAYERS}"] if isinstance(judge.share, float) else []
        rows: list[Row] = []
        for name in (*OF_WEIGHTS, *EVOLVED, *layers):
            file = self.folder / f"{_plain(name)}.json"
            if not file.is_file():
                metric, shares = self._of_weights_by(name, loaded, passages)
                found = masks.masks(metric.expression, shares)
                assert found is not None
                said = {"metric": name, "claimed": judge.claimed(metric), "is": str(metric)}
                own = []
                for how, weights in (("as pruned", masks.zeroed(found)), ("refitted", masks.refitted(found, text))):
                    own.append({**said, "weights": how})
                    for split, part in tokens.items():
                        own[-1] |= _worst_and_mean(split, masks.measured(weights, part).excess(dense[split]))
                write_json(file, {"rows": own})
            rows += json.loads(file.read_text())["rows"]
        return rows

    def _of_weights_by(self, name: str, loaded: LoadedModel, passages: ObjectivePassages) -> tuple[Metric, Any]:
        """The metric of a row, searched if it has to be, and what share of every layer leaves by it."""
        share = WEIGHTS[self.grain]
        if name in OF_WEIGHTS:
            return Metric.parse(OF_WEIGHTS[name]), share
        plain = name.removesuffix(LAYERS)
        how, optishears = EVOLVED[plain], plain == "OptiShear's"
        value = _distance if optishears else _objective(how["objective"])
        masks = WeightMasks.of(loaded, passages.search.as_text(), MAX_TOKENS if optishears else 1)
        log = self.folder / f"{_plain(plain)}.jsonl"
        search = WeightSearch(masks, share, passages.search, passages.select, value, log)
        metric = search.best(how["method"], Asked(self.seed, by_row=True), self.evaluations)
        return metric, search.shares_of_layers(metric, self.seed, self.evaluations) if plain != name else share


def _objective(name: str) -> Any:
    return lambda found, dense: OBJECTIVES[name](found.excess(dense))


def _distance(found: Sums, dense: Sums) -> float:
    return found.reconstruction


def _worst_and_mean(split: str, lost: np.ndarray) -> Row:
    return {f"{split} worst": float(lost.max()), f"{split} mean": float(lost.mean())}


def _plain(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-").replace("'", "")


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """The cells asked for, all grains of a seed first."""
    for seed, grain in itertools.product(range(given.seeds), given.grain or GRAINS):
        yield Cell(grain, seed, given.evaluations, given.work)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--grain", action="append", choices=GRAINS, help="all otherwise; may be repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100, help="metrics that a search may measure")
    parser.add_argument("--work", type=Path, default=Path("runs/metrics"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    written = given.results / "metrics.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    done = set() if frame.empty else set(zip(frame["grain"], frame["seed"], strict=True))
    for cell in () if given.table else cells(given):
        if (cell.grain, cell.seed) in done:
            continue
        # Each cell is in the CSV as soon as it is done: that is what is read where the command is run again.
        frame = pd.concat([frame, pd.DataFrame(cell.run())])
        frame.to_csv(written, index=False, float_format="%.5f")
        print(f"{cell.grain}, seed {cell.seed}: done", flush=True)
    (given.results / "metrics.md").write_text(table(frame))
    print(table(frame))


if __name__ == "__main__":
    main()
