"""Notes: what a user must know about a calibration set, in sentences."""

from collections import Counter
from collections.abc import Sequence

from calibration.choosing.split import held_out_count
from calibration.manifest import DomainEntry, GroupEntry
from calibration.reading.harness import EVALUATED
from calibration.recipe import Recipe

LARGE = 0.1
"""Share of a domain's passages above which a document made of several is worth a warning."""


def notes_of(recipe: Recipe, domains: Sequence[DomainEntry], groups: Sequence[GroupEntry]) -> list[str]:
    """Write the notes of a set: what holds for several domains is said once, the rest domain by domain."""
    by_domain = [note for entry in domains for note in _split_notes(recipe, entry) + _count_notes(recipe, entry)]
    return [
        *_reading_note(recipe, domains),
        *_evaluated_note(domains),
        *_shared_text_notes(domains),
        *_nothing_unseen_note(recipe, domains),
        *_given_up_note(domains),
        *by_domain,
        *_absent_note(recipe, groups),
        *_token_notes(recipe, groups),
        *_train_notes(recipe, domains, groups),
    ]


def _reading_note(recipe: Recipe, domains: Sequence[DomainEntry]) -> list[str]:
    notes = []
    for kind, what in (("text", "passages a domain"), ("task", "items a domain, or a cluster that it brings")):
        of_kind = [entry for entry in domains if entry.kind == kind]
        in_part = [f"{entry.name} to row {part.rows}" for entry in of_kind for part in entry.sources if part.cut_short]
        opening = f"read in part (limit {recipe.limit} {what}; if a source is sorted, shuffle it first): "
        notes += [opening + ", ".join(in_part)] if in_part else []
    return notes


def _evaluated_note(domains: Sequence[DomainEntry]) -> list[str]:
    same = list(dict.fromkeys(part.source for entry in domains for part in entry.sources if EVALUATED in part.column))
    opening = "lm_eval has no training documents, so an audit by --lm-eval asks what was searched on: "
    return [opening + ", ".join(same)] if same else []


def _shared_text_notes(domains: Sequence[DomainEntry]) -> list[str]:
    joined = [f"{entry.name} {entry.joined_documents}" for entry in domains if entry.joined_documents]
    large = [
        f"{entry.name} {entry.largest_joined} of {entry.passages}"
        for entry in domains
        if entry.largest_joined > LARGE * entry.passages
    ]
    prompted = [f"{entry.name} {entry.prompted} of {entry.passages}" for entry in domains if entry.prompted]
    common = [f"{entry.name} {entry.boilerplate} of {entry.passages}" for entry in domains if entry.boilerplate]
    lists = {
        "documents that share text with another count as one with it: ": joined,
        "documents made of several hold more than a tenth of the passages, so chance shares them out badly: ": large,
        "passages of which a fifth or more is text that over a tenth of the documents hold; it lies in several splits "
        "and joins nothing: ": common,
        "items that follow instructions or examples, which are asked but neither compared nor embedded: ": prompted,
    }
    return [opening + ", ".join(counts) for opening, counts in lists.items() if counts]


def _given_up_note(domains: Sequence[DomainEntry]) -> list[str]:
    counts = [f"{entry.name} {entry.given_up} of {entry.passages}" for entry in domains if entry.given_up]
    opening = "passages given up, because their documents reach into a held-out cluster: "
    return [opening + ", ".join(counts)] if counts else []


def _nothing_unseen_note(recipe: Recipe, domains: Sequence[DomainEntry]) -> list[str]:
    if recipe.hold_out == 0:
        return ["no cluster is held out (hold_out 0), so nothing is unseen"]
    few = [entry.name for entry in domains if entry.clusters < 3 and not entry.made_of]
    return [f"fewer than 3 clusters, so none is held out and nothing is unseen: {', '.join(few)}"] if few else []


