"""The commands, one file each, in the order in which they are used."""

from __future__ import annotations

import errno
import sys

from calibration.errors import CalibrationError
from calibration.visible import visible
from evop.cli import audit, calibrate, compare, demo, export, heal, metric, prune, refit, run, search, show, speed
from evop.cli.app import app
from evop.cli.recipe_options import GroupedCommand
from evop.cli.stopping import answered
from evop.cli.streams import open_streams
from evop.errors import EvopError, first_line
from patterns.errors import PatternError

for _command in (
    demo.demo,
    calibrate.calibrate,
    show.show,
    metric.metric,
    search.search,
    refit.refit,
    audit.audit,
    prune.prune,
    heal.heal,
    export.export,
    speed.speed,
    run.run,
    compare.compare,
):
    app.command(cls=GroupedCommand)(_command)

LONGEST = 1000
"""Characters of a line that says what is wrong; what was found in a file may be longer."""


def main() -> None:
    """Run a command; what a person can mend is one line and exit code 2, a signal is one line and 128 beyond it."""
    open_streams()
    with answered() as stopping:
        try:
            _run()
        except BaseException as error:
            if stopping.signal is not None or isinstance(error, KeyboardInterrupt):
                sys.exit(stopping.end())
            raise


def _run() -> None:
    try:
        app()
    except (EvopError, CalibrationError, PatternError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        print(f"evop: {visible(_one_line(error))}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        said = f"{type(error).__name__}: {first_line(error)}"
        print(f"evop: internal: {visible(said)}; the same command after evop --debug shows where", file=sys.stderr)
        sys.exit(2)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        full = "; free some space and run the same command again" if error.errno == errno.ENOSPC else ""
        return f"{error.filename or 'writing'}: {error.strerror}{full}"
    said = " ".join(str(error).split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
