"""Files changed by hand, with the checksum that fits, so that what is tested is what comes after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calibration.checksum import CHECKSUM, with_checksum
from patterns.checked_lines import with_checksum as sealed
from patterns.checked_lines import without_checksum


def write_by_hand(path: Path, content: dict[str, Any]) -> None:
    """Write a file as a hand would that knows how to make the checksum."""
    path.write_text(json.dumps(with_checksum({key: value for key, value in content.items() if key != CHECKSUM})))


def change_by_hand(path: Path, **changes: Any) -> None:
    """Change some keys of a file, and its checksum with them."""
    write_by_hand(path, {**json.loads(path.read_text()), **changes})


def write_log_by_hand(path: Path, change: Callable[[str], str]) -> None:
    """Change the lines of a search's log, and the checksums with them.

    Args:
        path: the log.
        change: makes the new content of the old one, without checksums.
    """
    before, contents = "", []
    for line in path.read_bytes().splitlines():
        content, before = without_checksum(line, before)
        contents.append(content.decode())
    before, lines = "", []
    for content in change("\n".join(contents)).splitlines():
        lines.append(sealed(content, before))
        _, before = without_checksum(lines[-1].encode(), before)
    path.write_text("".join(f"{line}\n" for line in lines))
