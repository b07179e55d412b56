"""How many tokens a second a healing learns from, beside a plain training step of the same model and batch.

    python benchmarks/healing_speed.py --work DIR --out healing-speed.json

Plain: next-token loss of the pruned model, gradient, AdamW, the same weights trained. Healing: the dense model's
predictions as well, once with its forward pass in the time and once with what it predicted at hand. All three take the
same batches in turn, so that a busy machine slows them alike; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from healing import pattern_of, set_of
from healing_rates import GONE

import evop
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recipes.heal import HealRecipe
from evop.recovery.healing.distillation import Target
from evop.recovery.healing.lesson import Teacher, parts_of
from evop.recovery.healing.passages import healing_passages
from evop.recovery.healing.setup import AT_ONCE
from evop.recovery.healing.student import Student
from evop.recovery.healing.text import Drawn, HealingText
from evop.reference import model_dir
from evop.tokens.batches import IGNORED, padded
from evop.tokens.passages import TokenPassages


class Remembering(Teacher):
    """Asks the dense model about each part of a batch once."""

    def target(self, ids: torch.Tensor, at: torch.Tensor) -> Target:
        """Look up what the dense model predicted, or ask it."""
        key = tuple(ids.flatten().tolist())
        self.known: dict[tuple[int, ...], Target]
        if key not in self.known:
            self.known[key] = super().target(ids, at)
        return self.known[key]


def main() -> None:
    """Time the three ways for each ``--train``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--train", nargs="+", default=["lora", "full"])
    parser.add_argument("--out", type=Path, default=Path("healing-speed.json"))
    asked = parser.parse_args()
    dense = load_model(Checkpoint.find(model_dir()))
    calibration = set_of(asked.work / "set")
    pattern = pattern_of(list(GONE), "layer", asked.work / "layers.json")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        pruned = Checkpoint.find(evop.prune(model_dir(), pattern, Path(temporary) / "p", parity=False).folder)
        for train in asked.train:
            recipe = HealRecipe(train=train)
            text = HealingText(healing_passages(calibration, dense.tokenizer, recipe).train, None, 0)
            batch = text.batch(dict.fromkeys(text.groups, 1 / len(text.groups)), recipe.batch_tokens, Drawn())
            at_once = AT_ONCE[dense.device.type]
            beside, known = (
                kind(dense, Student.load(pruned, train, recipe.rank, 0, dense.device), recipe, at_once)
                for kind in (Teacher, Remembering)
            )
            known.known = {}
            plain = plain_step(Student.load(pruned, train, recipe.rank, 0, dense.device), text.passages, batch, at_once)
            ways = {
                "plain": plain,
                "teacher at hand": lambda t=known, p=text.passages, b=batch: t.step(p, b, 0),
                "teacher beside": lambda t=beside, p=text.passages, b=batch: t.step(p, b, 0),
            }
            tokens = int(text.passages.scored[batch].sum())
            rows.append({"train": train, "tokens": tokens, **timed(ways, tokens, asked.rounds)})
            print(rows[-1], flush=True)
    asked.out.write_text(
        json.dumps({"device": str(dense.device), "threads": torch.get_num_threads(), "rows": rows}, indent=2)
    )


def plain_step(student: Student, passages: TokenPassages, batch: list[int], at_once: int) -> Callable[[], object]:
    """A step of plain training on the same batch, in the same parts."""
    optimizer = torch.optim.AdamW(student.trained.values(), 1e-4)

    def step() -> None:
        for part in parts_of(passages, batch, at_once):
            ids, wanted = (tensor.to(next(student.model.parameters()).device) for tensor in padded(passages, part))
            logits = student.predict(ids)[:, :-1].flatten(0, 1).float()
            torch.nn.functional.cross_entropy(logits, wanted.flatten(), ignore_index=IGNORED).backward()
        torch.nn.utils.clip_grad_norm_(student.trained.values(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(ways: dict[str, Callable[[], object]], tokens: int, rounds: int) -> dict[str, float]:
    """Median tokens per second of each way, the first round left out, by the time of this process alone."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    for _ in range(rounds + 1):
        for name, step in ways.items():
            begun = clock()
            step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(clock() - begun)
    return {name: round(tokens / statistics.median(several[1:]), 1) for name, several in seconds.items()}


if __name__ == "__main__":
    main()
