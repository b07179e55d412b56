"""Sources into passages and items: read, split into pieces, drop what is too short or said twice, count all of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibration.errors import CalibrationError
from calibration.manifest import SourceEntry
from calibration.passage import Passage
from calibration.reading.domains import FEWEST_WORDS, DomainPassages, open_text, read_task, read_text
from calibration.reading.duplicates import near_duplicates
from calibration.reading.shared_text import SharedText, said_before, shared_text
from calibration.reading.shingles import shingle_sets
from calibration.reading.tasks import Task
from calibration.recipe import FEWEST_DOCUMENTS, Recipe


@dataclass(frozen=True)
class DomainReading:
    """What was read of one domain, and what of it was dropped.

    Attributes:
        name: name of the domain.
        kind: ``text``, or ``task`` for questions with choices.
        sources: one entry per source of the domain.
        documents: number of documents with at least one passage left; those joined to one count once.
        passages: number of passages left after dropping near-duplicates.
        empty_rows: number of rows without text.
        short_documents: number of documents under five words, which were dropped.
        near_duplicates: number of passages dropped because an earlier passage or document of any domain says nearly
            the same.
        joined_documents: number of documents that are one with another document, because they share text.
        largest_joined: number of passages of the largest document made of several; 0 without one.
        prompted: number of items whose query begins with instructions or examples, which are not compared.
        boilerplate: number of passages of which at least a fifth is text that more than a tenth of a domain's
            documents hold, which joins nothing.
    """

    name: str
    kind: Literal["text", "task"]
    sources: tuple[SourceEntry, ...]
    documents: int
    passages: int
    empty_rows: int
    short_documents: int
    near_duplicates: int
    joined_documents: int
    largest_joined: int
    boilerplate: int
    prompted: int

    @property
    def line(self) -> str:
        """What was read of the domain, on one line."""
        dropped = [
            f"{count} {what}"
            for count, what in (
                (self.empty_rows, "empty rows"),
                (self.short_documents, "documents under five words"),
                (self.near_duplicates, "near-duplicate passages"),
            )
            if count
        ]
        what = "passages" if self.kind == "text" else "items"
        line = f"{self.name}: {self.passages} {what} of {self.documents} documents"
        line += f"; dropped {', '.join(dropped)}" if dropped else ""
        joined = f"; {self.joined_documents} more documents share text with one of them and are joined to it"
        return line + (joined if self.joined_documents else "")


@dataclass(frozen=True)
class Reading:
    """The passages of all domains, near-duplicates gone, in the order read; and what was counted on the way.

    Attributes:
        passages: the passages in order of domain, source, row and place.
        domains: what was read of each domain, by its name.
        clusters: names of the clusters that a task gives its items, by the item's id.
    """

    passages: tuple[Passage, ...]
    domains: Mapping[str, DomainReading]
    clusters: Mapping[str, str]


def read_passages(recipe: Recipe, report: Callable[[str], None] | None = None) -> Reading:
    """Read every domain of a recipe; its passages are those that embedding, clustering and splitting see.

    Args:
        recipe: what to read, and how long a passage is.
        report: gets one line per domain.

    Raises:
        CalibrationError: a source that cannot be read, or a domain with too few passages or documents.
    """
    texts = {name: open_text(recipe, name) for name in recipe.domain_names}
    tasks = [Task.open(task) for task in recipe.tasks]
    read = {name: read_text(name, sources, recipe) for name, sources in texts.items()}
    clusters: dict[str, str] = {}
    for task in tasks:
        of_task, clusters_of_task = read_task(task, recipe, read)
        read |= of_task
        clusters |= clusters_of_task
    passages = [passage for domain in read.values() for passage in domain.passages]
    sets = shingle_sets([passage.plain for passage in passages])
    left = _left(passages, sets)
    kept = [passages[i] for i in left]
    shared = shared_text([sets[i] for i in left], [p.document for p in kept], [p.domain for p in kept])
    joined = tuple(replace(p, document=shared.joined.get(p.document, p.document)) for p in kept)
    domains = {name: _counted(domain, kept, shared) for name, domain in read.items()}
    for domain in domains.values():
        _refuse_too_little(domain)
        if report:
            report(domain.line)
    return Reading(joined, domains, clusters)


def _left(passages: Sequence[Passage], sets: Sequence[np.ndarray]) -> list[int]:
    """List the passages that say something new: no near-duplicate, no copy out of a document, no id a second time."""
    kin = [passage.document if passage.kind == "item" else None for passage in passages]
    repeated = set(near_duplicates(sets, kin))
    seen: set[str] = set()
    for i, passage in enumerate(passages):
        if passage.id in seen:
            repeated.add(i)
        seen.add(passage.id)
    left = [i for i in range(len(passages)) if i not in repeated]
    copies = set(said_before([sets[i] for i in left], [passages[i].document for i in left]))
    return [i for place, i in enumerate(left) if place not in copies]


def _counted(domain: DomainPassages, kept: Sequence[Passage], shared: SharedText) -> DomainReading:
    """Count what is left of a domain."""
    own = [i for i, passage in enumerate(kept) if passage.domain == domain.name]
    documents = {kept[i].document for i in own}
    sizes = Counter(shared.joined.get(kept[i].document, kept[i].document) for i in own)
    heads = {shared.joined[name] for name in documents if name in shared.joined}
    return DomainReading(
        name=domain.name,
        kind=domain.kind,
        sources=domain.sources,
        documents=len(sizes),
        passages=len(own),
        empty_rows=domain.empty_rows,
        short_documents=domain.short_documents,
        near_duplicates=len(domain.passages) - len(own),
        joined_documents=len(documents) - len(sizes),
        largest_joined=max((sizes[name] for name in heads), default=0),
        boilerplate=len(set(own) & set(shared.boilerplate)),
        prompted=sum(kept[i].prompt > 0 for i in own),
    )


def _refuse_too_little(domain: DomainReading) -> None:
    """Raise unless the domain has the passages and documents that three splits need."""
    where = f"domain {domain.name}: {', '.join(source.source for source in domain.sources)}"
    if domain.passages == 0:
        raise CalibrationError(
            f"{where}: no usable passages ({domain.empty_rows} empty rows, {domain.short_documents} documents under "
            f"{FEWEST_WORDS} words, {domain.near_duplicates} near-duplicates); give it more text"
        )
    if domain.documents < FEWEST_DOCUMENTS:
        if domain.documents + domain.joined_documents >= FEWEST_DOCUMENTS:
            raise CalibrationError(
                f"{where}: its {domain.documents + domain.joined_documents} documents share so much text that they "
                f"count as {domain.documents}, expected at least {FEWEST_DOCUMENTS} so that search, select and audit "
                f"share none; give it more text, or without the passages that its documents repeat"
            )
        column = next((source.group_by for source in domain.sources if source.group_by), None)
        if column:
            advice = f"all rows fall into them by {column!r}; group by another column, or by none"
        else:
            advice = "give it more rows (in a .txt file, lines <|endoftext|> separate documents)"
        raise CalibrationError(
            f"{where}: found {domain.documents} document(s), expected at least {FEWEST_DOCUMENTS} so that search, "
            f"select and audit share none; {advice}"
        )
