"""The passages that a search sees: which groups can be judged, and which are left out and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration import CalibrationSet, Group
from evop.errors import EvopError, refuse_unknown
from evop.evaluator import Evaluator
from evop.losses.significance import wilson
from evop.recipes.search import SearchRecipe
from evop.tokens.passages import TokenPassages, tokenize


@dataclass(frozen=True)
class ObjectivePassages:
    """The passages that enter the objective.

    Attributes:
        search: passages that the fitness sees, in a group-balanced order.
        select: passages that choose among the finalists.
        left_out: group key -> why the group does not enter the objective, though it is of a kind that is measured.
    """

    search: TokenPassages
    select: TokenPassages
    left_out: Mapping[str, str]

    @property
    def groups(self) -> tuple[str, ...]:
        """The keys of the groups in the objective."""
        return tuple(self.search.tokens_by_group)

    def without(self, left_out: Mapping[str, str]) -> ObjectivePassages:
        """Leave some more groups out, each for a reason.

        Raises:
            EvopError: no group is left.
        """
        kept = [group for group in self.groups if group not in left_out]
        if not kept:
            raise EvopError(
                "in no group is the dense model better than chance, so none can be seen to lose: "
                f"{', '.join(f'{key}: {why}' for key, why in left_out.items())[:200]}; use --loss nll, or easier tasks"
            )
        return replace(
            self, search=self.search.only(kept), select=self.select.only(kept), left_out={**self.left_out, **left_out}
        )


def objective_passages(calibration: CalibrationSet, tokenizer: Any, recipe: SearchRecipe) -> ObjectivePassages:
    """Tokenise ``search`` and ``select`` and keep the groups that the loss measures and that have enough in both.

    Raises:
        EvopError: no group has enough, or text meets questions without a common unit.
    """
    kinds = recipe.loss.kinds
    held_out = held_out_domains(calibration, recipe.hold_out_domain)
    measured_kinds = [group for group in calibration.groups if not group.unseen and group.kind in kinds]
    candidates = [group for group in measured_kinds if group.domain not in held_out]
    if measured_kinds and not candidates:
        raise EvopError(
            f"--hold-out-domain {','.join(recipe.hold_out_domain)} leaves no domain to search on; leave some in"
        )
    if not candidates:
        measured, have = ("text", "items") if "text" in kinds else ("items", "text")
        mend = "--domain, or use --loss accuracy" if have == "items" else "--task or --continuations, or use --loss nll"
        raise EvopError(
            f"--loss {recipe.loss} measures {measured}, and the calibration set has {have} only; calibrate with {mend}"
        )
    keys = {group.key for group in candidates}
    of_groups = {split: [p for p in calibration.split(split) if p.group in keys] for split in ("search", "select")}
    search, select = (tokenize(of_groups[split], tokenizer, recipe.max_tokens) for split in ("search", "select"))
    sampled = {passage.group for passage in of_groups["search"]}
    left_out = {group.key: "its domain is held out" for group in measured_kinds if group.domain in held_out}
    for group in candidates:
        if group.key not in sampled:
            left_out[group.key] = "no search passages in the calibration set"
        elif few := _too_few(group, {"search": search, "select": select}, recipe):
            left_out[group.key] = few
    kept = [group for group in candidates if group.key not in left_out]
    if not kept:
        raise EvopError(
            f"no group of the calibration set has {_needed(candidates[0], recipe)} in search and in select; lower "
            "--min-group-tokens or --min-group-items, or calibrate with more --passages or --items, or fewer --clusters"
        )
    if len({group.kind for group in kept}) > 1 and recipe.unit == "none":
        raise EvopError(
            f"--loss {recipe.loss}: nats of text and shares of items have no common unit; add --tolerate or --scale "
            "random, or search on one of them"
        )
    keys_kept = [group.key for group in kept]
    return ObjectivePassages(search.only(keys_kept), select.only(keys_kept), left_out)


def held_out_domains(calibration: CalibrationSet, names: Collection[str]) -> frozenset[str]:
    """List the domains that are held out with some: those named, and what is made of the same text.

    Raises:
        EvopError: a name that is no domain of the set.
    """
    made_of = {entry.name: entry.made_of or entry.name for entry in calibration.manifest.domains}
    for name in names:
        refuse_unknown("--hold-out-domain", name, made_of)
    texts = {made_of[name] for name in names}
    return frozenset(domain for domain, text in made_of.items() if text in texts)


def at_chance(passages: ObjectivePassages, evaluator: Evaluator) -> dict[str, str]:
    """Find the groups of questions in which the dense model is no better than chance, and so cannot be seen to lose.

    The dense model's answers on ``search`` and ``select`` are counted together. A group is at chance where the 95%
    interval of its right answers reaches down to what guessing gets.

    Returns:
        Group key -> why the group is at chance.

    Raises:
        EvopError: a loss of the dense model is not finite.
    """
    right: dict[str, list[bool]] = {}
    chances: dict[str, list[float]] = {}
    for split in (passages.search, passages.select):
        questions = split.take([i for i in range(len(split.ids)) if split.item(i) is not None])
        if not questions.ids:
            continue
        table = evaluator.dense(questions)
        if not table.finite:
            raise EvopError(f"the dense model's losses are not finite at --dtype {evaluator.loaded.dtype}; use float32")
        for i, loss in enumerate(table.loss):
            item = questions.item(i)
            assert item is not None
            # A wrong answer costs 1 and its margin, a right one its margin alone.
            right.setdefault(questions.groups[i], []).append(bool(loss < 1))
            chances.setdefault(questions.groups[i], []).append(1 / len(item.choices))
    reasons = {}
    for group, answers in right.items():
        chance = float(np.mean(chances[group]))
        if wilson(sum(answers), len(answers))[0] <= chance:
            reasons[group] = (
                f"the dense model is right in {sum(answers)} of {len(answers)} items, no better than chance "
                f"({chance:.0%}) for certain"
            )
    return reasons


def _needed(group: Group, recipe: SearchRecipe) -> str:
    return f"{recipe.min_group_tokens} tokens" if group.kind == "text" else f"{recipe.min_group_items} items"


def _too_few(group: Group, splits: Mapping[str, TokenPassages], recipe: SearchRecipe) -> str:
    """Say why a group has too little to be judged; "" where it has enough."""
    what, needed = ("tokens", recipe.min_group_tokens) if group.kind == "text" else ("items", recipe.min_group_items)
    counts = {split: passages.counts_by_group.get(group.key, 0) for split, passages in splits.items()}
    few = [f"{count} {what} in {split}" for split, count in counts.items() if count < needed]
    return f"{' and '.join(few)}, fewer than {needed}" if few else ""
