"""What audits say of every domain of the searches that are compared."""

from __future__ import annotations

import pandas as pd

from evop.auditing.audit_file import AuditFile

COLUMNS = ("domain", "kind", "worst", "low", "high")


def domain_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Lay out what every domain loses on ``audit`` under every audited row of a comparison.

    Args:
        table: the frame that ``compare`` made.

    Returns:
        The columns of the table, and for every domain of a row a line with ``domain``, ``kind`` (``text``, nats per
        token, or ``item``, shares of the questions), ``worst``, ``low`` and ``high``: see ``DomainRow``.
    """
    audited = table[table["audit"].notna()]
    files = {place: AuditFile.find(place) for place in audited["audit"].unique()}
    lines = [
        {**row.to_dict(), **{name: getattr(domain, name) for name in COLUMNS}}
        for _, row in audited.iterrows()
        for (split, _, _), domain in files[row["audit"]].domains_of(row["audit_row"]).items()
        if split == "audit"
    ]
    frame = pd.DataFrame(lines, columns=[*table.columns, *COLUMNS])
    return frame.astype(dict.fromkeys(("worst", "low", "high"), float))
