"""How the groups of the embedded model come back when it is healed: curves of every group, and the audit of it.

    python benchmarks/healing.py --work DIR --remove layers.2 layers.6 layers.10 --tokens 200000 --weights uniform

Builds a set of the eight domains, two clusters each, takes the parts away, heals once per cell and measures both on
``audit``: rows of group, split and excess, for the pruned model and at every look. Rows that the file holds are left
out; a healing that was killed goes on.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evop
from calibration import CalibrationSet, DomainSource, Recipe, build_calibration_set
from evop.losses.table import LossTable, excess
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.heal_file import HealFile
from evop.recovery.healing.looking import text_losses
from evop.recovery.healing.student import Student
from evop.reference import corpus_files, model_dir
from evop.removal.cut import Cut, places_of
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.tokens.passages import tokenize
from patterns import Pattern

LOOKED_AT = 6
"""Passages of each group that healing looks at: half of what the set has, since looks cost time too."""
COLUMNS = ("parts", "train", "weights", "seed", "of", "split", "tokens", "group", "excess")


def main() -> None:
    """Heal once per cell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--remove", nargs="+", default=["layers.2", "layers.6", "layers.10"])
    parser.add_argument("--grain", default="layer")
    parser.add_argument("--train", nargs="+", default=["lora"])
    parser.add_argument("--weights", nargs="+", default=["uniform", "excess"])
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("healing.csv"))
    asked = parser.parse_args()
    calibration = set_of(asked.work / "set")
    pruned = asked.work / "-".join(["pruned", *asked.remove])
    if not pruned.is_dir():
        evop.prune(model_dir(), pattern_of(asked.remove, asked.grain, asked.work / "pattern.json"), pruned)
    for train in asked.train:
        for weights in asked.weights:
            for seed in asked.seeds:
                cell = {"parts": " ".join(asked.remove), "train": train, "weights": weights, "seed": seed}
                out = asked.work / f"{pruned.name}-{train}-{weights}-{asked.tokens}-{seed}"
                if not out.is_dir():
                    options = {"train": train, "weights": weights, "seed": seed, "tokens": asked.tokens}
                    options |= {"learning_rate": asked.learning_rate, "look_every": asked.tokens // 10}
                    evop.heal(model_dir(), pruned, calibration, out, report=print, **options)
                write(asked.out, [{**cell, **row} for row in rows_of(pruned, out, calibration)])


def set_of(folder: Path, looked_at: int = LOOKED_AT) -> CalibrationSet:
    """The set of the eight domains, with a few passages per group to look at; built once."""
    if folder.is_dir():
        return CalibrationSet.load(folder)
    recipe: dict[str, Any] = {
        "domains": [DomainSource(name=name, source=str(path)) for name, path in corpus_files().items()],
        "group_by": "document",
        "clusters": 2,
        "embedder": "lexical",
        "passages": 32,
        "passage_chars": 1200,
        "select_passages": 12,
        "audit_passages": 16,
        "train_tokens": 40_000,
    }
    whole = build_calibration_set(Recipe.model_validate(recipe))
    kept, taken = [], Counter[str]()
    for i, passage in enumerate(whole.passages):
        taken[passage.group] += passage.split == "select"
        if passage.split != "select" or taken[passage.group] <= looked_at:
            kept.append(i)
    passages = tuple(whole.passages[i] for i in kept)
    CalibrationSet.of(whole.manifest, passages, whole.centroids, whole.positions[kept]).save(folder)
    return CalibrationSet.load(folder)


def pattern_of(parts: list[str], grain: str, path: Path) -> Path:
    """The pattern file that takes some parts away."""
    checkpoint = Checkpoint.find(model_dir())
    space = pattern_space(checkpoint, grain, "any", protect=())
    pattern: Pattern = space.pattern(parts)
    gone = PatternFile.describe(checkpoint, space, pattern, whole_cut(parts), remove=0.25, cost="params")
    gone.write(path)
    return path


def whole_cut(parts: list[str]) -> Cut:
    """What leaves with whole parts."""
    return Cut(frozenset(place for part in parts for place in places_of(part)))


def rows_of(pruned: Path, healed: Path, calibration: CalibrationSet) -> Iterator[dict[str, Any]]:
    """The curve on ``select``, and both checkpoints on ``audit``."""
    file = HealFile.of(healed)
    assert file is not None
    for point in file.curve:
        for group, value in point.excess.items():
            yield row("healed" if point.tokens else "pruned", "select", point.tokens, group, value)
    dense = load_model(Checkpoint.find(model_dir()))
    passages = tokenize([p for p in calibration.split("audit") if p.kind == "text"], dense.tokenizer, 512)
    losses = {}
    for name, folder in {"dense": model_dir(), "pruned": pruned, "healed": healed}.items():
        student = Student.load(Checkpoint.find(folder), "outputs")
        loss = text_losses(student.predict, passages, dense.device, 512)
        losses[name] = LossTable(passages.groups, loss, passages.counts).by_group
    for name, tokens in {"pruned": 0, "healed": file.best_at}.items():
        for group, value in excess(losses[name], losses["dense"]).items():
            yield row(name, "audit", tokens, group, value)


def row(of: str, split: str, tokens: int, group: str, value: float) -> dict[str, Any]:
    """One excess."""
    return {"of": of, "split": split, "tokens": tokens, "group": group, "excess": round(value, 4)}


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to the file, unless it holds the cell, and print the worst and the mean of each look."""
    held: set[tuple[str, ...]] = set()
    keys = ("parts", "train", "weights", "seed", "of", "split", "tokens", "group")
    if out.is_file():
        with out.open() as file:
            held = {tuple(line[key] for key in keys) for line in csv.DictReader(file)}
    new = [line for line in rows if tuple(str(line[key]) for key in keys) not in held]
    with out.open("a") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not held:
            writer.writeheader()
        writer.writerows(new)
    for split, of, tokens in dict.fromkeys((line["split"], line["of"], line["tokens"]) for line in rows):
        values = [line["excess"] for line in rows if (line["split"], line["of"], line["tokens"]) == (split, of, tokens)]
        print(f"{split:7} {of:7} {tokens:9,} worst {max(values):.4f} mean {sum(values) / len(values):.4f}", flush=True)


if __name__ == "__main__":
    main()
