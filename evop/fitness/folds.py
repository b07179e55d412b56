"""Folds: every domain's clusters in two halves, so that what ranks units is not what judges them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.passage import domain_of
from calibration.seeded import generator
from evop.errors import EvopError
from evop.evaluator import Evaluator
from evop.losses.table import LossTable
from evop.removal.ranking import Ranking
from evop.tokens.passages import TokenPassages
from patterns import Pattern

FOLDS = (0, 1)
LEAST_KEPT = 0.5
"""Share of a fold's tokens that may rank units at least, when documents that lie in both folds give theirs up."""


@dataclass(frozen=True)
class Folds:
    """The half in which every passage lies.

    Attributes:
        groups: group key -> fold, of the domains whose clusters were parted.
        documents: domain -> document -> fold, of the domains whose documents had to be parted instead.
    """

    groups: Mapping[str, int]
    documents: Mapping[str, Mapping[str, int]]

    def numbers(self, passages: TokenPassages) -> np.ndarray:
        """List the fold of each passage, int64 [passages]."""
        pairs = zip(passages.groups, passages.documents, strict=True)
        return np.array([self._number(*pair) for pair in pairs], dtype=np.int64)

    def ranking_passages(self, passages: TokenPassages, fold: int) -> TokenPassages:
        """Take the passages of a fold that may rank units: those of documents that do not reach into the other fold."""
        numbers = self.numbers(passages)
        elsewhere = {passages.documents[i] for i in np.flatnonzero(numbers != fold)}
        own = np.flatnonzero(numbers == fold).tolist()
        return passages.take([i for i in own if passages.documents[i] not in elsewhere])

    def _number(self, group: str, document: str) -> int:
        by_document = self.documents.get(domain_of(group))
        return self.groups[group] if by_document is None else by_document[document]


@dataclass(frozen=True)
class CrossFit:
    """Two rankings of units, each measured on one fold and used to judge patterns on the other.

    Every passage is measured once, so this costs no more than one ranking does.

    Attributes:
        folds: where every passage lies.
        rankings: the ranking that was measured on each fold.

    Source: cross-fitting (Chernozhukov et al., "Double/debiased machine learning", arXiv 1608.00060), two folds.
    """

    folds: Folds
    rankings: tuple[Ranking, Ranking]

    def losses(self, evaluator: Evaluator, patterns: Sequence[Pattern], passages: TokenPassages) -> list[LossTable]:
        """Measure patterns, on each fold with the units that the other fold ranks: the loss table of each."""
        numbers, loss = self.folds.numbers(passages), np.zeros((len(patterns), len(passages.ids)))
        for fold in FOLDS:
            if not (numbers == fold).any():
                continue
            at = np.flatnonzero(numbers == fold)
            cuts = [evaluator.cut(pattern, self.rankings[1 - fold]) for pattern in patterns]
            tables = evaluator.of_cuts(cuts, passages.take(at.tolist()))
            loss[:, at] = [table.loss for table in tables]
        return [LossTable(passages.groups, row, passages.counts) for row in loss]

    @property
    def fingerprint(self) -> str:
        """Sha256 of both rankings, and of where every passage lies."""
        content = [self.folds.groups, self.folds.documents, *(ranking.fingerprint for ranking in self.rankings)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def halves(passages: TokenPassages, seed: int) -> Folds:
    """Part every domain in two halves of about as many tokens, by whole clusters where that can be.

    It cannot where a domain has a single cluster, or where so many documents reach into both halves that less than half
    of the tokens of one would be left to rank units; such a domain's documents are parted.

    Raises:
        EvopError: a half is empty.
    """
    rows: dict[str, list[int]] = {}
    for i, group in enumerate(passages.groups):
        rows.setdefault(domain_of(group), []).append(i)
    groups: dict[str, int] = {}
    documents: dict[str, Mapping[str, int]] = {}
    for domain, members in rows.items():
        part = passages.take(members)
        by_group = _halved(part.groups, part.scored, generator("folds", seed, domain))
        if _can_rank(part, Folds(by_group, {})):
            groups |= by_group
        else:
            documents[domain] = _halved(part.documents, part.scored, generator("folds by document", seed, domain))
    folds = Folds(groups, documents)
    if any(not folds.ranking_passages(passages, fold).ids for fold in FOLDS):
        raise EvopError(
            "--fitness-on held-out: the search sample is one document, which cannot be parted in halves; give more "
            "text, or use --fitness-on all"
        )
    return folds


def _halved(names: Sequence[str], tokens: np.ndarray, rng: np.random.Generator) -> dict[str, int]:
    """Deal names out to two folds in random order, each to the fold that has fewer tokens so far."""
    sizes = dict.fromkeys(names, 0)
    for name, count in zip(names, tokens, strict=True):
        sizes[name] += int(count)
    fold, dealt = np.zeros(2, dtype=np.int64), {}
    first = int(rng.integers(2))
    for i in rng.permutation(len(sizes)):
        name = list(sizes)[i]
        dealt[name] = first if fold[first] <= fold[1 - first] else 1 - first
        fold[dealt[name]] += sizes[name]
    return dealt


def _can_rank(part: TokenPassages, folds: Folds) -> bool:
    """Say whether enough of both folds of a domain may rank units."""
    numbers = folds.numbers(part)
    return all(
        (numbers == fold).any()
        and folds.ranking_passages(part, fold).total >= LEAST_KEPT * part.scored[numbers == fold].sum()
        for fold in FOLDS
    )
