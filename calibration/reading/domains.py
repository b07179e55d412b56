"""The domains of text and of tasks, each as it is read: its passages, and what was counted on the way."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from calibration.errors import CalibrationError
from calibration.manifest import SourceEntry
from calibration.passage import Passage, words
from calibration.reading.pieces import pieces_of
from calibration.reading.sources import Document, Source, open_source
from calibration.reading.tasks import Row, Task, without_shared_prompts
from calibration.recipe import FEWEST_DOCUMENTS, Recipe

FEWEST_WORDS = 5
"""Words of a document at least; one with fewer is dropped."""
MOST_CLUSTERS = 1000
"""Clusters that a task may bring, at most."""


@dataclass(frozen=True)
class DomainPassages:
    """The passages of one domain as they were read, near-duplicates among them.

    Attributes:
        name: name of the domain.
        kind: ``text``, or ``task`` for questions with choices.
        sources: one entry per source of the domain.
        passages: the passages in order of source, row and place.
        empty_rows: number of rows without text.
        short_documents: number of documents under five words, which were dropped.
    """

    name: str
    kind: Literal["text", "task"]
    sources: tuple[SourceEntry, ...]
    passages: tuple[Passage, ...]
    empty_rows: int = 0
    short_documents: int = 0


def open_text(recipe: Recipe, name: str) -> list[Source]:
    """Open the sources that feed a domain of text, checked as far as that goes without reading rows."""
    parts = [part for part in recipe.domains if part.name == name]
    sources = [open_source(part.name, part.source, recipe.group_by_of(part)) for part in parts]
    return [replace(source, joined=len(parts) > 1) for source in sources]


def read_text(name: str, sources: Sequence[Source], recipe: Recipe) -> DomainPassages:
    """Read a domain of text; its sources share the limit equally."""
    limit = recipe.limit // len(sources) or 1
    passages: list[Passage] = []
    entries: list[SourceEntry] = []
    short_documents = 0
    for source in sources:
        part, short, cut_short = _read_source(source, recipe.passage_chars, limit)
        passages += part
        short_documents += short
        entries.append(_entry(source, source.column or "text", cut_short))
    empty_rows = sum(source.empty for source in sources)
    return DomainPassages(name, "text", tuple(entries), tuple(passages), empty_rows, short_documents)


def _read_source(source: Source, size: int, limit: int) -> tuple[list[Passage], int, bool]:
    """Read the passages of one source, at most ``limit``.

    Returns:
        The passages, the number of documents that were too short, and whether the limit was reached before the end.
    """
    passages: list[Passage] = []
    short_documents = 0
    for document in source.documents():
        if len(passages) >= limit:
            return passages[:limit], short_documents, True
        if document.messages is None and len(words(document.text or "")) < FEWEST_WORDS:
            short_documents += 1
            continue
        passages += passages_of(document, source.domain, size)
    return passages[:limit], short_documents, len(passages) > limit


def passages_of(document: Document, domain: str, size: int) -> list[Passage]:
    """Make the passages of one document: a chat is one, a text is split into pieces, the blank ones left out."""
    if document.messages is not None:
        return [Passage.of(domain, document.name, messages=document.messages, tools=document.tools)]
    pieces = (piece.strip("\r\n").rstrip() for piece in pieces_of(document.text or "", size))
    return [Passage.of(domain, document.name, text=piece) for piece in pieces if piece]


def read_task(task: Task, recipe: Recipe, taken: Collection[str]) -> tuple[dict[str, DomainPassages], dict[str, str]]:
    """Read the domains of a task.

    At most ``limit`` items per domain, or per cluster where the task brings its own: such files are often sorted by it.

    Args:
        task: the opened task.
        recipe: holds the limit.
        taken: names of the domains that are there already.

    Returns:
        Its domains, by name; and the names of the clusters that it gives its items, by the item's id.

    Raises:
        CalibrationError: unreadable, no rows, too many clusters, answers counted from 1, or a domain that is taken.
    """
    rows: list[Row] = []
    clusters: dict[str, str] = {}
    counts: Counter[tuple[str, str | None]] = Counter()
    over: set[str] = set()
    for row in task.rows():
        domain = row.item.domain
        if domain in taken:
            raise CalibrationError(f"{task.source.where}: there is a domain {domain} already; rename the task")
        if counts[domain, row.cluster] == recipe.limit:
            over.add(domain)
            if {"domain", "cluster"}.isdisjoint(task.columns):
                break
            continue
        counts[domain, row.cluster] += 1
        if row.cluster is not None:
            if len(counts) > MOST_CLUSTERS:
                raise _too_many_clusters(task)
            clusters[row.item.id] = row.cluster
        rows.append(row)
    task.refuse_counted_from_one()
    if not rows:
        raise CalibrationError(f"{task.source.where}: no rows; expected at least {FEWEST_DOCUMENTS}")
    items: dict[str, list[Passage]] = {}
    for row in without_shared_prompts(rows):
        items.setdefault(row.item.domain, []).append(row.item)
    domains = {
        domain: DomainPassages(domain, "task", (_entry(task.source, task.read_as, domain in over),), tuple(members))
        for domain, members in items.items()
    }
    return domains, clusters


def _too_many_clusters(task: Task) -> CalibrationError:
    return CalibrationError(
        f"{task.source.where}: more than {MOST_CLUSTERS} clusters in column {task.columns['cluster']!r}; "
        "name one with fewer values, or rename it so that items are clustered like passages"
    )


def _entry(source: Source, column: str, cut_short: bool) -> SourceEntry:
    """Write the entry of a source that was read."""
    return SourceEntry(
        source=source.spec,
        sha256=source.sha256,
        revision=source.revision,
        column=column,
        group_by=source.group_by,
        rows=source.rows,
        cut_short=cut_short,
    )
