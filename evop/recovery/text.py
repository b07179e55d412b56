"""The text that recovery learns from, and how much each of its tokens counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from calibration import CalibrationSet, Passage
from evop.errors import EvopError
from evop.recovery.samples import ANCHOR
from evop.tokens.passages import TokenPassages, tokenize


@dataclass(frozen=True)
class LearningText:
    """Passages to learn from: named domains, each counted alike however long it is, and an anchor beside them.

    Attributes:
        passages: the passages of the split ``train``, then those of the anchor.
    """

    passages: TokenPassages

    @classmethod
    def of(
        cls, calibration: CalibrationSet, tokenizer: Any, max_tokens: int, held_out: Collection[str] = ()
    ) -> LearningText:
        """Tokenize the split ``train`` of a calibration set, domains that are held out left out.

        Raises:
            EvopError: the set has no text to learn from.
        """
        cls.refuse_without_text(calibration, held_out)
        return cls(tokenize(cls.train(calibration, held_out), tokenizer, max_tokens))

    @staticmethod
    def train(calibration: CalibrationSet, held_out: Collection[str] = ()) -> list[Passage]:
        """List the passages of text that a calibration set has to learn from, of domains that are not held out."""
        named = [passage for passage in calibration.split("train") if passage.domain not in held_out]
        return [passage for passage in named if passage.kind == "text"]

    @classmethod
    def refuse_without_text(cls, calibration: CalibrationSet, held_out: Collection[str] = ()) -> None:
        """Check that there is text to learn from.

        Raises:
            EvopError: the set has no split ``train``, or a domain that is called as the anchor is.
        """
        if any(passage.domain == ANCHOR for passage in calibration.passages):
            raise EvopError(f"domain {ANCHOR!r} bears the name of the text that is of no domain; call it otherwise")
        if held_out and cls.train(calibration) and not cls.train(calibration, held_out):
            raise EvopError(
                f"all text to learn from is of domains that the search held out ({', '.join(sorted(held_out))}); "
                "calibrate with --train-tokens for others too"
            )
        if not cls.train(calibration):
            raise EvopError(
                "the calibration set has no split train, which refitting and healing learn from; build it again with "
                "--train-tokens 20000 (tokens a domain)"
            )

    @property
    def tokens(self) -> int:
        """Number of tokens that are scored."""
        return self.passages.total

    def at_most(self, tokens: int) -> LearningText:
        """Take a part of the text of about so many tokens: the same share of every domain, one passage at the least."""
        passages, share = self.passages, min(1.0, max(0, tokens) / self.tokens)
        taken: list[int] = []
        for domain in dict.fromkeys(self.domains):
            mine = [at for at, each in enumerate(self.domains) if each == domain]
            count = max(1, int(share * len(mine)))
            # Evenly over its passages, which are in the order of its clusters.
            taken += [mine[len(mine) * number // count] for number in range(count)]
        return LearningText(passages.take(sorted(taken)))

    @cached_property
    def domains(self) -> tuple[str, ...]:
        """The domain of each passage."""
        return tuple(group.partition("/")[0] for group in self.passages.groups)

    @cached_property
    def weights(self) -> np.ndarray:
        """What a token of each passage counts, float64 [passages]: 1 on average, the named domains alike in sum.

        The anchor counts as many tokens as it has.
        """
        scored = self.passages.scored
        by_domain = {name: scored[[each == name for each in self.domains]].sum() for name in set(self.domains)}
        named = [name for name in by_domain if name != ANCHOR]
        share = sum(by_domain[name] for name in named) / max(1, len(named))
        weight = {name: 1.0 if name == ANCHOR else share / by_domain[name] for name in by_domain}
        return np.array([weight[name] for name in self.domains])


def apart_from_learning(calibration: CalibrationSet) -> list[Passage]:
    """List what is chosen by and reported on, of which nothing that is learned from may say anything."""
    return [passage for split in ("select", "audit", "unseen") for passage in calibration.split(split)]


def joined(first: TokenPassages, second: TokenPassages) -> TokenPassages:
    """Put passages of text one after the other."""
    return TokenPassages(
        first.ids + second.ids,
        first.groups + second.groups,
        first.documents + second.documents,
        first.shortened + second.shortened,
    )


READINGS = 3
"""How often ``chain`` reads its text: once through the dense model, twice through what is left."""


def refit_tokens(learning: LearningText, search: TokenPassages) -> int:
    """Count the tokens that refitting one finalist of a search scores: its text, and ``search`` again."""
    return READINGS * learning.tokens + search.total
