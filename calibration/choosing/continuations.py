"""Tasks made of plain text: which of four endings is a passage's own?"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from calibration.choosing.split import under_caps
from calibration.errors import CalibrationError
from calibration.passage import Passage
from calibration.recipe import Recipe
from calibration.seeded import digest

SUFFIX = "continuation"
CHOICES = 4
"""Endings that an item offers."""
QUERY, ENDING = 400, 120
"""Characters of a query, and of its endings, about; a passage is parted between two words."""
SHORTEST_QUERY = 60
"""Characters of a query at least."""
LENGTHS_APART = 0.1
"""Endings of an item differ in length by at most this share of the right one's."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class ContinuedDomain:
    """The items made of the text of one domain.

    Attributes:
        name: name of the items' domain, such as ``law.continuation``.
        base: name of the domain whose text they are made of.
        items: the items that the caps leave, in the clusters and splits of their passages.
        documents: number of documents that items could be made of.
        made: number of items that could be made.
        sources: ids of the passages that an item is made of, its own first, then those of the other endings; by the
            item's id.
    """

    name: str
    base: str
    items: tuple[Passage, ...]
    documents: int
    made: int
    sources: dict[str, tuple[str, ...]]


def continued_domain(domain: str) -> str:
    """Name the domain of the items made of a domain's text, such as ``law.continuation``."""
    return f"{domain}.{SUFFIX}"


def continued_domains(
    recipe: Recipe, passages: Sequence[Passage], taken: Collection[str], report: Callable[[str], None]
) -> tuple[ContinuedDomain, ...]:
    """Make items of the text of every domain that the recipe names; with ``all``, of those of which some can be made.

    Args:
        recipe: names the domains, and holds caps and seed.
        passages: clustered and split passages of all domains, with no group capped.
        taken: names of the domains that are there already.
        report: gets a line of text for a domain of which no items can be made.

    Raises:
        CalibrationError: a name is taken, or no items can be made of a domain that the recipe names.
    """
    domains = []
    for base in recipe.continued:
        name = continued_domain(base)
        if name in taken:
            raise CalibrationError(f"continuations of {base}: there is a domain {name} already; rename it")
        pairs = continuations([p for p in passages if p.domain == base], recipe.split_seed)
        made = [item for item, _ in pairs]
        kept = under_caps(made, [item.split for item in made], recipe.caps, recipe.split_seed)
        if not kept and "all" in recipe.continuations:
            report(f"{base}: no continuations can be made of it")
            continue
        if not kept:
            raise CalibrationError(
                f"continuations of {base}: no passage can be cut between two words into a beginning and an ending with "
                f"three like it in its cluster and split; chats and scripts without spaces cannot, other text can be "
                f"longer: more of it, or longer --passage-chars"
            )
        documents = len({item.document for item in made})
        sources = {item.id: tuple(passage.id for passage in made_of) for item, made_of in pairs}
        domains.append(ContinuedDomain(name, base, tuple(made[i] for i in kept), documents, len(made), sources))
    return tuple(domains)


def continuations(passages: Sequence[Passage], seed: int) -> list[tuple[Passage, tuple[Passage, ...]]]:
    """Make items of the passages of a domain: the beginning of a passage, its own next words and three others.

    The others are the words that follow a beginning of the same length in passages of other documents, of the same
    cluster and split, and as long in characters, so that neither topic nor length gives the answer away. Chats and
    passages too short to be parted give none.

    Args:
        passages: clustered and split passages of one domain; those in no split are passed over.
        seed: decides which others, and where the right ending stands.

    Returns:
        Pairs of an item, in the cluster and split of its passage, and the passages it is made of: its own, then those
        of the other endings. In the order of the own passages.
    """
    pools: defaultdict[tuple[int, str], list[tuple[Passage, str, str]]] = defaultdict(list)
    for p in passages:
        parted = _parted(p.text) if p.split and p.messages is None else None
        if parted:
            pools[p.cluster, p.split].append((p, *parted))
    pairs = []
    for pool in pools.values():
        for p, query, rest in pool:
            right = _ending(rest, ENDING)
            others = _others(pool, p, right, seed)
            if len(others) == CHOICES - 1:
                gold = int(digest("place", seed, p.id), 16) % CHOICES
                endings = [ending for _, ending in others]
                choices = (*endings[:gold], right, *endings[gold:])
                item = Passage.item(continued_domain(p.domain), p.document, query, choices, gold)
                pairs.append((item.placed(cluster=p.cluster, split=p.split), (p, *(other for other, _ in others))))
    place = {p.id: i for i, p in enumerate(passages)}
    return sorted(pairs, key=lambda pair: place[pair[1][0].id])


def _parted(text: str | None) -> tuple[str, str] | None:
    """Part a text into a beginning and what follows it, the space between them gone; None for a text too short."""
    whole = (text or "").strip()
    spaces = [match for match in _SPACE.finditer(whole) if match.end() <= min(QUERY, len(whole) - ENDING)]
    if not spaces or spaces[-1].start() < SHORTEST_QUERY:
        return None
    return whole[: spaces[-1].start()], whole[spaces[-1].end() :]


def _ending(rest: str, length: int) -> str:
    """Take the first words, together about ``length`` characters."""
    ends = [match.start() for match in _SPACE.finditer(rest)] + [len(rest)]
    return rest[: min(ends, key=lambda end: (abs(end - length), end))]


def _others(pool: Sequence[tuple[Passage, str, str]], p: Passage, right: str, seed: int) -> list[tuple[Passage, str]]:
    """Choose passages and their endings, as long as the right one, each of another document; fewer if no more."""
    chosen: list[tuple[Passage, str]] = []
    documents, endings = {p.document}, {right}
    for other, _, rest in sorted(pool, key=lambda entry: digest("other", seed, p.id, entry[0].id)):
        ending = _ending(rest, len(right))
        alike = abs(len(ending) - len(right)) <= LENGTHS_APART * len(right)
        if other.document not in documents and alike and ending not in endings:
            chosen.append((other, ending))
            documents.add(other.document)
            endings.add(ending)
        if len(chosen) == CHOICES - 1:
            break
    return chosen
