"""Tables as CSV, in which names are text to a spreadsheet too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.visible import visible

if TYPE_CHECKING:
    import pandas as pd

COMPUTED = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table of names and numbers; an apostrophe stands before a text that a spreadsheet would compute."""
    import pandas as pd

    texts = {
        str(name): pd.Series([_as_text(cell) for cell in column], index=table.index, dtype=object)
        for name, column in table.select_dtypes(exclude="number").items()
    }
    table.assign(**texts).to_csv(path, index=False)


def _as_text(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return f"'{visible(cell)}" if cell.startswith(COMPUTED) else visible(cell)
