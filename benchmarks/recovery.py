"""What a pruned model gets back without training: every way to refit, on what nobody searched, chose or fitted on.

    python benchmarks/recovery.py                          # the embedded model; goes on where its CSV ends
    python benchmarks/recovery.py --grain layer --remove 0.25 --seeds 1
    python benchmarks/recovery.py --table                  # the table of the cells that are done
    python benchmarks/recovery.py --model MODEL --domain NAME=FILE --name mine
    python benchmarks/recovery.py --loss kl --recovery auto --name recovery-kl    # searched by another loss

Of the domains, five are searched and refitted by, and three are kept away, others for every seed. One search a cell by
the default strategy, as many tokens as 40 patterns take; then its answer as it is, with FLAP's bias, and refitted: by a
single refit, by ReplaceMe's map, by a chain without an anchor and by the default, a chain whose ridge and depth are
chosen on ``select``, with a fifth of the dense model's own samples beside the domains. Of layers, beside it, as many in
a row as turn the residual stream least, UIDL's choice, as they are and with the default refit.

What is judged is nothing that was searched, chosen or fitted on: audit (new passages of the same groups), unseen (whole
clusters) and the three domains. Excess over the dense model in nats per token. Writes ``<name>.csv``, ``<name>.md``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from layer_runs import most_alike
from processes import processes
from rivals import embedded_domains

from calibration import CalibrationSet, build_calibration_set
from evop.evaluator import Evaluator
from evop.importance.measured import measured_ranking
from evop.losses.table import excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import LoadedModel, load_model
from evop.recipes.words import calibration_recipe
from evop.reference import model_dir
from evop.removal.compensation import compensated
from evop.removal.cut import Cut
from evop.removal.opened import OpenedPattern, open_pattern
from evop.removal.ranking import Ranking
from evop.removal.space import THINNED
from evop.stages.refit import refit
from evop.stages.search import search
from evop.tokens.passages import tokenize

GRAINS, REMOVES = ("layer", "subblock", "channel", "mixed"), (0.125, 0.25, 0.375)
MAX_TOKENS, PATTERNS, KEPT_AWAY = 128, 40, 3
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 4}
CONTENDERS: dict[str, dict[str, Any]] = {
    "single refit": {"refit": "single", "ridge": 0.1, "anchor": 0},
    "ReplaceMe": {"refit": "replaceme", "ridge": 0.1, "anchor": 0},
    "LinearPatch": {"refit": "linearpatch", "ridge": 0.1, "anchor": 0},
    "chain, no anchor": {"refit": "chain", "ridge": 0.1, "anchor": 0},
    "both, no anchor": {"refit": "both", "ridge": 0.1, "anchor": 0},
    "auto": {"refit": "auto"},
}
"""Ways to refit, as ``evop refit`` is asked for them."""


@dataclass(frozen=True)
class Cell:
    """One search, and what is made of its answer."""

    model: str
    domains: tuple[str, ...]
    train_tokens: int
    work: Path
    grain: str
    remove: float
    seed: int
    loss: str = "nll"
    recoveries: tuple[str, ...] = tuple(CONTENDERS)

    @property
    def folder(self) -> Path:
        """Where its runs lie."""
        return self.work / f"{self.grain}-{self.remove:g}-seed{self.seed}"

    @property
    def key(self) -> tuple[str, float, int]:
        """What tells it from others, in the table."""
        return self.grain, self.remove, self.seed

    @property
    def parted(self) -> tuple[list[str], list[str]]:
        """The domains that are searched, and those kept away."""
        away = [self.domains[(KEPT_AWAY * self.seed + i) % len(self.domains)] for i in range(KEPT_AWAY)]
        return [name for name in self.domains if name not in away], away

    def calibration(self, domains: list[str], name: str, train_tokens: int = 0) -> CalibrationSet:
        """Three clusters a domain to search, and one unseen."""
        folder = self.work / f"set-{name}-{self.seed}"
        if not folder.is_dir():
            recipe = calibration_recipe(
                domains, group_by=["document"], clusters=4, embedder="lexical", hold_out=0.25, passages=12,
                passage_chars=500, limit=2000, min_group_tokens=240, select_passages=4, audit_passages=12,
                seed=self.seed, train_tokens=train_tokens,
            )  # fmt: skip
            build_calibration_set(recipe).save(folder)
        return CalibrationSet.load(folder)

    def searched(self, calibration: CalibrationSet, loaded: LoadedModel) -> Path:
        """Search; what was searched before is read again."""
        size = {
            split: tokenize(calibration.split(split), loaded.tokenizer, MAX_TOKENS).total
            for split in ("search", "select")
        }
        out, tokens = self.folder / "search", PATTERNS * size["search"] + 10 * size["select"]
        search(
            self.model, calibration, out,
            grain=self.grain, deploy="any", remove=self.remove, max_tokens=MAX_TOKENS, min_group_tokens=96,
            tokens=tokens, seed=self.seed, loss=self.loss, **HOW,
        )  # fmt: skip
        return out

    def run(self) -> list[dict[str, Any]]:
        """Search, refit in every way, judge: the rows of the table."""
        named, away = self.parted
        calibration = self.calibration(named, "named", self.train_tokens)
        loaded = load_model(Checkpoint.find(self.model), HOW["device"], HOW["dtype"])
        run = self.searched(calibration, loaded)
        opened = open_pattern(run, loaded.checkpoint)
        cuts = {"as pruned": opened.cut}
        evaluator = Evaluator(loaded, opened.space, Ranking(), MAX_TOKENS, HOW["batch_size"], cache_mb=0)
        if self.grain in THINNED:
            cuts["bias"] = biased(evaluator, opened.cut, calibration)
        for name in self.recoveries:
            cuts[name] = self.refitted(name, run, calibration, CONTENDERS[name]).cut
        if self.grain == "layer" and "auto" in self.recoveries:
            run_of_layers = self.folder / "uidl.txt"
            sample = tokenize(calibration.split("search"), loaded.tokenizer, MAX_TOKENS)
            run_of_layers.write_text(str(most_alike(loaded, sample, len(opened.file.removed))))
            cuts["UIDL's layers"] = open_pattern(run_of_layers, loaded.checkpoint).cut
            opened = self.refitted("UIDL's layers, auto", run_of_layers, calibration, CONTENDERS["auto"])
            cuts["UIDL's layers, auto"] = opened.cut
        return self.judged(evaluator, cuts, calibration, self.calibration(away, "away"))

    def refitted(self, name: str, pattern: Path, calibration: CalibrationSet, asked: dict[str, Any]) -> OpenedPattern:
        """Refit; what was refitted before is read again."""
        out = self.folder / name.replace(", ", "-").replace(" ", "-").replace("'", "")
        if not (out / "pattern.json").is_file():
            refit(self.model, pattern, calibration, out, max_tokens=MAX_TOKENS, **HOW, **asked)
        return open_pattern(out, Checkpoint.find(self.model))

    def judged(
        self, evaluator: Evaluator, cuts: dict[str, Cut], calibration: CalibrationSet, away: CalibrationSet
    ) -> list[dict[str, Any]]:
        """What every cut loses on what nobody searched, chose or fitted on: the rows of the table."""
        rows: list[dict[str, Any]] = [
            {"grain": self.grain, "remove": self.remove, "seed": self.seed, "recovery": name} for name in cuts
        ]
        judged = {
            "audit": calibration.split("audit"),
            "unseen": calibration.split("unseen"),
            "other domains": [*away.split("audit"), *away.split("unseen")],
        }
        for split, passages in judged.items():
            tokens = tokenize(passages, evaluator.loaded.tokenizer, MAX_TOKENS)
            dense, *tables = evaluator.of_cuts([Cut(), *cuts.values()], tokens)
            for row, table in zip(rows, tables, strict=True):
                lost = list(excess(table.by_group, dense.by_group).values())
                row |= {f"{split} worst": max(lost), f"{split} mean": float(np.mean(lost))}
        return rows


def biased(evaluator: Evaluator, cut: Cut, calibration: CalibrationSet) -> Cut:
    """The cut with FLAP's bias, from the search sample."""
    sample = tokenize(calibration.split("search"), evaluator.loaded.tokenizer, MAX_TOKENS)
    ranking = measured_ranking(evaluator, sample, metric="flap", over="mean", compensate=True, seed=0)
    return compensated(replace(cut, bias={}), evaluator.loaded, ranking.fill)


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds and their range, in nats per token, and what share of the worst excess came back."""
    splits = ("audit", "unseen", "other domains")
    columns = [f"{split} {what}" for split in splits for what in ("worst", "mean")]
    heads = " | ".join(columns)
    lines = [f"| grain | removed | recovery | {heads} | of the worst came back |", "|---" * (4 + len(columns)) + "|"]
    keys = ["grain", "remove", "seed"]
    before = frame[frame["recovery"] == "as pruned"].set_index(keys)["audit worst"]
    for (grain, remove), cell in frame.groupby(["grain", "remove"], sort=False):
        for name in dict.fromkeys(cell["recovery"]):
            mine = cell[cell["recovery"] == name].set_index(keys)
            back = 1 - mine["audit worst"] / before.loc[mine.index]
            cells = [spread(mine[column]) for column in columns]
            lines.append(f"| {grain} | {remove:.1%} | {name} | {' | '.join(cells)} | {spread(back, '.0%')} |")
    seeds = frame.groupby(["grain", "remove"])["seed"].nunique()
    counted = f"{seeds.min()}" if seeds.nunique() == 1 else f"{seeds.min()} to {seeds.max()}"
    return (
        f"Excess over the dense model in nats per token: medians over {counted} seed(s), and the range where there\n"
        "are several.\n\n" + "\n".join(lines) + "\n"
    )


def spread(values: pd.Series, form: str = ".3f") -> str:
    """Median and range."""
    if len(values) == 1:
        return f"{values.iloc[0]:{form}}"
    return f"{values.median():{form}} [{values.min():{form}}, {values.max():{form}}]"


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """The cells asked for, all grains of a seed first."""
    domains = tuple(given.domain or embedded_domains())
    removes = given.remove or REMOVES
    for seed, remove, grain in itertools.product(range(given.seeds), removes, given.grain or GRAINS):
        place, recoveries = given.work / given.name, tuple(given.recovery or CONTENDERS)
        yield Cell(given.model, domains, given.train_tokens, place, grain, remove, seed, given.loss, recoveries)


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default=str(model_dir()))
    parser.add_argument("--domain", action="append", help="NAME=FILE; may be repeated; the embedded corpora otherwise")
    parser.add_argument("--name", default="recovery", help="of the table")
    parser.add_argument("--grain", action="append", choices=GRAINS, help="all otherwise; may be repeated")
    parser.add_argument("--remove", action="append", type=float, help=f"{REMOVES} otherwise; may be repeated")
    parser.add_argument("--recovery", action="append", choices=CONTENDERS, help="all otherwise; may be repeated")
    parser.add_argument("--loss", default="nll", help="what is searched by")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--train-tokens", type=int, default=4000, help="a domain, to refit by")
    parser.add_argument("--work", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--jobs", type=int, default=2, help="cells side by side, one thread each")
    parser.add_argument("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    written = given.results / f"{given.name}.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    done = set() if frame.empty else set(zip(frame["grain"], frame["remove"], frame["seed"], strict=True))
    missing = [cell for cell in cells(given) if cell.key not in done and not given.table]
    with processes(given.jobs) as pool:
        for finished in as_completed([pool.submit(cell.run) for cell in missing]):
            # Each cell is in the CSV as soon as it is done: that is what is read where the command is run again.
            frame = pd.concat([frame, pd.DataFrame(finished.result())])
            frame = frame.sort_values(["grain", "remove", "seed"], kind="stable")
            frame.to_csv(written, index=False, float_format="%.5f")
            print(f"{frame.groupby(['grain', 'remove', 'seed']).ngroups} cells are done", flush=True)
    (given.results / f"{given.name}.md").write_text(table(frame))
    print(table(frame))


if __name__ == "__main__":
    main()
