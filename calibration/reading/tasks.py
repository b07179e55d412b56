"""Tasks: rows of a file, hub dataset or task of lm_eval into items, each a question with its choices."""

import os.path
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from calibration.errors import CalibrationError
from calibration.json_text import row_value, whole_characters
from calibration.passage import Passage, words
from calibration.reading.harness import STARTS, HarnessTask
from calibration.reading.sources import Source, open_source
from calibration.recipe import TaskSource

REQUIRED = ("query", "choices", "gold")
OPTIONAL = ("document", "domain", "cluster")
FEWEST_ALIKE, FEWEST_WORDS = 8, 5
"""Items that share the beginning of their queries, and words of it, before it is taken for a prompt."""
NEVER_FIRST = 50
"""Answers by number, of three choices or more, that seem to be counted from 1 where none is 0."""
MOST_DIGITS = 9
"""Digits of a number that may name a choice, and one more."""
ANSWER_SHOWN = 40
"""Characters of an answer that an error shows."""


@dataclass(frozen=True)
class Row:
    """One row of a task.

    Attributes:
        item: the row's question with its choices.
        cluster: name of the cluster that the row gives its item; None where the item is to be clustered like a passage.
    """

    item: Passage
    cluster: str | None


@dataclass
class Task:
    """One opened task; iterating ``rows`` reads it.

    Attributes:
        name: name of the task's domain, or the first part of its domains' names.
        source: the opened source of the rows; counts them.
        columns: names of the columns, by what they are read as; complete once the first row was read.
    """

    name: str
    source: Source
    columns: dict[str, str]
    _domains: dict[str, str] = field(default_factory=dict)
    _numbered: Counter[int] = field(default_factory=Counter)

    @classmethod
    def open(cls, task: TaskSource) -> "Task":
        """Open a task, checked as far as that goes without reading rows.

        Raises:
            CalibrationError: a missing or empty file, or a specification that means nothing.
        """
        columns: dict[str, str] = {str(role): name for role, name in task.columns.items()}
        source = open_source(task.name, task.source, columns.get("document"), "task")
        if source.column is not None:
            raise CalibrationError(
                f"{source.where}: a task has no single column; name its columns one by one, such as "
                f"--task-columns {task.name}=query:question,choices:options"
            )
        return cls(task.name, source, columns)

    @property
    def read_as(self) -> str:
        """What the task's columns are read as, on one line; of a task of lm_eval, also which documents were read."""
        columns = ", ".join(f"{role} {name}" for role, name in self.columns.items())
        origin = self.source.origin
        return f"{columns}; {origin.read_as}" if isinstance(origin, HarnessTask) else columns

    def rows(self) -> Iterator[Row]:
        """Read the items in order.

        Raises:
            CalibrationError: unreadable, a column it does not have, or a row that is no such item.
        """
        for row in self.source.origin.rows(self._find_columns):
            self.source.rows += 1
            yield self._row(row)

    def refuse_counted_from_one(self) -> None:
        """Check that of many answers by number, those that were read, some are the first choice.

        Raises:
            CalibrationError: none is.
        """
        if self._numbered.total() >= NEVER_FIRST and not self._numbered[0]:
            raise CalibrationError(
                f"{self.source.where}: {self._numbered.total()} answers by number, none of them 0, the first choice; "
                "if they are counted from 1, count them from 0; if not, give the choices themselves as answers"
            )

    def _find_columns(self, there: list[str]) -> list[str]:
        """Settle ``columns`` by those that there are, and list them: a role without a name is a column of its own."""
        renamed = dict(self.columns)
        roles = [*REQUIRED, *(role for role in OPTIONAL if role in renamed or role in there)]
        self.columns = {role: renamed.get(role, role) for role in roles}
        for role, name in self.columns.items():
            missing = next((part for part in (_parts(role, name)) if part not in there), None)
            if missing is not None:
                raise CalibrationError(
                    f"{self.source.where}: no column {missing!r} for the {role}; it has: {', '.join(there)}; name it: "
                    f"--task-columns {self.name}={role}:COLUMN"
                )
        self.source.group_by = self.columns.get("document")
        return list(dict.fromkeys(part for role, name in self.columns.items() for part in _parts(role, name)))

    def _row(self, row: dict[str, Any]) -> Row:
        """Turn the columns of a row into an item and its cluster."""
        query = row.get(self.columns["query"])
        if isinstance(query, list | dict):
            raise CalibrationError(f"{self._here}: query {str(query)[:ANSWER_SHOWN]!r}, expected text; join it to one")
        choices, labels, places = self._choices(row)
        gold = self._gold(row.get(self.columns["gold"]), choices, labels, places)
        document = self.source.document_name(row)
        query = "" if query is None else str(query)
        try:
            whole_characters("".join((query, *choices, str(row.get(self.columns.get("cluster", ""))))))
        except ValueError as error:
            raise CalibrationError(f"{self._here}: {error}") from error
        item = Passage.item(self._domain(row), document, query, choices, gold, prompt=row.get(STARTS, 0))
        if "cluster" not in self.columns:
            return Row(item, None)
        cluster = row.get(self.columns["cluster"])
        if cluster is None or not str(cluster).strip():
            raise CalibrationError(
                f"{self._here}: no value in column {self.columns['cluster']!r} for the cluster; fill it in every row"
            )
        return Row(item, str(cluster))

    def _domain(self, row: dict[str, Any]) -> str:
        """Name the domain of a row; two values that would give one name are refused."""
        value = row.get(self.columns.get("domain", ""))
        if value is None or value == "":
            return self.name
        name = re.sub(r"[^\w.-]+", "_", str(value))
        if self._domains.setdefault(name, str(value)) != str(value):
            raise CalibrationError(
                f"{self._here}: domains {self._domains[name]!r} and {str(value)!r} would both be called {name}; "
                "rename one"
            )
        return f"{self.name}.{name}"

    def _choices(self, row: dict[str, Any]) -> tuple[tuple[str, ...], list[str], list[int]]:
        """Take the choices of a row, their labels where the file has some, and their places among all options.

        An option that is null, or a blank cell where choices lie in columns of their own, is none.
        """
        parts = _parts("choices", self.columns["choices"])
        several = len(parts) > 1
        content = [row.get(part) or None for part in parts] if several else _unwritten(row.get(parts[0]))
        labels: list[str] = []
        if isinstance(content, dict) and {"text", "label"} <= set(content):
            labels, content = [str(label) for label in content["label"] or ()], content["text"]
        options = list(content) if isinstance(content, list | tuple) else []
        places = [at for at, option in enumerate(options) if option is not None]
        texts = [options[at] for at in places]
        unlabelled = labels and len(labels) != len(options)
        if unlabelled or len(texts) < 2 or not all(isinstance(text, str) and text.strip() for text in texts):
            raise CalibrationError(
                f"{self._here}: choices {str(content)[:ANSWER_SHOWN]!r}, expected a list of at least two texts, or "
                f"columns joined by +"
            )
        return tuple(texts), [labels[at] for at in places] if labels else [], places

    def _gold(self, answer: Any, choices: tuple[str, ...], labels: list[str], places: list[int]) -> int:
        """Find the number of the right choice by a number from 0, a label, a letter or the choice itself."""
        answer = int(answer) if isinstance(answer, float) and answer.is_integer() else answer
        text = str(answer).strip()
        place = int(text) if text.isdecimal() and len(text) < MOST_DIGITS and not labels else None
        letter = ord(text.upper()) - ord("A") if len(text) == 1 and text.isascii() and text.isalpha() else None
        readings = {
            "a label": labels.index(text) if text in labels else None,
            "a number from 0": places.index(place) if place in places else None,
            "a choice": choices.index(text) if isinstance(answer, str) and text in choices else None,
            "a letter": places.index(letter) if letter in places else None,
        }
        possible = {how: i for how, i in readings.items() if i is not None}
        if len(set(possible.values())) == 1:
            gold = next(iter(possible.values()))
            self._numbered.update([gold] if place == gold and len(choices) > 2 else [])
            return gold
        if possible:
            ways = ", ".join(f"{how} ({choices[i][:ANSWER_SHOWN]!r})" for how, i in possible.items())
            raise CalibrationError(f"{self._here}: gold {text[:ANSWER_SHOWN]!r} may be read as {ways}; give its number")
        raise CalibrationError(
            f"{self._here}: gold {text[:ANSWER_SHOWN]!r}, expected 0 to {len(choices) - 1}, "
            f"{'one of ' + ', '.join(labels) if labels else 'a letter'}, or one of its choices"
        )

    @property
    def _here(self) -> str:
        """Start of every message about the row that is read."""
        return f"{self.source.where}, row {self.source.rows}"


