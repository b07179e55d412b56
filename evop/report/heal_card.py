"""The model card of a healed checkpoint: the pruned one's, and what healing brought back."""

from __future__ import annotations

from collections.abc import Mapping

from evop.recovery.heal_file import HealFile
from evop.report.card import UNTRAINED
from evop.report.sheet import Cell, Row, Sheet, markdown

TRAINED = "it learned from the dense model afterwards (see Healing)"


def healed_card(pruned: str, file: HealFile, labels: Mapping[str, str]) -> str:
    """Write the README.md of a healed checkpoint.

    Args:
        pruned: that of the checkpoint that was healed; "" where it has none.
        file: the account of the healing.
        labels: group key -> what a person reads.
    """
    start, best = file.curve[0].excess, file.best.excess
    rows = [
        Row((Cell(labels.get(group, group)), Cell(f"{start[group]:+.3f}"), Cell(f"{best[group]:+.3f}")))
        for group in sorted(start, key=lambda group: -start[group])
    ]
    recipe = file.recipe
    return (
        pruned.replace(UNTRAINED, TRAINED).rstrip("\n")
        + "\n\n## Healing\n\n"
        + f"Trained by evop {file.version} on {file.tokens:,} tokens of calibration set `{file.calibration}` "
        f"(`{recipe.get('train')}`, weights `{recipe.get('weights')}`), to predict what the dense model predicts; the "
        f"weights are those after {file.best_at:,} tokens. What other sections measured was measured before.\n\n"
        "What each group loses (nats per token) on `select`, by which these weights were chosen: **not an audit**.\n\n"
        + markdown(Sheet("", ("group", "pruned", "healed"), tuple(rows)))
        + "\n"
    )
