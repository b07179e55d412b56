"""Under what something was computed: what may change the last digits of a number, and is no part of what was asked."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from evop.errors import EvopError
from evop.files.json_file import JsonFile, JsonPart
from evop.files.names import MACHINES

PACKAGES = ("evop", "torch", "transformers", "tokenizers", "numpy")
"""The packages whose versions are written down."""


class Machine(JsonPart):
    """One machine, as far as numbers may depend on it.

    Attributes:
        versions: of Python and of the packages that compute, by name.
        device: what the model ran on; of a processor, the widest instructions that torch uses on it.
        dtype: what the model was computed in.
        threads: number of threads of torch; sums depend on how many add them up.
    """

    versions: dict[str, str]
    device: str
    dtype: str
    threads: int

    @classmethod
    def here(cls, device: object, dtype: str) -> Machine:
        """Describe this machine.

        Args:
            device: the device that a model is on, a ``torch.device`` or its name.
            dtype: the name of the dtype that it computes in.
        """
        import torch

        kind = torch.device(str(device))
        name = torch.cuda.get_device_name(kind) if kind.type == "cuda" else platform.machine()
        widest = f" {torch.backends.cpu.get_cpu_capability()}" if kind.type == "cpu" else ""
        versions = {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}
        return cls(
            versions=versions, device=f"{kind.type} ({name}{widest})", dtype=dtype, threads=torch.get_num_threads()
        )

    @property
    def words(self) -> dict[str, str]:
        """What stands here, by the name a person reads."""
        return {**self.versions, "device": self.device, "dtype": self.dtype, "threads": str(self.threads)}


class MachinesFile(JsonFile):
    """``machines.json``: the machines that worked on a folder, in their order; no part of what was asked."""

    SCHEMA: ClassVar[str] = "evop.machines/1"
    machines: list[Machine]


def note_machine(folder: Path, machine: Machine, report: Callable[[str], None]) -> list[Machine]:
    """Write down that a machine works on a folder, and say so where it is another than before.

    Args:
        folder: the folder of the work, which can be stopped and gone on with.
        machine: this machine.
        report: is told what differs from the machine before.

    Returns:
        The machines that worked on the folder, in their order.
    """
    path = folder / MACHINES
    try:
        before = MachinesFile.read(path).machines if path.is_file() else []
    except EvopError as error:  # it decides nothing
        report(f"{error}; it is begun anew")
        before = []
    if before and before[-1] == machine:
        return before
    if before:
        was, now = before[-1].words, machine.words
        changed = ", ".join(f"{name} {was.get(name)} -> {now[name]}" for name in now if was.get(name) != now[name])
        report(
            f"warning: {folder} goes on under another machine ({changed}): the last digits of its numbers may differ"
        )
    folder.mkdir(parents=True, exist_ok=True)
    MachinesFile(machines=[*before, machine]).write(path)
    return [*before, machine]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
