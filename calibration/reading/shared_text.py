"""Text that documents share, wherever their passages are cut: passages said before, and documents that are one.

A passage *shares text* with a document if a fifth of its 5-word shingles lie in it, and at least thirty; with four
fifths it is a copy. Short texts, such as questions of one pattern, are therefore compared as a whole only, by
``near_duplicates``. Exact, by an inverted index; no pair is missed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST, FEW = (4, 5), (1, 5)
"""Shares of a passage's shingles, as whole numbers: what makes it a copy, and what joins its document to another."""
FEWEST_SHARED = 30
"""Shingles that two texts share at least: a fifth of a passage of 1,000 characters."""
BOILERPLATE_SHARE, BOILERPLATE_DOCUMENTS = 10, 10
"""A shingle is boilerplate if more than a tenth of a domain's documents hold it, and more than ten."""


@dataclass(frozen=True)
class SharedText:
    """What documents share.

    Attributes:
        joined: name of a document -> name of the first of those it is one with; only of documents that are joined.
        boilerplate: indices of the passages of which at least a fifth is boilerplate, ascending.
    """

    joined: Mapping[str, str]
    boilerplate: tuple[int, ...]


def said_before(sets: Sequence[np.ndarray], documents: Sequence[str]) -> list[int]:
    """Find the passages that are copied out of one other document, going through them in order; the first stays.

    Args:
        sets: shingles of each passage, sorted uint64.
        documents: name of the document of each passage.

    Returns:
        Indices of the passages to drop, ascending. What was dropped counts for no document.

    Source: Chaudhuri, Ganti, Kaushik 2006, "A primitive operator for similarity joins" (prefix filter): of a passage's
        rarest ``n - ceil(0.8 n) + 1`` shingles, a document that holds four fifths of it holds one.
    """
    if not sets:
        return []
    _, inverse, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    ends = np.cumsum([len(s) for s in sets])[:-1]
    holders: defaultdict[int, list[str]] = defaultdict(list)
    held: defaultdict[str, set[int]] = defaultdict(set)
    dropped = []
    for i, (numbers, document) in enumerate(zip(np.split(inverse, ends), documents, strict=True)):
        frequency = counts[numbers]
        least = max(_ceil(len(numbers), MOST), FEWEST_SHARED)
        rarest = numbers[np.lexsort((numbers, frequency))[: max(len(numbers) - least + 1, 0)]].tolist()
        others = {other for number in rarest for other in holders.get(number, ())} - {document}
        shared = numbers[frequency > 1].tolist()
        if any(len(held[other].intersection(shared)) >= least for other in others):
            dropped.append(i)
            continue
        for number in set(shared) - held[document]:
            holders[number].append(document)
        held[document].update(shared)
    return dropped


def shared_text(sets: Sequence[np.ndarray], documents: Sequence[str], domains: Sequence[str]) -> SharedText:
    """Find the documents of which a passage shares text with another; these count as one document.

    Boilerplate, such as a licence above every file of code, joins nothing: it would make one document of a whole
    domain. What is joined to the same document is one with each other.

    Args:
        sets: shingles of each passage, sorted uint64.
        documents: name of the document of each passage.
        domains: name of the domain of each passage.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    if not sets:
        return SharedText({}, ())
    names = list(dict.fromkeys(documents))
    number = {name: i for i, name in enumerate(names)}
    document = np.array([number[name] for name in documents])
    lengths = np.array([len(s) for s in sets])
    distinct, inverse = np.unique(np.concatenate(sets), return_inverse=True)
    row = np.repeat(np.arange(len(sets)), lengths)
    of_passages = csr_matrix((np.ones(len(row), np.int32), (row, inverse)), (len(sets), len(distinct)))
    of_documents = csr_matrix((np.ones(len(row), np.int32), (document[row], inverse)), (len(names), len(distinct)))
    of_documents.data[:] = 1
    common = _boilerplate(document[row], inverse, np.array(domains)[row], len(distinct))
    shared = (np.asarray(of_documents.sum(axis=0)).ravel() > 1) & ~common
    pairs = (of_passages[:, shared] @ of_documents[:, shared].T).tocoo()
    needed = np.maximum(_ceil(lengths, FEW), FEWEST_SHARED)
    enough = (pairs.data >= needed[pairs.row]) & (document[pairs.row] != pairs.col)
    links = csr_matrix((np.ones(enough.sum()), (document[pairs.row[enough]], pairs.col[enough])), (len(names),) * 2)
    _, component = connected_components(links, directed=False)
    _, first = np.unique(component, return_index=True)
    joined = {name: names[first[c]] for name, c in zip(names, component, strict=True) if names[first[c]] != name}
    mostly = np.asarray(of_passages[:, common].sum(axis=1)).ravel() >= _ceil(lengths, FEW)
    return SharedText(joined, tuple(np.flatnonzero(mostly).tolist()))


def _boilerplate(document: np.ndarray, shingle: np.ndarray, domain: np.ndarray, shingles: int) -> np.ndarray:
    """Mark the shingles that are boilerplate in some domain, bool ``[shingles]``; one entry per place of a shingle."""
    common = np.zeros(shingles, dtype=bool)
    for name in np.unique(domain):
        places = domain == name
        pairs = np.unique(document[places] * shingles + shingle[places])  # one of each shingle of each document
        most = max(BOILERPLATE_DOCUMENTS, len(np.unique(pairs // shingles)) // BOILERPLATE_SHARE)
        common |= np.bincount(pairs % shingles, minlength=shingles) > most
    return common


def _ceil(count: Any, share: tuple[int, int]) -> Any:
    """Multiply a number, or an array of numbers, by a share of whole numbers and round up."""
    return -(-count * share[0] // share[1])
