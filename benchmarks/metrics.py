"""Does it matter by which metric heads, channels and weights leave, and does evolving one pay?

    python benchmarks/metrics.py                       # the embedded model; goes on where its CSV ends
    python benchmarks/metrics.py --grain channel --seeds 1
    python benchmarks/metrics.py --table               # the table of the cells that are done
    python benchmarks/metrics.py --model MODEL --domain NAME=FILE --name witness \\
        --carried benchmarks/results/metrics.csv       # another model, and what was evolved on this one

Of the domains five are searched (of fewer, all but three) and three kept away, others for every seed. Channels, or
heads and channels, give a quarter of the decoder by one ranking over the model (``evop search --strategy oneshot``); of
weights half of every row leave, or two of four (``evop prune --grain weight``). Published metrics are taken as they
are; three are searched by ``evop metric`` with ``--evaluations`` metrics each, so with equal tokens: OptiShear's by
NSGA-III and the distance of logits, and trees bred as Pruner-Zero's by the mean excess and by that of the worse half.
``layers too`` has OptiShear's second search, of a share for every layer, so twice the tokens. ``flap, searched`` is a
search of patterns of as many tokens. ``carried over`` is the metric that the table named by ``--carried`` has for the
worse half, at the same grain and seed.

Each answer is judged as it is, and refitted: units by ``evop refit`` (a chain, ridge 0.1, no anchor), weights by
``--refit least-squares``. What is judged is nothing that was searched, chosen or fitted on: audit (new passages of the
same groups), unseen (whole clusters) and the three domains. Writes ``<name>.csv`` and ``<name>.md``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from metrics_judge import Judge
from metrics_table import table
from rivals import embedded_domains

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.files.json_file import write_json
from evop.importance.metric_file import MetricFile
from evop.importance.weights import OF_WEIGHTS
from evop.model.checkpoint import Checkpoint
from evop.model.families.family import WEIGHT
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.search import SearchRecipe
from evop.recipes.weights import LEAST_SQUARES, WeightRecipe
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space
from evop.searching.passages import ObjectivePassages, objective_passages
from evop.searching.search_file import SearchFile
from evop.stages.metric import search_metric
from evop.stages.prune_weights import forget_weights, pattern_of_weights
from evop.stages.refit import refit
from evop.stages.search import search
from evop.tokens.passages import tokenize

UNITS = {"channel": 0.25, "mixed": 0.25}
WEIGHTS: dict[str, dict[str, Any]] = {"weight 50%": {"remove": 0.5}, "weight 2:4": {"sparsity": "2:4"}}
GRAINS = ("channel", "weight 50%", "mixed", "weight 2:4")
MAX_TOKENS, KEPT_AWAY = 48, 3
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 8}
TEXT: dict[str, Any] = {"max_tokens": MAX_TOKENS, "min_group_tokens": 48}
PUBLISHED = ("magnitude", "wanda", "ria", "flap", "taylor", "pruner-zero")
OPTISHEARS, WORSE_HALF = "OptiShear's", "evolved, worse half"
EVOLVED: dict[str, dict[str, Any]] = {
    OPTISHEARS: {"method": "optishear", "objective": "mean", "loss": "reconstruction"},
    "evolved, mean": {"method": "pruner-zero", "objective": "mean"},
    WORSE_HALF: {"method": "pruner-zero", "objective": "cvar"},
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """All metrics of a grain and a seed."""

    grain: str
    seed: int
    given: argparse.Namespace

    @property
    def folder(self) -> Path:
        """Where its runs lie."""
        return self.given.work / f"{self.grain.replace(' ', '-').replace(':', '').strip('%')}-seed{self.seed}"

    @cached_property
    def loaded(self) -> LoadedModel:
        """The dense model."""
        return load_model(Checkpoint.find(self.given.model), HOW["device"], HOW["dtype"])

    def calibration(self, *, away: bool) -> CalibrationSet:
        """Three clusters a domain to search, and one unseen."""
        folder = self.given.work / f"set-{'away' if away else 'named'}-{self.seed}"
        names = self.given.domain
        kept_away = [names[(KEPT_AWAY * self.seed + i) % len(names)] for i in range(KEPT_AWAY)]
        if not folder.is_dir():
            recipe = calibration_recipe(
                [name for name in names if (name in kept_away) is away],
                group_by=["document"] if {*names} <= {*embedded_domains()} else [],
                clusters=4, embedder="lexical", hold_out=0.25, passages=9, passage_chars=250,
                limit=2500, min_group_tokens=120, select_passages=4, audit_passages=12, train_tokens=1000,
                seed=self.seed,
            )  # fmt: skip
            build_calibration_set(recipe).save(folder)
        return CalibrationSet.load(folder)

    def run(self) -> list[Row]:
        """Search, refit, judge: the rows of the table."""
        carried = self._carried()
        calibration, away = self.calibration(away=False), self.calibration(away=True)
        judged = {
            "audit": calibration.split("audit"),
            "unseen": calibration.split("unseen"),
            "other domains": (*away.split("audit"), *away.split("unseen")),
        }
        tokens = {split: tokenize(part, self.loaded.tokenizer, MAX_TOKENS) for split, part in judged.items()}
        space = pattern_space(self.loaded.checkpoint, WEIGHT)
        judge = Judge(Evaluator(self.loaded, space, Ranking(), MAX_TOKENS, HOW["batch_size"], cache_mb=0), tokens)
        self.folder.mkdir(parents=True, exist_ok=True)
        of = self._of_units if self.grain in UNITS else self._of_weights
        return [{"grain": self.grain, "seed": self.seed, **row} for row in of(calibration, judge, carried)]

    def _evolved(self, calibration: CalibrationSet, asked: Row, layers: tuple[str, ...] = ()) -> dict[str, str]:
        """Search metrics: the folder of each; shares of layers, too, for those named."""
        folders = {}
        for name, how in EVOLVED.items():
            folders[name] = str(self.folder / f"metric-{_plain(name)}")
            budget = {"evaluations": self.given.evaluations, "seed": self.seed, "layers": name in layers}
            search_metric(self.given.model, calibration, folders[name], **asked, **TEXT, **HOW, **budget, **how)
        return folders

    def _carried(self) -> dict[str, str]:
        """The metric that another table has for this cell, if one was named."""
        if self.given.carried is None:
            return {}
        frame = pd.read_csv(self.given.carried)
        same = (frame["grain"] == self.grain) & (frame["seed"] == self.seed) & (frame["metric"] == WORSE_HALF)
        if not same.any():
            raise SystemExit(f"--carried {self.given.carried} has no row {WORSE_HALF}, {self.grain}, seed {self.seed}")
        return {"carried over": str(frame[same]["is"].iloc[0])}

    def _of_units(self, calibration: CalibrationSet, judge: Judge, carried: dict[str, str]) -> list[Row]:
        model, asked = self.given.model, {"grain": self.grain, "remove": UNITS[self.grain], "deploy": "any"}
        folders = self._evolved(calibration, asked)
        importances = dict(zip(PUBLISHED, PUBLISHED, strict=True)) | folders | carried
        named: dict[str, Row] = {name: {"importance": importance} for name, importance in importances.items()}
        tokens = MetricFile.read(Path(folders[WORSE_HALF]) / "metric.json").tokens["total"]
        named["flap, searched"] = {"importance": "flap", "strategy": "auto", "tokens": tokens, "seed": self.seed}
        rows, cuts = [], []
        for name, options in named.items():
            run, refitted = self.folder / _plain(name), self.folder / f"{_plain(name)}-refit"
            found = search(model, calibration, run, **{**asked, **TEXT, **HOW, "strategy": "oneshot", **options})
            if not (refitted / "pattern.json").is_file():
                refit(
                    model, run, calibration, refitted,
                    refit="chain", ridge=0.1, anchor=0, max_tokens=MAX_TOKENS, **HOW,
                )  # fmt: skip
            account = SearchFile.read(run / "search.json")
            claimed = min(finalist.pooled for finalist in account.finalists)
            for place, weights in ((run, "as pruned"), (refitted, "refitted")):
                said = {"metric": name, "weights": weights, "claimed": claimed}
                rows.append({**said, "is": found.pattern.origin.importance})
                cuts.append(open_pattern(place, self.loaded.checkpoint).cut)
        for row, losses in zip(rows, judge.losses(cuts), strict=True):
            row |= losses
        return rows

    def _of_weights(self, calibration: CalibrationSet, judge: Judge, carried: dict[str, str]) -> list[Row]:
        share = WEIGHTS[self.grain]
        layers = (OPTISHEARS,) if "remove" in share else ()
        folders = self._evolved(calibration, {"grain": WEIGHT, **share}, layers)
        importances = {name: name for name in PUBLISHED if name in OF_WEIGHTS} | folders | carried
        named = {name: {"importance": importance, **share} for name, importance in importances.items()}
        for name in layers:
            shares = MetricFile.read(Path(folders[name]) / "metric.json").sparsity
            named[f"{name}, layers too"] = {"importance": folders[name], "remove": shares}
        recipe = SearchRecipe.of(grain="channel", remove=0.25, **TEXT, **HOW)
        passages = objective_passages(calibration, self.loaded.tokenizer, recipe)
        rows = []
        for (name, options), (weights, how) in itertools.product(
            named.items(), (("as pruned", "none"), ("refitted", LEAST_SQUARES))
        ):
            file = self.folder / f"{_plain(name)}-{how}.json"
            if not file.is_file():
                out = self.folder / f"{_plain(name)}-{how}"
                weigh = WeightRecipe.of(**options, **TEXT, **HOW)
                pattern = pattern_of_weights(self.given.model, calibration, out, weigh, how, lambda line: None)
                row = {"metric": name, "weights": weights, **self._row_of_weights(pattern, judge, passages)}
                write_json(file, {"row": row})
                forget_weights(out)
            rows.append(json.loads(file.read_text())["row"])
        return rows

    def _row_of_weights(self, pattern: Path, judge: Judge, passages: ObjectivePassages) -> Row:
        opened = open_pattern(pattern, self.loaded.checkpoint)
        assert opened.zeros is not None
        claimed = judge.claimed(opened.cut, passages)
        return {"claimed": claimed, "is": opened.zeros.importance, **judge.losses([opened.cut])[0]}


def _plain(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-").replace("'", "")


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """The cells asked for, all grains of a seed first."""
    for seed, grain in itertools.product(range(given.seeds), given.grain or GRAINS):
        yield Cell(grain, seed, given)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=str(model_dir()))
    parser.add_argument("--domain", action="append", help="NAME=FILE; may be repeated; the embedded corpora otherwise")
    parser.add_argument("--name", default="metrics", help="of the table")
    parser.add_argument("--carried", type=Path, help="the CSV of a table whose evolved metrics are measured here, too")
    parser.add_argument("--grain", action="append", choices=GRAINS, help="all otherwise; may be repeated")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=100, help="metrics that a search may measure")
    parser.add_argument("--work", type=Path, help="sets and runs; runs/<name> otherwise")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    given.domain = tuple(given.domain or embedded_domains())
    given.work = given.work or Path("runs") / given.name
    torch.set_num_threads(1)
    written = given.results / f"{given.name}.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    done = set() if frame.empty else set(zip(frame["grain"], frame["seed"], strict=True))
    for cell in () if given.table else cells(given):
        if (cell.grain, cell.seed) in done:
            continue
        # Each cell is in the CSV as soon as it is done: that is what is read where the command is run again.
        frame = pd.concat([frame, pd.DataFrame(cell.run())])
        frame.to_csv(written, index=False, float_format="%.5f")
        print(f"{cell.grain}, seed {cell.seed}: done", flush=True)
    (given.results / f"{given.name}.md").write_text(table(frame))
    print(table(frame))


if __name__ == "__main__":
    main()
