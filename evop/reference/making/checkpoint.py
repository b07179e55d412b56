"""How the training of the embedded model is put down and taken up: one file, tensors and JSON in its header."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from evop.files.json_file import whole

__all__ = ["CheckpointError", "load_checkpoint", "save_checkpoint"]

SCHEMA = "evop.training/1"


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or belongs to another run."""


def save_checkpoint(path: Path, model: nn.Module, optimizers: dict[str, Optimizer], state: dict[str, Any]) -> None:
    """Write the run to `path` in one rename, so that a kill leaves the old checkpoint or the new one.

    Args:
        path: The file.
        model: Its parameters are saved, tied ones once.
        optimizers: By name; the tensors they keep for each parameter are saved.
        state: Whatever else is needed, as JSON.
    """
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {f"model/{name}": parameter.detach() for parameter, name in names.items()}
    for kind, optimizer in optimizers.items():
        for parameter, kept in optimizer.state.items():
            tensors |= {f"{kind}/{names[parameter]}/{key}": value for key, value in kept.items()}
    content = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    with whole(path) as temporary:
        save_file(content, temporary, metadata={"state": json.dumps({"schema": SCHEMA, **state})})
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())


def load_checkpoint(path: Path, model: nn.Module, optimizers: dict[str, Optimizer]) -> dict[str, Any]:
    """Put the tensors of a checkpoint back in their places and return its state.

    Raises:
        CheckpointError: It is not a checkpoint of this schema, or of a model of another shape.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; expected a training checkpoint; start again elsewhere") from error
    if state.pop("schema", None) != SCHEMA:
        raise CheckpointError(f"{path}: not of schema {SCHEMA}; expected a training checkpoint; start again elsewhere")
    parameters = dict(model.named_parameters())
    wanted = {f"model/{name}": tuple(parameter.shape) for name, parameter in parameters.items()}
    stored = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name.startswith("model/")}
    if wanted != stored:
        raise CheckpointError(f"{path}: a model of another shape; expected this run's own; give the same shape")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors.pop(f"model/{name}"))
    _put_back(tensors, parameters, optimizers)
    return state


def _put_back(
    tensors: dict[str, Tensor], parameters: dict[str, nn.Parameter], optimizers: dict[str, Optimizer]
) -> None:
    """Give the optimizers back what they kept for each parameter."""
    for full_name, tensor in tensors.items():
        kind, name, key = full_name.split("/")
        parameter = parameters[name]
        # AdamW counts its steps in a tensor that stays on the CPU.
        optimizers[kind].state[parameter][key] = tensor if key == "step" else tensor.to(parameter.device)
