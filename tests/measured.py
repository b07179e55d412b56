"""What stands behind the claims of the README: the numbers and words, from the files that hold them."""

import importlib.util
import itertools
import json
import math
import tomllib
from pathlib import Path

import evop
from patterns.strategies.genetic import GENERATIONS, POPULATION

ROOT = Path(evop.__file__).resolve().parent.parent


def rivals_table():
    """The module that makes the tables of ``benchmarks/rivals.py``."""
    spec = importlib.util.spec_from_file_location("rivals_table", ROOT / "benchmarks" / "rivals_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main_rows(rivals):
    """The rows of the README's table, as the CSV has them."""
    return rivals[rivals["section"] == "main"]


def worst(rivals):
    """What every contender loses in the worst audited group: a column a contender, a row a seed."""
    audit = main_rows(rivals).query("split == 'audit'")
    return audit.pivot_table(index="seed", columns="contender", values="worst", aggfunc="median", sort=False)


def searches(rivals):
    """What the searches lose, all asked for one thing: without random patterns, rankings and the row of the mean."""
    frame = worst(rivals)
    left_out = (*rivals_table().AT_RANDOM, *(name for name in frame if name.startswith("oneshot") or ", mean" in name))
    return frame.drop(columns=[name for name in frame if name in left_out])


def at_random(rivals):
    """What random patterns lose in the worst audited group, seed by seed."""
    (name,) = set(rivals_table().AT_RANDOM) & set(worst(rivals))
    return worst(rivals)[name]


def overlapping(rivals):
    """Pairs of searches whose ranges over seeds overlap, all pairs, seeds."""
    ends = searches(rivals).agg(["min", "max"])
    pairs = list(itertools.combinations(ends, 2))
    touching = [max(ends[a]["min"], ends[b]["min"]) <= min(ends[a]["max"], ends[b]["max"]) for a, b in pairs]
    assert sum(touching) > len(pairs) / 2, "most ranges no longer overlap: say which search is ahead"
    return sum(touching), len(pairs), len(worst(rivals))


def asked_for_the_mean(rivals):
    """Whether the worst group loses less when the search is asked for the mean, in how many seeds, of how many."""
    frame = worst(rivals)
    (mean,) = [name for name in frame if name.endswith(", mean")]
    other = frame[mean.removesuffix(", mean")]
    less = frame[mean].median() < other.median()
    seeds = (frame[mean] < other) if less else (frame[mean] > other)
    return "less" if less else "more", int(seeds.sum()), len(frame)


def ahead(rivals):
    """Whether the default's worst group loses less than that of each of three searches, whatever the seeds."""
    frame = searches(rivals)
    behind = [name for name in frame if name.startswith(("greedy", "policy", "genetic"))]
    return len(behind) == 3 and (frame[behind].min() > frame["surrogate"].max()).all()


def unseen(rivals):
    """What the ranking by sensitivity and the default lose in the worst unseen group, medians over seeds."""
    rows = main_rows(rivals).query("split == 'unseen'")
    worst_of = rows.groupby("contender")["worst"].median()
    return worst_of["oneshot, sensitivity"], worst_of["surrogate"]


def lost(smollm2, what="audit worst"):
    """What every contender loses, in the median over seeds."""
    return smollm2.groupby("contender")[what].median()


def come_back(smollm2):
    """What the default loses in the worst audited group: as pruned, refitted; healed, in one seed."""
    assert (smollm2["contender"] == "default, refitted and healed").sum() == 1
    return tuple(lost(smollm2)[f"default{recovered}"] for recovered in ("", ", refitted", ", refitted and healed"))


def swap_as_pruned(smollm2):
    """What swap loses in the worst audited group: as pruned, the least of all searches; refitted."""
    searched = smollm2[smollm2["patterns"].notna() & ~smollm2["contender"].str.contains("refitted")]
    assert lost(searched).idxmin() == "swap, kl, balanced"
    return tuple(lost(smollm2)[f"swap, kl, balanced{refitted}"] for refitted in ("", ", refitted"))


def by_kl(smollm2):
    """What the default, searched by kl, loses as pruned and refitted, there the least."""
    refits = smollm2[smollm2["contender"].str.endswith("refitted") & smollm2["patterns"].isna()]
    assert lost(refits).idxmin() == "default by kl, refitted"
    return tuple(lost(smollm2)[f"default by kl{refitted}"] for refitted in ("", ", refitted"))


def sizes(rivals):
    """Numbers of groups that were audited, and of those nothing of which was searched."""
    groups = main_rows(rivals).dropna(subset="groups").groupby("split")["groups"].unique()
    (audit,), (unseen,) = groups["audit"], groups["unseen"]
    return audit, unseen


def genetic(rivals, _code):
    """Patterns that EvoP's algorithm measured, and those that it asks for in all."""
    mine = main_rows(rivals).query("split == 'audit' and contender.str.startswith('genetic')")
    return mine["evaluations"].median(), POPULATION * GENERATIONS


def parameters(weights):
    """Parameters of a model, in millions, counted in the head of its safetensors."""
    content = weights.read_bytes()
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return (sum(math.prod(tensor["shape"]) for name, tensor in head.items() if name != "__metadata__") / 1e6,)


def twice(demo):
    """How many times what some domains lose at random others lose, to the nearest whole number."""
    lost = demo.query("split == 'audit'").groupby("domain")["random"].mean()
    ratio = lost[["code_python", "tech_docs"]].mean() / lost[["dialogue_task", "literature_en"]].mean()
    return (round(ratio),)


def versions(project):
    """The oldest Python and torch that are asked for."""
    asked = tomllib.loads(project.read_text())["project"]
    (torch,) = [name.removeprefix("torch>=") for name in asked["dependencies"] if name.startswith("torch>=")]
    return asked["requires-python"].removeprefix(">="), torch


def searched(demo):
    """The least and the most that a group loses under the searched pattern."""
    lost = demo.query("split == 'audit'")["searched"]
    return lost.min(), lost.max()


def refitted(demo):
    """The least and the most that a group loses when the same pattern is refitted."""
    lost = demo.query("split == 'audit'")["refitted"]
    return lost.min(), lost.max()


def one_average(accuracy):
    """Whether a search by mean loss loses little on average, and much in one group of questions."""
    mine = accuracy.query("contender.str.endswith(', mean loss') and split == 'audit'")
    return mine["mean"].median() < mine["worst"].median() / 10


CHECKS = {
    "Calibrated on one corpus": one_average,
    "a Llama of": parameters,
    "trained on": lambda demo: (demo["domain"].nunique(),),
    "the median of": lambda demo: set(demo["random_patterns"]),
    "whose range": lambda demo: (demo["random_most"] > 10 * demo["searched"]).all(),
    "Searched, every group": searched,
    "Refitted": refitted,
    "at random, code": twice,
    "Python …": versions,
    "Median [range]": lambda rivals: (main_rows(rivals)["seed"].nunique(),),
    "audit is": sizes,
    "The default loses": come_back,
    "as pruned `swap` loses least": swap_as_pruned,
    "the default by the divergence": by_kl,
    "Every search may": lambda rivals: (main_rows(rivals)["tokens"].max() / 1e6,),
    "`genetic` measures": genetic,
    "some end": lambda rivals: (main_rows(rivals)["stopped"].dropna() != "tokens").any(),
    "Every search, random": lambda rivals: searches(rivals).lt(at_random(rivals), axis=0).all(axis=None),
    "The ranges of": overlapping,
    "In the others the default": ahead,
    "in the worst of them": unseen,
    "Asked for the mean": asked_for_the_mean,
}
"""How a claim begins -> what its files say: what each ``…`` is, or whether it holds."""
