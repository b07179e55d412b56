"""Multiple-choice tasks of lm-evaluation-harness, as the rows of a task."""

import contextlib
import difflib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from calibration.errors import CalibrationError, one_line
from calibration.passage import JOINED_BY

PREFIX = "lm_eval:"
SEED = 1234
"""Which examples a task with shots shows; the harness' own default."""
STARTS = "lm_eval: where the question starts"
"""Key of a row: characters of its query before the document's own question."""
TRAINING = "training documents"
EVALUATED = "evaluated documents"
EXAMPLES_OF = 10
"""One document in so many is set apart to be shown, where a task shows such documents as are read."""
INSTALL = "needs lm_eval, which is not installed; pip install 'evop[eval]'"


@dataclass
class HarnessTask:
    """A task of lm_eval, or a group of tasks.

    Attributes:
        where: start of every message about the task.
        task: name of the task in lm_eval.
        folder: folder with task files of the user's own; None for those of lm_eval alone.
        read: which documents were read, by name of the task.
        set_apart: documents that are shown as examples and are no items, by name of the task.
    """

    where: str
    task: str
    folder: str | None
    read: dict[str, str] = field(default_factory=dict)
    set_apart: dict[str, int] = field(default_factory=dict)

    sha256: ClassVar[str | None] = None
    revision: ClassVar[str | None] = None
    filled: ClassVar[bool] = False

    @classmethod
    def open(cls, where: str, spec: str) -> "HarnessTask":
        """Open the task that ``lm_eval:TASK`` or ``lm_eval:TASK:FOLDER`` means.

        Raises:
            CalibrationError: lm_eval is not there, or does not know the task.
        """
        name, _, folder = spec.removeprefix(PREFIX).partition(":")
        if find_spec("lm_eval") is None:
            raise CalibrationError(f"{where}: {INSTALL}")
        with quiet():
            unknown = unknown_task([name], task_manager(folder))
        if unknown:
            raise CalibrationError(f"{where}: {unknown}")
        return cls(where, name, folder or None)

    @property
    def name(self) -> str:
        """Start of the names of the task's documents, such as ``lm_eval:arc_easy``."""
        return f"{PREFIX}{self.task}"

    def rows(self, choose: Callable[[list[str]], Sequence[str]]) -> Iterator[dict[str, Any]]:
        """Read the rows: the columns of a document, ``query``, ``choices``, ``gold``, ``task`` and ``STARTS``.

        The training documents of a task that has some, so that what lm_eval evaluates stays unseen. Of a group, every
        task is a ``cluster``. lm_eval keeps what it downloads in a cache of its own.

        Raises:
            CalibrationError: it cannot be read, or asks for something else than one of several choices.
        """
        chosen: Sequence[str] = ()
        try:
            with quiet():
                tasks = task_manager(self.folder).load([self.task])["tasks"]
                for name, task in tasks.items():
                    labels = {"task": name} if len(tasks) == 1 else {"task": name, "cluster": name}
                    self._refuse(name, task)
                    task.set_fewshot_seed(SEED)
                    for document in self._documents(name, task):
                        row = {**labels, **document, **self._question(name, task, document)}
                        if not chosen:
                            chosen = choose([column for column in row if column != STARTS])
                        yield row
        except CalibrationError:
            raise
        except Exception as error:  # lm_eval raises whatever a task's own code does
            raise CalibrationError(f"{self.where}: lm_eval cannot read it: {one_line(error)}") from error

    def _documents(self, name: str, task: Any) -> Sequence[dict[str, Any]]:
        """List the documents of a task that are items.

        Where the examples that it shows are drawn from the same documents, some are set apart for that: an item of
        another split, with its answer, would be shown otherwise.
        """
        training = task.has_training_docs()
        self.read[name] = TRAINING if training else EVALUATED
        documents = task.training_docs() if training else task.eval_docs
        config, shots = task.config, task.config.num_fewshot or 0
        read = config.training_split if training else config.test_split or config.validation_split
        if not shots or _examples_split(task) != read:
            return documents
        if shown := set(task.fewshot_cfg.fewshot_indices or ()):
            examples = shown
        else:
            step = min(EXAMPLES_OF, max(2, len(documents) // (shots + 1)))
            examples = set(range(0, len(documents), step))
            task.sampler.replace_df([document for i, document in enumerate(documents) if i in examples])
        self.set_apart[name] = len(examples)
        return [document for i, document in enumerate(documents) if i not in examples]

    def _refuse(self, name: str, task: Any) -> None:
        """Raise unless the task asks for one of several choices after a query."""
        fault = None
        if task.OUTPUT_TYPE != "multiple_choice":
            fault = f"is {task.OUTPUT_TYPE}; evop audit --lm-eval {name} scores such a task"
        elif task.multiple_input:
            fault = "puts its choices before the text"
        elif task.multiple_target:
            fault = "has several right answers"
        if fault:
            raise CalibrationError(f"{self.where}: {name} {fault}; expected one of several choices after a query")

    def _question(self, name: str, task: Any, document: dict[str, Any]) -> dict[str, Any]:
        """Put a document as the task does: ``query`` with its examples, ``choices``, and which of them is ``gold``."""
        shots = task.config.num_fewshot or 0
        query = task.fewshot_context(document, shots, gen_prefix=task.doc_to_prefix(document))
        choices = [f"{task.config.target_delimiter}{choice}" for choice in task.doc_to_choice(document)]
        if not all(choice.startswith(JOINED_BY) for choice in choices):
            raise CalibrationError(
                f"{self.where}: {name} joins query and choice by {task.config.target_delimiter!r}; expected one space"
            )
        choices = [choice.removeprefix(JOINED_BY) for choice in choices]
        gold = task.doc_to_target(document)
        starts = max(query.rfind(str(task.doc_to_text(document))), 0)
        gold = choices.index(gold) if gold in choices else gold
        return {"query": query, "choices": choices, "gold": gold, STARTS: starts}

    @property
    def read_as(self) -> str:
        """Which documents of the task were read, in words."""
        read = " and ".join(sorted(set(self.read.values())))
        apart = sum(self.set_apart.values())
        return f"{read}; {apart} more are shown as examples only" if apart else read


def _examples_split(task: Any) -> str | None:
    """Name the split that a task draws its examples from; None for examples that it lists."""
    config, shown = task.config, task.fewshot_cfg
    if shown.split is not None or shown.samples is not None:
        return str(shown.split) if shown.split is not None else None
    return config.training_split or config.validation_split or config.test_split


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the log lines of lm_eval meanwhile: what it says of its other tasks is no news to who asks for one."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def task_manager(folder: str | Path | None) -> Any:
    """Make lm_eval's manager of the tasks that it ships and of the task files in a folder, which take precedence.

    lm_eval's own files are read once per process, for there are more than ten thousand; those of the folder each time.
    """
    from lm_eval.tasks import TaskManager

    if not folder:
        return _shipped_tasks()
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    for name, entry in _shipped_tasks().task_index.items():
        manager.task_index.setdefault(name, entry)
    return manager


@functools.cache
def _shipped_tasks() -> Any:
    """Make the manager of the tasks that lm_eval ships; reading their files takes seconds."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def unknown_task(names: Sequence[str], manager: Any) -> str | None:
    """Say on one line which is the first name that is no task, and what may be meant; None if all are tasks."""
    known = manager.task_index
    unknown = next((name for name in names if name not in known), None)
    if unknown is None:
        return None
    near = difflib.get_close_matches(unknown, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "lm-eval ls tasks lists them, and a folder may add yours"
    return f"{unknown}: lm_eval has no such task; {hint}"
