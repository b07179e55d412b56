"""Sources into passages and items: read, cut, drop what is too short or said twice, and count all of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from calibration.errors import CalibrationError
from calibration.manifest import DomainEntry, SourceEntry
from calibration.passage import Passage, words
from calibration.reading.duplicates import near_duplicates
from calibration.reading.pieces import cut
from calibration.reading.sources import Document, Source, open_source
from calibration.reading.tasks import Task
from calibration.recipe import FEWEST_DOCUMENTS, DomainSource, Recipe

FEWEST_WORDS = 5  # a document with fewer is dropped
MOST_CLUSTERS = 1000  # that a task may bring


@dataclass(frozen=True)
class Reading:
    """The passages of all domains, near-duplicates gone, in the order read; and what was counted on the way.

    Attributes:
        passages: in order of domain, source, row and place.
        domains: counts a domain, by name; the later stages complete them.
        clusters: the clusters that a task gives its items, by the item's id.
    """

    passages: tuple[Passage, ...]
    domains: dict[str, DomainEntry]
    clusters: dict[str, str] = field(default_factory=dict)


def read_passages(recipe: Recipe, report: Callable[[str], None] | None = None) -> Reading:
    """Read every domain of a recipe; its passages are those that embedding, clustering and splitting see.

    Args:
        recipe: what to read and how to cut it.
        report: gets one line a domain.

    Raises:
        CalibrationError: a source that cannot be read, or a domain with too few passages or documents.
    """
    sources = {name: [d for d in recipe.domains if d.name == name] for name in recipe.domain_names}
    opened = {name: [_open(recipe, domain, len(parts) > 1) for domain in parts] for name, parts in sources.items()}
    tasks = [Task.open(task) for task in recipe.tasks]
    passages: list[Passage] = []
    entries: dict[str, DomainEntry] = {}
    clusters: dict[str, str] = {}
    for name, parts in opened.items():
        entries[name] = DomainEntry(name=name)
        for part in parts:
            passages += _read(part, recipe, entries[name], recipe.limit // len(parts) or 1)
    for task in tasks:
        passages += _read_task(task, recipe, entries, clusters)
    kin = [passage.document if passage.kind == "item" else None for passage in passages]
    dropped = set(near_duplicates([passage.plain for passage in passages], kin))
    seen: set[str] = set()
    for i, passage in enumerate(passages):
        if passage.id in seen:
            dropped.add(i)
        seen.add(passage.id)
    for i in dropped:
        entries[passages[i].domain].near_duplicates += 1
    kept = tuple(passage for i, passage in enumerate(passages) if i not in dropped)
    for name, entry in entries.items():
        documents = {passage.document for passage in kept if passage.domain == name}
        entry.passages = sum(passage.domain == name for passage in kept)
        entry.documents = len(documents)
        _enough(recipe, entry)
        if report:
            report(entry.reading_line())
    return Reading(kept, entries, clusters)


def _open(recipe: Recipe, domain: DomainSource, joined: bool) -> Source:
    return replace(open_source(domain.name, domain.source, recipe.group_by_of(domain)), joined=joined)


def _read(source: Source, recipe: Recipe, entry: DomainEntry, limit: int) -> list[Passage]:
    """The passages of one source, at most ``limit``; what was read and dropped is added to the entry."""
    passages: list[Passage] = []
    cut_short = False
    for document in source.documents():
        if len(passages) >= limit:
            cut_short = True
            break
        if document.messages is None and len(words(document.text or "")) < FEWEST_WORDS:
            entry.short_documents += 1
            continue
        passages += _cut(document, entry.name, recipe.passage_chars)
    entry.empty_rows += source.empty
    entry.sources.append(
        SourceEntry(
            source=source.spec,
            sha256=source.sha256,
            revision=source.revision,
            column=source.column or "text",
            group_by=source.group_by,
            rows=source.rows,
            cut_short=cut_short or len(passages) > limit,
        )
    )
    return passages[:limit]


def _read_task(task: Task, recipe: Recipe, entries: dict[str, DomainEntry], clusters: dict[str, str]) -> list[Passage]:
    """The items of a task; what was read is added to the entries and the clusters.

    At most ``limit`` a domain, or a cluster where the task brings its own: such files are often sorted by it.
    """
    taken: dict[str, list[Passage]] = {}
    counts: Counter[tuple[str, str | None]] = Counter()
    over: set[str] = set()
    for row in task.rows():
        domain = row.item.domain
        if domain in entries:
            raise CalibrationError(f"{task.source.where}: there is a domain {domain} already; rename the task")
        if counts[domain, row.cluster] == recipe.limit:
            over.add(domain)
            if {"domain", "cluster"}.isdisjoint(task.columns):
                break
            continue
        counts[domain, row.cluster] += 1
        if row.cluster is not None and len(counts) > MOST_CLUSTERS:
            raise CalibrationError(
                f"{task.source.where}: more than {MOST_CLUSTERS} clusters in column {task.columns['cluster']!r}; "
                "name one with fewer values, or rename it so that items are clustered like passages"
            )
        taken.setdefault(domain, []).append(row.item)
        if row.cluster is not None:
            clusters[row.item.id] = row.cluster
    if not taken:
        raise CalibrationError(f"{task.source.where}: no rows; expected at least {FEWEST_DOCUMENTS}")
    for domain in taken:
        source = SourceEntry(
            source=task.source.spec,
            sha256=task.source.sha256,
            revision=task.source.revision,
            column=task.read_as,
            group_by=task.source.group_by,
            rows=task.source.rows,
            cut_short=domain in over,
        )
        entries[domain] = DomainEntry(name=domain, kind="task", sources=[source])
    return [item for items in taken.values() for item in items]


def _cut(document: Document, domain: str, size: int) -> list[Passage]:
    """The passages of one document: a chat is one, a text is cut and its blank pieces are left out."""
    if document.messages is not None:
        return [Passage.of(domain, document.name, messages=document.messages)]
    pieces = (piece.strip("\r\n").rstrip() for piece in cut(document.text or "", size))
    return [Passage.of(domain, document.name, text=piece) for piece in pieces if piece]


def _enough(recipe: Recipe, entry: DomainEntry) -> None:
    """Raise unless the domain has the passages and documents that three splits need."""
    where = f"domain {entry.name}: {', '.join(part.source for part in entry.sources)}"
    if entry.passages == 0:
        raise CalibrationError(
            f"{where}: no usable passages ({entry.empty_rows} empty rows, {entry.short_documents} documents under "
            f"{FEWEST_WORDS} words, {entry.near_duplicates} near-duplicates); give it more text"
        )
    if entry.documents < FEWEST_DOCUMENTS:
        grouped = next((part.group_by for part in entry.sources if part.group_by), None)
        if grouped:
            advice = f"all rows fall into them by {grouped!r}; group by another column, or by none"
        else:
            advice = "give it more rows (in a .txt file, lines <|endoftext|> separate documents)"
        raise CalibrationError(
            f"{where}: found {entry.documents} document(s), expected at least {FEWEST_DOCUMENTS} so that search, "
            f"select and audit share none; {advice}"
        )
