"""Where a stage may write: what ``--out`` cannot be, asked before anything is read or computed for it."""

from __future__ import annotations

import os
from errno import ELOOP, ENOENT
from pathlib import Path
from stat import S_ISDIR

from evop.errors import EvopError
from evop.files.names import CONFIG


def refuse_no_folder(out: Path) -> None:
    """Check that a folder has a name or can get it.

    Raises:
        EvopError: something else has it, a link that leads nowhere too.
    """
    try:
        if S_ISDIR(out.stat().st_mode):  # asked once: another writer may make the folder, or take it away, meanwhile
            return
        what = "a file, a pipe or a device"
    except ValueError:
        return  # making it says why it cannot be made
    except OSError as error:
        if error.errno not in (ENOENT, ELOOP) or not out.is_symlink():
            return
        what = "a link that leads nowhere"
    raise EvopError(f"--out {out} is {what}, expected a folder or a new name; choose another one")


def refuse_inside_model(out: Path) -> None:
    """Check that nothing is written into the folder of a model: it would be copied, uploaded and deleted with it.

    Raises:
        EvopError: a folder above has a config and weights.
    """
    try:
        above = Path(os.path.realpath(out)).parents
        model = next((f for f in above if (f / CONFIG).is_file() and any(f.glob("*.safetensors"))), None)
    except (OSError, ValueError):
        return  # making it says why it cannot be made
    if model is not None:
        raise EvopError(f"--out {out} lies inside {model}, the folder of a model; choose a folder beside it")
