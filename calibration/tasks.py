"""Tasks: rows of a file or hub dataset into items, each a question with its choices."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from calibration.errors import CalibrationError
from calibration.passage import Passage
from calibration.recipe import TaskSource
from calibration.sources import Source, open_source, rows_of

REQUIRED = ("query", "choices", "gold")
OPTIONAL = ("document", "domain", "cluster")
ANSWER_SHOWN = 40


@dataclass(frozen=True)
class Row:
    """One row of a task: the item, and the cluster it was given; None where it is to be clustered like a passage."""

    item: Passage
    cluster: str | None


@dataclass
class Task:
    """One opened task; iterating ``rows`` reads it.

    Attributes:
        name: names its domain, or the first part of its domains' names.
        source: where it is read from; counts the rows.
        columns: what its columns are called, by what they are read as; complete once the first row was read.
    """

    name: str
    source: Source
    columns: dict[str, str]

    @classmethod
    def open(cls, asked: TaskSource) -> "Task":
        """A task, checked as far as that goes without reading rows.

        Raises:
            CalibrationError: a missing or empty file, or a specification that means nothing.
        """
        columns: dict[str, str] = {str(role): name for role, name in asked.columns.items()}
        source = open_source(asked.name, asked.source, columns.get("document"), "task")
        if source.column is not None:
            raise CalibrationError(
                f"{source.where}: a task has no single column; name its columns one by one, such as "
                f"--task-columns {asked.name}=query:question,choices:options"
            )
        return cls(asked.name, source, columns)

    @property
    def read_as(self) -> str:
        """What its columns are read as, on one line."""
        return ", ".join(f"{role} {name}" for role, name in self.columns.items())

    def rows(self) -> Iterator[Row]:
        """Its items in order.

        Raises:
            CalibrationError: unreadable, a column it does not have, or a row that is no such item.
        """
        with rows_of(self.source) as rows:
            for row in rows:
                if not self.source.rows:
                    self._find_columns(list(row))
                self.source.rows += 1
                yield self._row(row)

    def _find_columns(self, there: list[str]) -> None:
        given = dict(self.columns)
        roles = [*REQUIRED, *(role for role in OPTIONAL if role in given or role in there)]
        self.columns = {role: given.get(role, role) for role in roles}
        for role, name in self.columns.items():
            missing = next((part for part in (_parts(role, name)) if part not in there), None)
            if missing is not None:
                raise CalibrationError(
                    f"{self.source.where}: no column {missing!r} for the {role}; it has: {', '.join(there)}; name it: "
                    f"--task-columns {self.name}={role}:COLUMN"
                )
        self.source.group_by = self.columns.get("document")

    def _row(self, row: dict[str, Any]) -> Row:
        query = row[self.columns["query"]]
        choices, labels = self._choices(row)
        gold = self._gold(row[self.columns["gold"]], choices, labels)
        document = self.source.document_name(row)
        item = Passage.item(self._domain(row), document, "" if query is None else str(query), choices, gold)
        cluster = row.get(self.columns.get("cluster", ""))
        return Row(item, None if cluster is None else str(cluster))

    def _domain(self, row: dict[str, Any]) -> str:
        value = row.get(self.columns.get("domain", ""))
        return self.name if value is None else f"{self.name}.{re.sub(r'[^A-Za-z0-9_.-]+', '_', str(value))}"

    def _choices(self, row: dict[str, Any]) -> tuple[tuple[str, ...], list[str]]:
        """The choices, and their labels where the file has some."""
        parts = _parts("choices", self.columns["choices"])
        found = row[parts[0]] if len(parts) == 1 else [row[part] for part in parts]
        labels: list[str] = []
        if isinstance(found, dict) and {"text", "label"} <= set(found):
            labels, found = [str(label) for label in found["label"]], found["text"]
        texts = list(found) if isinstance(found, list | tuple) else []
        if len(texts) < 2 or not all(isinstance(text, str) and text.strip() for text in texts):
            raise CalibrationError(
                f"{self._here}: choices {str(found)[:ANSWER_SHOWN]!r}, expected a list of at least two texts, or "
                f"columns joined by +"
            )
        return tuple(texts), labels

    def _gold(self, answer: Any, choices: tuple[str, ...], labels: list[str]) -> int:
        """The number of the right choice, from a number from 0, a label, a letter or the choice itself."""
        said = str(answer).strip()
        if said in labels:
            return labels.index(said)
        if said.isdecimal() and not labels and int(said) < len(choices):
            return int(said)
        if said in choices:
            return choices.index(said)
        if len(said) == 1 and said.isalpha() and ord(said.upper()) - ord("A") < len(choices):
            return ord(said.upper()) - ord("A")
        raise CalibrationError(
            f"{self._here}: gold {said[:ANSWER_SHOWN]!r}, expected 0 to {len(choices) - 1}, "
            f"{'one of ' + ', '.join(labels) if labels else 'a letter'}, or one of its choices"
        )

    @property
    def _here(self) -> str:
        return f"{self.source.where}, row {self.source.rows}"


def _parts(role: str, name: str) -> list[str]:
    return name.split("+") if role == "choices" else [name]
