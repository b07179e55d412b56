"""A pruned model in llama.cpp beside transformers: perplexity a group, and tokens a second, in 16 bits and in four.

OMP_NUM_THREADS=1 python benchmarks/exports.py --model MODEL --pattern runs/refitted --calibration SET --work FOLDER

Passages of the audit, so nothing was searched or fitted on them. llama.cpp computes one token a time. Files that are in
the folder already are taken as they are.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from calibration import CalibrationSet
from evop.export.gguf.runtime import LlamaCpp
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.masking import masked
from evop.removal.opened import open_pattern
from evop.stages.export import export
from evop.tokens.passages import tokenize

FILES = {
    "dense, f16": (False, {}),
    "pruned, f16": (True, {}),
    "dense, q4_k_m": (False, {"quantise": "q4_k_m"}),
    "pruned, q4_k_m": (True, {"quantise": "q4_k_m"}),
}
"""Name of each file -> whether it is pruned, and how it is written."""
BOTH = ("dense", "pruned")
READ, WRITTEN = 128, 32
"""Tokens that the speeds are of."""
Ids = dict[str, list[list[int]]]


def groups_of(given: argparse.Namespace) -> Ids:
    """Take the first passages of every audited group, the first tokens of each: group -> token ids."""
    passages = [one for one in CalibrationSet.load(given.calibration).split("audit") if one.kind == "text"]
    tokens = tokenize(passages, AutoTokenizer.from_pretrained(given.model), given.tokens)
    found: Ids = {}
    for ids, group in zip(tokens.ids, tokens.groups, strict=True):
        if len(found.setdefault(group, [])) < given.passages:
            found[group].append(list(ids))
    return found


def in_transformers(given: argparse.Namespace, groups: Ids, pruned: bool) -> dict[str, np.ndarray]:
    """Measure what each token costs, in nats: group -> float64 [tokens]."""
    checkpoint = Checkpoint.find(given.model)
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=torch.float32).eval()
    cut = open_pattern(given.pattern, checkpoint).cut
    found = {}
    with masked(model, family_of(model.config.model_type), cut) if pruned else nullcontext(), torch.inference_mode():
        for group, passages in groups.items():
            losses = []
            for ids in passages:
                row = torch.tensor([ids])
                logs = model(row).logits[0, :-1].log_softmax(-1)
                losses.append(-logs.gather(1, row[0, 1:, None])[:, 0].numpy().astype(np.float64))
            found[group] = np.concatenate(losses)
    return found


def in_llama_cpp(file: Path, groups: Ids) -> tuple[dict[str, np.ndarray], tuple[float, float]]:
    """Measure the same in llama.cpp, and how many tokens a second it reads and writes."""
    runtime = LlamaCpp(file)
    found = {group: np.concatenate([runtime.losses(ids) for ids in passages]) for group, passages in groups.items()}
    first = (next(iter(groups.values()))[0] * READ)[:READ]
    return found, runtime.speed(first, WRITTEN)


def table(measured: dict[str, dict[str, np.ndarray]], speeds: dict[str, str]) -> list[str]:
    """A row a group, one of everything, and one of how fast each file is."""
    names = list(measured)
    lines = [f"| perplexity of the group | tokens | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for group in measured[names[0]]:
        values = [f"{np.exp(measured[name][group].mean()):.2f}" for name in names]
        lines.append(f"| {group} | {len(measured[names[0]][group])} | {' | '.join(values)} |")
    together = {name: np.concatenate(list(of.values())) for name, of in measured.items()}
    values = [f"{np.exp(one.mean()):.2f}" for one in together.values()]
    lines.append(f"| all | {len(together[names[0]])} | {' | '.join(values)} |")
    gaps = []
    for name in names:
        beside = f"{name.partition(',')[0]}, transformers"
        gap = np.abs(together[name] - together[beside]).max()
        gaps.append("" if name == beside else f"{gap:.4f}")
    lines.append(f"| largest difference of a log-probability to transformers, nats | | {' | '.join(gaps)} |")
    lines.append(f"| tokens a second, read / written | | {' | '.join(speeds.get(name, '') for name in names)} |")
    return lines


def main() -> None:
    """Write the files, measure, print, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pattern", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--passages", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    groups = groups_of(given)
    measured = {
        f"{name}, transformers": in_transformers(given, groups, name == "pruned") for name in ("dense", "pruned")
    }
    speeds = {}
    for name, (pruned, how) in FILES.items():
        file = given.work / f"{name.replace(', ', '-')}.gguf"
        if not file.exists():
            export(given.model, file, given.pattern if pruned else None, format="gguf", report=print, **how)
        measured[name], (reads, writes) = in_llama_cpp(file, groups)
        speeds[name] = f"{reads:.0f} / {writes:.0f}, {file.stat().st_size / 1e6:.0f} MB"
        print(name, speeds[name], flush=True)
    lines = table(measured, speeds)
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
