"""Measured speed, model by model."""

from __future__ import annotations

from evop.console.plain import PlainConsole
from evop.console.sheet import print_sheet
from evop.report.speed_sheet import speed_sheet
from evop.timing.speed_file import SpeedFile


def print_speed(console: PlainConsole, speed: SpeedFile) -> None:
    """Print one line per model: its size, its speed, and its time predicted beside measured."""
    print_sheet(console, speed_sheet(speed))
