"""Pruned models in memory with made-up weights: as fast as the real ones, for the values decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from evop.export.config import auto_classes, pruned_config
from evop.export.plan import planned
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import DTYPES, LoadedModel
from evop.removal.cut import Cut

DENSE = "dense"
"""What the dense model is called beside the pruned ones."""
VOCABULARY = 1024
"""Rows of the embeddings where only the decoder blocks are timed; one row is looked up however many there are."""
SPREAD = 0.02
"""Standard deviation of made-up weights."""
TILE = 1 << 16
"""Made-up numbers that are drawn and repeated over a weight; drawing billions would take longer than timing them."""


def beside_dense(loaded: LoadedModel, cuts: Mapping[str, Cut]) -> dict[str, Any]:
    """Put the loaded dense model and a stand-in of every cut side by side, the dense one first."""
    stand_ins = {name: stand_in(loaded.checkpoint, cut, loaded.device, loaded.dtype) for name, cut in cuts.items()}
    return {DENSE: loaded.model, **stand_ins}


def stand_in(checkpoint: Checkpoint, cut: Cut, device: torch.device, dtype: str, *, head: bool = True) -> Any:
    """Make the model that ``evop prune`` would write for a cut: same classes, same shapes, other numbers.

    Nothing is read from the weight files, so it takes no more memory than the pruned model itself.

    Args:
        checkpoint: the dense model.
        cut: what leaves; how many units of a thinned block stay decides, which units do not.
        device: the device it runs on.
        dtype: name of the dtype it computes in.
        head: whether it has the output head and all of the vocabulary, or the decoder blocks and a few embeddings.

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
    model = _on_meta(checkpoint.model_type, config, hetero=plan.format == "hetero", head=head)
    _fill(model, device, DTYPES[dtype])
    return model.eval().requires_grad_(False)


def _on_meta(model_type: str, config: dict[str, Any], *, hetero: bool, head: bool) -> Any:
    """Build the model without memory for its weights, of the class that loading the checkpoint would make."""
    import transformers

    from evop.removal import modeling_evop

    names = auto_classes(model_type)
    home, prefix = (modeling_evop, modeling_evop.PREFIX) if hetero else (transformers, "")
    kept = {key: value for key, value in config.items() if key not in ("auto_map", "architectures")}
    own_config = getattr(home, f"{prefix}{names['AutoConfig']}").from_dict(kept)
    model_class = getattr(home, f"{prefix}{names['AutoModelForCausalLM' if head else 'AutoModel']}")
    with torch.device("meta"):
        return model_class(own_config)


def _fill(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Give every weight memory and numbers; tied weights stay tied, and no global random state is read."""
    tile = SPREAD * torch.randn(TILE, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    filled: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                if id(weight) not in filled:
                    numbers = tile.repeat(-(-weight.numel() // TILE))[: weight.numel()]
                    filled[id(weight)] = nn.Parameter(numbers.reshape(weight.shape).clone(), requires_grad=False)
                module._parameters[name] = filled[id(weight)]
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                value = 0.5 if buffer.is_floating_point() else 1 if buffer.dtype == torch.bool else 0
                module._buffers[name] = torch.full_like(buffer, value, device=device)
    _frequencies_again(model, device)


def _frequencies_again(model: nn.Module, device: torch.device) -> None:
    """Give memory to the attributes beside the buffers that hold frequencies of the positions."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.is_meta:
                setattr(module, name, torch.full_like(value, 0.5, device=device))
