"""The folder of an audit: numbers as soon as there are some, the page when all is measured or something went wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from calibration.calibration_set import MANIFEST
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.files.csv_file import write_csv
from evop.files.json_file import temporary_of, whole
from evop.files.lock import LOCK
from evop.files.names import AUDIT, CONFIG, METRIC, PATTERN, POINTS, SPEED, TRIALS
from evop.report.audit_plot import draw_audit
from evop.timing.speed_file import SpeedFile

PAGE = "report.html"
PICTURE = "audit.png"
ROWS = "audit.csv"
OWN = (AUDIT, ROWS, PICTURE, PAGE, SPEED)
"""What an audit writes."""
OTHERS = {
    **{MANIFEST: "a calibration set", CONFIG: "a model", POINTS: "a search", TRIALS: "a search"},
    **{METRIC: "a searched metric", PATTERN: "a pattern"},
}
"""File -> what a folder is that holds it, beside an audit too: such as a checkpoint, whose card shows one."""


class AuditFolder:
    """Writes an audit: its numbers at the beginning of a ``with`` block, all that there is by then at its end.

    Measurements that take long or may fail are made inside the block. Whether it ends well, in an error or by Ctrl-C,
    what was measured before is kept, and the page shows it.

    Args:
        path: the folder.
        file: the losses that were measured.
        page: draws the page, given the file and, as ``speed``, how fast the patterns are.
        report: is told where the numbers are if the block does not end well.
    """

    def __init__(
        self,
        path: Path,
        file: AuditFile,
        page: Callable[..., str],
        report: Callable[[str], None],
    ) -> None:
        self.path, self.file, self.page, self.report = path, file, page, report
        self.speed: SpeedFile | None = None

    def add(self, **measured: Any) -> None:
        """Add what was measured since to the file, under the names of its fields."""
        self.file = self.file.model_copy(update=measured)

    def __enter__(self) -> Self:
        self._write_numbers()
        return self

    def __exit__(self, error: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if error is not None:
            self.report(f"stopped; what was measured is in {self.path}")
        self._write_numbers()
        if self.speed is not None:
            self.speed.write(self.path / SPEED)
        with whole(self.path / PICTURE) as picture, whole(self.path / PAGE) as html:
            draw_audit(self.file, picture)
            html.write_text(self.page(self.file, speed=self.speed), encoding="utf-8")

    def _write_numbers(self) -> None:
        """Write what was measured over what lies there of another audit."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name in (PAGE, PICTURE, SPEED):
            (self.path / name).unlink(missing_ok=True)
        with whole(self.path / ROWS) as csv:
            write_csv(self.file.group_frame(), csv)
            self.file.write(self.path / AUDIT)


def refuse_no_audit(folder: Path) -> None:
    """Check, before anything is measured, that a folder is new, empty, or that of an audit, which gives way.

    Raises:
        EvopError: it holds something else.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    other = next((what for name, what in OTHERS.items() if name in names), None)
    if other is not None:
        raise EvopError(f"--out {folder} is the folder of {other}; an audit has one of its own: choose a new folder")
    ours = {LOCK, *OWN, *(temporary_of(folder / name).name for name in OWN)}
    if AUDIT not in names and names - ours:
        raise EvopError(f"--out {folder} is not empty and holds no audit; choose a new folder")
