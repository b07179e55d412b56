"""What the command line prints of measured speed."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from evop.console.tables import new_table
from evop.timing.speed_file import SpeedFile, SpeedRow

LEGEND = (
    "time: of the request as a fraction of the dense model's; predicted: from the measured times of its parts; "
    "measured: median over rounds in turns [quartiles]; first token: time of the prefill; KV cache: bytes after it"
)


def print_speed(console: Console, speed: SpeedFile) -> None:
    """A row a model: size, speed, and its time predicted beside measured."""
    table = new_table(f"speed: {speed.words}")
    table.caption, table.caption_justify = escape(LEGEND), "left"
    table.add_column("model", overflow="fold", min_width=8)
    for name in (
        "parameters",
        "bytes",
        "prefill tok/s",
        "decode tok/s",
        "first token",
        "KV cache",
        "time predicted",
        "time measured",
    ):
        table.add_column(name, justify="right", no_wrap=name != "parameters")
    for row in speed.models:
        table.add_row(row.name, *map(escape, _cells(row, row is speed.models[0])))
    console.print(table)


def _cells(row: SpeedRow, first: bool) -> tuple[str, ...]:
    low, middle, high = row.share
    return (
        f"{row.parameters:,}",
        "–" if row.bytes is None else f"{row.bytes:,}",
        f"{row.prefill_tokens_per_second:,.0f}",
        f"{row.decode_tokens_per_second:,.1f}",
        f"{1e3 * row.first_token_seconds:,.1f} ms",
        f"{row.kv_bytes:,}",
        "–" if row.predicted is None else f"{row.predicted:.1%}",
        "100%" if first else f"{middle:.1%} [{low:.1%}, {high:.1%}]",
    )
