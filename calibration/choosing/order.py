"""One fixed order of the passages of a split, every prefix of it balanced over the groups."""

from collections import defaultdict
from collections.abc import Sequence

from calibration.passage import Passage
from calibration.seeded import digest


def balanced_order(passages: Sequence[Passage], domains: Sequence[str], seed: int) -> list[Passage]:
    """Order passages by turns of their groups: the first passage of each, then the second of each, and so on.

    A round goes through the domains in turn, so that a prefix shorter than a round is balanced over domains.
    Within a group the order is random by seed, and does not change when passages are added or taken away.

    Args:
        passages: the passages of one split.
        domains: names of the domains, in the order of their turns.
        seed: seed of the order within a group.
    """
    members: defaultdict[tuple[str, int], list[Passage]] = defaultdict(list)
    for p in passages:
        members[p.domain, p.cluster].append(p)
    placed = []
    for domain in domains:
        clusters = sorted(c for d, c in members if d == domain)
        for turn, cluster in enumerate(clusters):
            group = sorted(members[domain, cluster], key=lambda p: digest("order", seed, p.id))
            placed += [((i, turn, domains.index(domain)), p) for i, p in enumerate(group)]
    return [p for _, p in sorted(placed, key=lambda item: item[0])]