def without_shared_prompts(rows: Sequence[Row]) -> list[Row]:
    """Mark what all queries of a domain, or of a cluster that a task brings, begin with: instructions and examples.

    It ends with a line, or else between two words, and counts from five words on where eight items share it.
    """
    groups: dict[tuple[str, str | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.item.domain, row.cluster), []).append(row)
    shared = {}
    for key, members in groups.items():
        start = os.path.commonprefix([row.item.text or "" for row in members])  # noqa: RUF071 (of texts, not of paths)
        pause = "\n" if "\n" in start else " "
        start = start[: start.rfind(pause) + 1]
        shared[key] = len(start) if len(members) >= FEWEST_ALIKE and len(words(start)) >= FEWEST_WORDS else 0
    return [
        replace(row, item=replace(row.item, prompt=max(row.item.prompt, shared[row.item.domain, row.cluster])))
        for row in rows
    ]


def _unwritten(choices: Any) -> Any:
    """Read a list that a cell of text holds as JSON; anything else stays what it is."""
    if isinstance(choices, str) and choices.lstrip()[:1] == "[":
        try:
            return row_value(choices)
        except ValueError:
            return choices
    return choices


def _parts(role: str, name: str) -> list[str]:
    """List the columns that a role is read from: choices may lie in several, joined by ``+``."""
    return name.split("+") if role == "choices" else [name]
