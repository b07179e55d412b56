"""A pruned model in memory with made-up weights: as fast as the real one, for the values decide nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from evop.export.config import auto_classes, pruned_config
from evop.export.plan import planned
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import DTYPES
from evop.removal.cut import Cut

VOCABULARY = 1024
"""Rows of the embeddings where only the decoder blocks are timed; one row is looked up however many there are."""
SPREAD = 0.02
"""Standard deviation of made-up weights."""
TILE = 1 << 16
"""So many made-up numbers are repeated over a weight; drawing billions would take longer than timing them."""


def stand_in(checkpoint: Checkpoint, cut: Cut, device: torch.device, dtype: str, *, head: bool = True) -> Any:
    """The model that ``evop prune`` would write for a cut: same classes, same shapes, other numbers.

    Nothing is read from the weight files, so it takes no more memory than the pruned model itself.

    Args:
        checkpoint: the dense model.
        cut: what leaves; the widths of what is thinned count, which units stay does not.
        device: where it runs.
        dtype: what it computes in, by name.
        head: with the output head and all of the vocabulary; without, the decoder blocks and a few embeddings.

    Returns:
        A model in evaluation mode.
    """
    family = family_of(checkpoint.model_type)
    plan = planned(checkpoint, family, cut)
    config = pruned_config(checkpoint, family, plan)
    if not head:
        rows = checkpoint.key("vocab_size")
        config |= {rows: min(int(checkpoint.resolved.vocab_size), VOCABULARY)}
        config |= {key: 0 for key in ("pad_token_id", "bos_token_id", "eos_token_id") if config.get(key) is not None}
    model = _on_meta(checkpoint.model_type, config, hetero=plan.kind == "hetero", head=head)
    _fill(model, device, DTYPES[dtype])
    return model.eval().requires_grad_(False)


def _on_meta(model_type: str, config: dict[str, Any], *, hetero: bool, head: bool) -> Any:
    """The model without memory for its weights, of the class that loading the checkpoint would make."""
    import transformers

    from evop.removal import modeling_evop

    names = auto_classes(model_type)
    home, prefix = (modeling_evop, modeling_evop.PREFIX) if hetero else (transformers, "")
    kept = {key: value for key, value in config.items() if key not in ("auto_map", "architectures")}
    read = getattr(home, f"{prefix}{names['AutoConfig']}").from_dict(kept)
    made = getattr(home, f"{prefix}{names['AutoModelForCausalLM' if head else 'AutoModel']}")
    with torch.device("meta"):
        return made(read)


def _fill(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Give every weight memory and numbers; weights that are one stay one, and no global random state is read."""
    tile = SPREAD * torch.randn(TILE, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                if id(weight) not in made:
                    numbers = tile.repeat(-(-weight.numel() // TILE))[: weight.numel()]
                    made[id(weight)] = nn.Parameter(numbers.reshape(weight.shape).clone(), requires_grad=False)
                module._parameters[name] = made[id(weight)]
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                value = 0.5 if buffer.is_floating_point() else 1 if buffer.dtype == torch.bool else 0
                module._buffers[name] = torch.full_like(buffer, value, device=device)
    _frequencies_again(model, device)


def _frequencies_again(model: nn.Module, device: torch.device) -> None:
    """Attributes beside the buffers that hold frequencies of the positions were made without memory, too."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.is_meta:
                setattr(module, name, torch.full_like(value, 0.5, device=device))
