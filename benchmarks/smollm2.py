"""A real pretrained model, SmolLM2-135M: what its domains lose, as pruned, refitted and healed, by strategy.

    python benchmarks/real_models.py smollm2                   # fetches the model, into .models/
    python benchmarks/smollm2.py                               # two hours a seed on one core; goes on where it stopped
    python benchmarks/smollm2.py --grain channel --name smollm2-channel
    python benchmarks/smollm2.py --table                       # the table of the seeds that are done

Six domains of the embedded corpora, three clusters each, of which one is held out and audited as ``unseen``. Every
search may score what ``--patterns`` patterns take, all it needs included. The rivals are evop's own: ``greedy`` as SLEB
and BlockPruner search, ``swap`` by ``kl`` as EvoPress does, in its space (``--deploy balanced``). Every answer is
refitted by 4,000 tokens a domain, the default's is healed from there. Random patterns are the audit's, of the default's
size. A seed draws the calibration set and seeds the searches. Nothing of evop was tuned on this model.

Excess over the dense model in nats per token, on the ``audit`` and ``unseen`` text; ``tokens/s`` is of reading a
context in turns with the dense model, one thread. Writes ``<name>.csv`` (one row a contender and seed), ``<name>.md``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rivals_table import spread

from calibration import CalibrationSet, build_calibration_set
from evop.auditing.audit_file import AuditFile
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.recipes.words import calibration_recipe
from evop.reference import corpus_files
from evop.searching.search_file import SearchFile
from evop.stages.audit import audit
from evop.stages.heal import heal
from evop.stages.refit import refit
from evop.stages.search import search
from evop.timing.speed_file import SpeedFile
from evop.tokens.passages import tokenize

DOMAINS = ("biomedical", "code_python", "dialogue_task", "encyclopedic", "legal_statute", "math_word")
MAX_TOKENS, RANDOM = 128, 5
HOW: dict[str, Any] = {"dtype": "float32", "device": "cpu", "batch_size": 4}
CONTENDERS: dict[str, dict[str, Any]] = {
    "default": {"deploy": "any"},
    "default by kl": {"deploy": "any", "loss": "kl"},
    "default, judged refitted": {"deploy": "any", "judge": "refit"},
    "swap, kl, balanced": {"deploy": "balanced", "strategy": "swap", "loss": "kl"},
    "greedy": {"deploy": "any", "strategy": "greedy"},
}
COLUMNS = ("audit worst", "audit mean", "unseen worst", "unseen mean")
SIZES = ("params", "flops", "kv")


@dataclass(frozen=True)
class Seed:
    """One calibration set, what is searched on it, and what became of the answers."""

    given: argparse.Namespace
    number: int

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.given.work / self.given.name / f"seed{self.number}"

    def calibration(self) -> Path:
        """The set of this seed, built where there is none."""
        folder = self.folder / "set"
        if not folder.is_dir():
            files = corpus_files()
            recipe = calibration_recipe(
                [f"{name}={files[name]}" for name in DOMAINS], group_by=["document"], clusters=3, embedder="lexical",
                hold_out=0.34, passages=4, passage_chars=700, limit=1500, min_group_tokens=250, select_passages=2,
                audit_passages=8, seed=self.number, train_tokens=self.given.train_tokens,
            )  # fmt: skip
            build_calibration_set(recipe).save(folder)
        return folder

    def tokens(self) -> int:
        """What a search may score."""
        calibration = CalibrationSet.load(self.calibration())
        tokenizer = load_tokenizer(Checkpoint.find(self.given.model))
        size = {
            split: tokenize(calibration.split(split), tokenizer, MAX_TOKENS).total for split in ("search", "select")
        }
        return int(self.given.patterns * size["search"] + 8 * size["select"])

    def run(self) -> dict[str, Path]:
        """Search, refit and heal; what is done is not done again. Row -> what is audited."""
        model, rows = self.given.model, {}
        for name, options in CONTENDERS.items():
            place = self.folder / name.replace(", ", "-")
            run, refitted = place / "search", place / "refitted"
            search(
                model, self.calibration(), run, grain=self.given.grain, remove=self.given.remove, max_tokens=MAX_TOKENS,
                min_group_tokens=96, tokens=self.tokens(), seed=self.number, **HOW, **options,
            )  # fmt: skip
            if not (refitted / "pattern.json").is_file():
                refit(model, run, self.calibration(), refitted, max_tokens=MAX_TOKENS, **HOW)
            rows |= {name: run, f"{name}, refitted": refitted}
            print(f"seed {self.number}: {name} is searched and refitted", flush=True)
        healed = self.folder / "healed"
        if self.given.heal_tokens:
            if not healed.is_dir():
                heal(
                    model, rows["default, refitted"], self.calibration(), healed, tokens=self.given.heal_tokens,
                    max_tokens=MAX_TOKENS, min_group_tokens=96, dtype=HOW["dtype"], device=HOW["device"],
                )  # fmt: skip
            rows["default, refitted and healed"] = healed
        return rows

    def audited(self, rows: dict[str, Path]) -> list[dict[str, Any]]:
        """Audit all of them side by side: the rows of the table."""
        out = self.folder / "audit"
        if not (out / "audit.json").is_file() or not (out / "speed.json").is_file():
            audit(
                self.given.model, self.calibration(), list(rows.values()), out, needs=False,
                random_patterns=RANDOM, random_refitted=0, **HOW,
            )  # fmt: skip
        file, speeds = AuditFile.find(out), SpeedFile.read(out / "speed.json").models
        read = {row.name: row.prefill_tokens_per_second / speeds[0].prefill_tokens_per_second for row in speeds}
        found = []
        for (name, place), pattern in zip(rows.items(), file.patterns, strict=True):
            row: dict[str, Any] = {"seed": self.number, "contender": name}
            for split in ("audit", "unseen"):
                summary = file.summary_of(pattern.name, split, "text")
                assert summary is not None
                row |= {f"{split} worst": summary.worst, f"{split} mean": summary.mean}
            row |= {"params": pattern.reached.block_params, "flops": pattern.reached.flops, "kv": pattern.reached.kv}
            row |= {"tokens/s": read.get(pattern.name)}
            if (place / "search.json").is_file():
                account = SearchFile.read(place / "search.json")
                row |= {"patterns": account.evaluations, "tokens": account.tokens["total"]}
            found.append(row)
        drawn = {"seed": self.number, "contender": f"random, median of {RANDOM}"}
        for split in ("audit", "unseen"):
            random = file.random_of(file.randoms[0], split, "text")
            assert random is not None
            drawn |= {f"{split} worst": random.worst.median, f"{split} mean": random.mean.median}
        return [drawn, *found]


def table(frame: pd.DataFrame) -> str:
    """Medians over seeds and their range."""
    heads = " | ".join(COLUMNS)
    lines = [f"| contender | {heads} | parameters | FLOPs | KV cache | tokens/s, dense = 1 | patterns |"]
    lines += ["|---" * (6 + len(COLUMNS)) + "|"]
    for name in dict.fromkeys(frame["contender"]):
        mine = frame[frame["contender"] == name]
        cells = [spread(mine[column]) for column in COLUMNS]
        cells += [_or_dash(mine[column].dropna(), ".1%") for column in SIZES]
        cells += [_or_dash(mine["tokens/s"].dropna(), ".2f"), _or_dash(mine["patterns"].dropna(), ".0f")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _or_dash(values: pd.Series, form: str) -> str:
    """The median, or a dash where there is none."""
    return f"{values.median():{form}}" if len(values) else "–"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--model", default=".models/smollm2")
    add("--name", default="smollm2", help="of the table")
    add("--grain", default="subblock")
    add("--remove", type=float, default=0.2)
    add("--patterns", type=int, default=40, help="patterns' worth of tokens a search may score")
    add("--train-tokens", type=int, default=4000, help="a domain, to refit and heal by")
    add("--heal-tokens", type=int, default=60_000, help="tokens that the default's answer learns from; 0 for none")
    add("--seeds", type=int, default=1)
    add("--work", type=Path, default=Path("runs"))
    add("--results", type=Path, default=Path("benchmarks/results"))
    add("--table", action="store_true", help="write the table of what is done, run nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    written = given.results / f"{given.name}.csv"
    frame = pd.read_csv(written) if written.is_file() else pd.DataFrame()
    done = set() if frame.empty else set(frame["seed"])
    for seed in (Seed(given, number) for number in range(given.seeds) if number not in done and not given.table):
        frame = pd.concat([frame, pd.DataFrame(seed.audited(seed.run()))])
        frame.to_csv(written, index=False, float_format="%.5f")
    (given.results / f"{given.name}.md").write_text(table(frame))
    print(table(frame))


if __name__ == "__main__":
    main()
