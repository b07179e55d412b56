"""Tasks made of plain text: which of four endings is a passage's own?"""

import re
from collections import defaultdict
from collections.abc import Sequence

from calibration.passage import Passage
from calibration.seeded import digest

SUFFIX = "continuation"
CHOICES = 4
QUERY, ENDING = 400, 120
"""Characters of a query, and of its endings, about; a passage is cut between two words."""
SHORTEST_QUERY = 60
LENGTHS_APART = 0.1
"""Endings of an item differ in length by at most this share of the right one's."""
_SPACE = re.compile(r"\s+")


def continued_domain(domain: str) -> str:
    """The name of the domain of such items, such as ``law.continuation``."""
    return f"{domain}.{SUFFIX}"


def continuations(passages: Sequence[Passage], seed: int) -> list[tuple[Passage, Passage]]:
    """Items made of the passages of a domain: the beginning of a passage, its own next words and three others.

    The others are the words that follow a beginning of the same length in passages of other documents, of the same
    cluster and split, and as long in characters, so that neither topic nor length gives the answer away. Chats and
    passages too short to be cut give none.

    Args:
        passages: clustered and split, of one domain; those in no split are passed over.
        seed: which others, and where the right ending stands.

    Returns:
        An item, in the cluster and split of its passage, and the passage; in the order of the passages.
    """
    pools: defaultdict[tuple[int, str], list[tuple[Passage, str, str]]] = defaultdict(list)
    for p in passages:
        parted = _parted(p.text) if p.split and p.messages is None else None
        if parted:
            pools[p.cluster, p.split].append((p, *parted))
    found = []
    for pool in pools.values():
        for p, query, rest in pool:
            own = _ending(rest, ENDING)
            others = _others(pool, p, own, seed)
            if len(others) == CHOICES - 1:
                at = int(digest("place", seed, p.id), 16) % CHOICES
                choices = (*others[:at], own, *others[at:])
                item = Passage.item(continued_domain(p.domain), p.document, query, choices, at)
                found.append((item.placed(cluster=p.cluster, split=p.split), p))
    order = {p.id: i for i, p in enumerate(passages)}
    return sorted(found, key=lambda pair: order[pair[1].id])


def _parted(text: str | None) -> tuple[str, str] | None:
    """A beginning and what follows it, the space between them gone; None for a text too short."""
    said = (text or "").strip()
    spaces = [match for match in _SPACE.finditer(said) if match.end() <= min(QUERY, len(said) - ENDING)]
    if not spaces or spaces[-1].start() < SHORTEST_QUERY:
        return None
    return said[: spaces[-1].start()], said[spaces[-1].end() :]


def _ending(rest: str, length: int) -> str:
    """Its first words, together about that many characters."""
    ends = [match.start() for match in _SPACE.finditer(rest)] + [len(rest)]
    return rest[: min(ends, key=lambda end: (abs(end - length), end))]


def _others(pool: Sequence[tuple[Passage, str, str]], p: Passage, own: str, seed: int) -> list[str]:
    """Endings of others as long as the own one, each of another document; fewer where there are no more."""
    chosen: list[str] = []
    documents = {p.document}
    for other, _, rest in sorted(pool, key=lambda entry: digest("other", seed, p.id, entry[0].id)):
        ending = _ending(rest, len(own))
        alike = abs(len(ending) - len(own)) <= LENGTHS_APART * len(own)
        if other.document not in documents and alike and ending not in (own, *chosen):
            chosen.append(ending)
            documents.add(other.document)
        if len(chosen) == CHOICES - 1:
            break
    return chosen
