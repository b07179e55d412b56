"""What a user must know about a calibration set, in sentences."""

from collections.abc import Sequence

from calibration.manifest import DomainEntry, GroupEntry
from calibration.recipe import Recipe
from calibration.split import held_out_count


def notes_of(recipe: Recipe, domains: Sequence[DomainEntry], groups: Sequence[GroupEntry]) -> list[str]:
    """The notes, domain by domain."""
    notes = []
    for entry in domains:
        mine = [group for group in groups if group.domain == entry.name]
        notes += _reading_notes(recipe, entry) + _split_notes(recipe, entry) + _token_notes(recipe, entry, mine)
    return notes


def _reading_notes(recipe: Recipe, entry: DomainEntry) -> list[str]:
    return [
        f"{entry.name}: {part.source} was read up to row {part.rows} only (limit {recipe.limit} passages a domain); "
        f"if it is sorted, shuffle it first"
        for part in entry.sources
        if part.cut_short
    ]


def _split_notes(recipe: Recipe, entry: DomainEntry) -> list[str]:
    notes = [
        f"{entry.name}: cluster {merge.name!r} ({merge.passages} passages) was too small to judge and was joined to "
        f"{merge.into_name!r}"
        for merge in entry.merges
    ]
    wanted = held_out_count(entry.clusters, recipe.hold_out)
    if recipe.hold_out == 0:
        notes.append(f"{entry.name}: no cluster is held out (hold_out 0), so nothing of it is unseen")
    elif entry.clusters < 3:
        notes.append(f"{entry.name}: only {entry.clusters} cluster(s), so none is held out and nothing of it is unseen")
    elif len(entry.held_out) < wanted:
        notes.append(
            f"{entry.name}: {len(entry.held_out)} of {wanted} clusters are held out; the documents of any other reach "
            f"into too many clusters (shorter documents, or another group_by, would allow more)"
        )
    if entry.given_up:
        notes.append(
            f"{entry.name}: {entry.given_up} of {entry.passages} passages were given up, because their documents reach "
            f"into a held-out cluster"
        )
    return notes


def _token_notes(recipe: Recipe, entry: DomainEntry, groups: Sequence[GroupEntry]) -> list[str]:
    notes = []
    if entry.splits["search"] < recipe.passages:
        notes.append(
            f"{entry.name}: {entry.splits['search']} search passages instead of {recipe.passages}; its pool has no more"
        )
    for group in groups:
        for where in ("unseen",) if group.unseen else ("search", "select", "audit"):
            if group.tokens[where] < recipe.min_group_tokens:
                notes.append(
                    f"{entry.name}/{group.cluster} {group.name}: about {group.tokens[where]} tokens in {where}, fewer "
                    f"than the {recipe.min_group_tokens} a group needs to be judged"
                )
    return notes
