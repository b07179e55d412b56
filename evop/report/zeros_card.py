"""What a model card says of weights that left one by one."""

from __future__ import annotations

import shlex

from evop.model.checkpoint import Checkpoint
from evop.removal.zeros_file import ZerosFile
from evop.report.sheet import code


def zeros_title(account: ZerosFile) -> str:
    """Say in a sentence or two what is zero, and what that does not save."""
    return f"{account.zeros.words}."


def zeros_found(account: ZerosFile) -> str:
    """Say by which metric the weights left, and what those that stay make up for."""
    read = " and ".join(f"{tokens:,} tokens of `{split}`" for split, tokens in account.tokens.items())
    of = f", on {read} of the calibration set `{account.calibration}`" if read else ""
    stays = (
        "Those that stay were fitted by least squares, so that every matrix puts out what the dense one does"
        if account.refit != "none"
        else "Those that stay are the dense model's"
    )
    return f"## What became zero\n\nThe least of every row by the metric {code(account.importance)}{of}. {stays}."


def zeros_again(checkpoint: Checkpoint, account: ZerosFile) -> str:
    """Spell out the command that makes it again."""
    how = "--sparsity" if ":" in account.zeros.sparsity else "--remove"
    command = ["evop", "prune", "--model", checkpoint.name, "--grain", "weight", how, account.zeros.sparsity]
    command += ["--importance", account.importance, "--refit", account.refit]
    command += ["--calibration", "SET"] if account.calibration else []
    command += ["--revision", checkpoint.revision] if checkpoint.revision else []
    return shlex.join([*command, "--out", "DIR"])
