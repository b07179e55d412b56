"""The loop of healing: learn, look at all groups, weigh them anew, keep the best, stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from evop.losses.objectives import cvar
from evop.recipes.heal import HealRecipe
from evop.recovery.heal_file import HealPoint
from evop.recovery.healing.folder import HealingFolder, Stand
from evop.recovery.healing.group_weights import WEIGHTINGS
from evop.recovery.healing.lesson import Teacher
from evop.recovery.healing.looking import Look, Watched, text_losses
from evop.recovery.healing.text import HealingText, with_anchor

ASKED = "asked"
"""Which passages the dense model was asked about."""
WEIGHT = "weight"
KNOWN = ("step", "exp_avg", "exp_avg_sq")
"""What the state holds of each trained weight: itself, and what AdamW knows of it."""


class Step(NamedTuple):
    """Where a healing stands, after a step.

    Attributes:
        tokens: tokens learned from.
        share: these as a share of all that will be at most.
        excess: excess of each group at the last look, nats per token.
    """

    tokens: int
    share: float
    excess: Mapping[str, float]


@dataclass
class Healing:
    """One healing at work.

    The loop is plain, a dozen lines: what is ours is what is drawn and when to stop, and it must go on to the same
    bytes after a kill, without a pickle on the disk.

    Attributes:
        recipe: what was asked for.
        teacher: makes the pruned model learn.
        text: what it learns from.
        watched: what is looked at.
        folder: where it lies while it is on its way.
        told: is told of every step.
    """

    recipe: HealRecipe
    teacher: Teacher
    text: HealingText
    watched: Watched
    folder: HealingFolder
    told: Callable[[Step], None] = lambda step: None
    stand: Stand = field(init=False)

    def run(self) -> str:
        """Learn until there is a reason to stop, from where the folder stands.

        Returns:
            Why it stopped: ``tolerate``, ``patience`` or ``tokens``.
        """
        if not self._resumed():
            even = [group for group in self.text.groups if group in self.watched.groups]
            self.stand = Stand(0, 0, dict.fromkeys(even, 1 / len(even)))
            self._note(None)
        while (stopped := self._why()) is None:
            loss = self._learn()
            self._note(loss)
        return stopped

    def _learn(self) -> float:
        """Learn until the next look is due; returns the mean loss on the way, in nats per token."""
        stand, recipe = self.stand, self.recipe
        due = min(recipe.tokens, (stand.tokens // recipe.every + 1) * recipe.every)
        weights = with_anchor(stand.weights, recipe.anchor)
        total, start = 0.0, stand.tokens
        while stand.tokens < due:
            batch = self.text.batch(weights, min(recipe.batch_tokens, due - stand.tokens), stand.drawn)
            size = int(self.text.passages.scored[batch].sum())
            total += size * self.teacher.step(self.text.passages, batch, stand.tokens)
            stand.tokens += size
            self.told(self._step())
        return total / (stand.tokens - start)

    def _note(self, loss: float | None) -> None:
        """Look at all groups with the weights as they would be written, keep them if they are the best, save all."""
        stand, student = self.stand, self.teacher.student
        weights = student.weights()
        with student.holding(weights), self.teacher.casting():
            look = self.watched.look(
                text_losses(
                    student.predict, self.watched.passages, self.teacher.dense.device, self.teacher.batch_tokens
                )
            )
        shares = with_anchor(stand.weights, self.recipe.anchor)
        point = HealPoint(tokens=stand.tokens, loss=loss, excess=look.by_group, weights=shares)
        stand.curve.append(point)
        stand.upper = float(look.upper.max())
        best = next(point for point in stand.curve if point.tokens == stand.best_at)
        # The look that is within what is tolerated is kept, for it is what was asked for, and the last.
        if stand.tokens and (value_of(point) < value_of(best) or self._tolerated):
            self.folder.save_best(stand.tokens, weights)
            stand.best_at = stand.tokens
        self._weigh(look)
        self.folder.save(stand, self._tensors())
        self.told(self._step())

    def _step(self) -> Step:
        tokens = self.stand.tokens
        return Step(tokens, tokens / self.recipe.tokens, self.stand.curve[-1].excess)

    def _weigh(self, look: Look) -> None:
        at = [look.groups.index(group) for group in self.stand.weights]
        weigh = WEIGHTINGS[self.recipe.weights]
        self.stand.weights = weigh(self.stand.weights, look.excess[at], look.error[at], self.recipe.eta)

    def _why(self) -> str | None:
        """Find the reason to stop, or None to go on."""
        stand, recipe = self.stand, self.recipe
        if self._tolerated:
            return "tolerate"
        worst = [max(point.excess.values()) for point in stand.curve]
        if recipe.patience and len(worst) - 1 - int(np.argmin(worst)) >= recipe.patience:
            return "patience"
        return "tokens" if stand.tokens >= recipe.tokens else None

    @property
    def _tolerated(self) -> bool:
        return self.recipe.tolerate is not None and self.stand.upper <= self.recipe.tolerate

    def _tensors(self) -> dict[str, torch.Tensor]:
        """Gather what is trained, and what the optimizer knows of it."""
        cache = self.teacher.cache
        tensors = {} if cache is None else {ASKED: cache.known}
        for name, parameter in self.teacher.student.trained.items():
            tensors[f"{WEIGHT}:{name}"] = parameter.data
            for key, value in self.teacher.optimizer.state[parameter].items():
                tensors[f"{key}:{name}"] = value
        return {name: value.cpu().clone() for name, value in tensors.items()}

    def _resumed(self) -> bool:
        """Go on where the folder stands, if it holds a state."""
        found = self.folder.load()
        if found is None:
            return False
        self.stand, tensors = found
        if self.teacher.cache is not None:
            self.teacher.cache.go_on(tensors[ASKED])
        for name, parameter in self.teacher.student.trained.items():
            parameter.data.copy_(tensors[f"{WEIGHT}:{name}"])
            known = {key: tensors[f"{key}:{name}"] for key in KNOWN if f"{key}:{name}" in tensors}
            # The number of steps stays on the CPU, where AdamW keeps it.
            moved = {key: value if key == "step" else value.to(parameter.device) for key, value in known.items()}
            self.teacher.optimizer.state[parameter] = moved
        return True


def value_of(point: HealPoint) -> float:
    """Judge a point by what healing is to make small: the mean excess of the worse half of the groups."""
    return cvar(np.array(list(point.excess.values())))
