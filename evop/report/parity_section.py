"""What a model card says of the check that the checkpoint computes what was measured."""

from __future__ import annotations

from evop.export.parity import ParityReport
from evop.report.sheet import Cell, Row, Sheet, markdown


def parity_section(found: ParityReport | None, parameters: tuple[int, int], sizes: tuple[int, int]) -> str:
    """Write the section of the check.

    Args:
        found: what was checked; None where it was left out.
        parameters: number of parameters of the dense and of the pruned model.
        sizes: bytes of the weight files of both.
    """
    if found is None:
        return "## Parity\n\nNot checked."
    speed = found.tokens_per_second
    beside = {
        "parameters": parameters,
        "weight files, bytes": sizes,
        f"tokens per second (forward pass, {found.device})": (speed.dense, speed.pruned),
    }
    rows = [Row((Cell(what), *(Cell(f"{value:,.0f}") for value in pair))) for what, pair in beside.items()]
    return (
        "## Parity\n\n"
        f"The dense model with the pattern masked against this checkpoint loaded again, {found.tokens} random tokens, "
        f"{found.dtype} on {found.device}: largest logit difference {found.difference:.2g} ({found.ratio:.2g} of the "
        f"logits' standard deviation), greedy tokens {'agree' if found.greedy_agrees else 'differ'}.\n\n"
        + markdown(Sheet("", ("", "dense", "pruned"), tuple(rows)))
    )
