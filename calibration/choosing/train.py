"""Text to learn from: what the search sample left of the search pool, so that no document is searched and learnt."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from calibration.choosing.continuations import ContinuedDomain
from calibration.choosing.order import balanced_order
from calibration.choosing.sample import water_fill
from calibration.passage import Passage


def searched_documents(
    sampled: Sequence[Passage], placed: Sequence[Passage], continued: Sequence[ContinuedDomain]
) -> frozenset[str]:
    """Name the documents of which the search sample took something.

    A document may have passages in several domains; and an item made of text holds the words of four documents.

    Args:
        sampled: the search sample of all domains.
        placed: clustered and split passages of all domains.
        continued: the domains of items made of the text of others.
    """
    sources = {item: passages for domain in continued for item, passages in domain.sources.items()}
    used = {passage for p in sampled for passage in sources.get(p.id, ())}
    return frozenset({p.document for p in sampled} | {p.document for p in placed if p.id in used})


def training_passages(placed: Sequence[Passage], searched: Collection[str], tokens: int, seed: int) -> list[Passage]:
    """Choose the passages of ``train``: of every domain of text, an equal share of each cluster.

    Taken are texts and chats of the search pool. So clusters that are held out give nothing, nor do questions. Of a
    cluster, passages are taken in the order of the set until its share is reached: with more tokens wanted, the same
    passages and more of them.

    Args:
        placed: clustered and split passages of all domains.
        searched: names of the documents of which nothing may be taken.
        tokens: estimated tokens wanted of each domain.
        seed: decides which passages of a cluster come first.

    Returns:
        The passages, in ``train``. Those of a domain hold the tokens wanted, or one passage a cluster more at most; all
        that is left where it is less.
    """
    left: defaultdict[str, list[Passage]] = defaultdict(list)
    for p in placed:
        if p.split == "search" and p.kind == "text" and p.document not in searched:
            left[p.domain].append(p)
    return [p.placed(split="train") for of_domain in left.values() for p in _equal_shares(of_domain, tokens, seed)]


def _equal_shares(passages: Sequence[Passage], tokens: int, seed: int) -> list[Passage]:
    """Take of each cluster of a domain until its share is reached."""
    sizes: Counter[int] = Counter()
    for p in passages:
        sizes[p.cluster] += p.tokens
    clusters = sorted(sizes)
    share = dict(zip(clusters, water_fill([sizes[c] for c in clusters], tokens), strict=True))
    taken: list[Passage] = []
    reached: Counter[int] = Counter()
    for p in balanced_order(passages, [passages[0].domain], seed):
        if reached[p.cluster] < share[p.cluster]:
            taken.append(p)
            reached[p.cluster] += p.tokens
    return taken