def _split_notes(recipe: Recipe, entry: DomainEntry) -> list[str]:
    if entry.made_of:
        return []
    notes = [
        f"{entry.name}: cluster {merge.name!r} ({merge.passages} passages) was too small to judge and was joined to "
        f"{merge.into_name!r}"
        for merge in entry.merges
    ]
    wanted = held_out_count(entry.clusters, recipe.hold_out)
    if len(entry.held_out) < wanted:
        notes.append(
            f"{entry.name}: {len(entry.held_out)} of {wanted} clusters are held out; the documents of any other reach "
            f"into too many clusters (shorter documents, or another group_by, would allow more)"
        )
    return notes


def _count_notes(recipe: Recipe, entry: DomainEntry) -> list[str]:
    count, (wanted, what) = entry.splits["search"], _wanted(recipe, entry)
    if count >= wanted:
        return []
    opening = f"{entry.name}: {count} search {what} instead of {wanted}; "
    if not entry.not_sampled:
        return [opening + "its pool has no more"]
    return [
        opening
        + f"sampler {recipe.sampler} ends with as many as the largest cluster has, and left {entry.not_sampled} "
        f"of the pool unused"
    ]


def _wanted(recipe: Recipe, entry: DomainEntry) -> tuple[int, str]:
    return (recipe.passages, "passages") if entry.kind == "text" else (recipe.items, "items")


def _absent_note(recipe: Recipe, groups: Sequence[GroupEntry]) -> list[str]:
    absent = [g for g in groups if not g.unseen and not g.passages["search"]]
    notes = []
    if unchosen := [f"{g.key} (pool {g.pool})" for g in absent if g.pool]:
        notes.append(
            f"no search passages (sampler {recipe.sampler} chose none of their pools), so absent from the objective, "
            f"though still in select and audit: {', '.join(unchosen)}"
        )
    if empty := [g.key for g in absent if not g.pool]:
        notes.append(
            f"no search items, so absent from the objective (too few passages of like length to make them of): "
            f"{', '.join(empty)}"
        )
    return notes


def _token_notes(recipe: Recipe, groups: Sequence[GroupEntry]) -> list[str]:
    notes = []
    for split in ("search", "select", "audit", "unseen"):
        judged = [group for group in groups if group.unseen == (split == "unseen")]
        present = [group for group in judged if group.passages[split] or split != "search"]  # named above
        for kind, needed, what in (
            ("text", recipe.min_group_tokens, "estimated tokens"),
            ("item", recipe.min_group_items, "items"),
        ):
            counts = {
                g.key: g.tokens[split] if kind == "text" else g.passages[split] for g in present if g.kind == kind
            }
            few = [f"{group} ({count})" for group, count in counts.items() if count < needed]
            if few:
                notes.append(f"fewer than the {needed} {what} a group needs to be judged, in {split}: {', '.join(few)}")
    return notes


def _train_notes(recipe: Recipe, domains: Sequence[DomainEntry], groups: Sequence[GroupEntry]) -> list[str]:
    """Say where ``train`` has less than was asked for; nothing where nothing was."""
    if not recipe.train_tokens:
        return []
    found: Counter[str] = Counter()
    for group in groups:
        found[group.domain] += group.tokens["train"]
    texts = [entry.name for entry in domains if entry.kind == "text"]
    few = [f"{name} {found[name]:,}" for name in texts if found[name] < recipe.train_tokens]
    searched = [group for group in groups if found[group.domain] and not group.unseen]
    lists = {
        f"fewer than the {recipe.train_tokens:,} tokens to train with that were asked for, as documents of which the "
        f"search sample took nothing hold no more (give more text, a larger limit if it was read in part, or search "
        f"fewer passages or items): ": few,
        "no text to train with in these groups, since the search sample took of all their documents: ": [
            group.key for group in searched if not group.passages["train"]
        ],
        "questions give no text to train with: ": [entry.name for entry in domains if entry.kind == "task"],
    }
    return [opening + ", ".join(names) for opening, names in lists.items() if names]
