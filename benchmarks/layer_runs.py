"""UIDL's choice: layers in a row that turn the residual stream least."""

from __future__ import annotations

import torch

from evop.model.loaded import LoadedModel
from evop.tokens.passages import TokenPassages


@torch.inference_mode()
def most_alike(loaded: LoadedModel, passages: TokenPassages, count: int) -> list[int]:
    """The run of so many layers that turns the residual stream least, at the last token of a passage.

    Source: The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887), angular distance; what it trains
    afterwards is left out. Runs that end with the last layer are not tried: behind it, the stream is normalised.
    """
    turns = 0.0
    for ids in passages.ids:
        out = loaded.model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
        streams = torch.stack([stream[0, -1] for stream in out.hidden_states[:-1]]).double()
        alike = torch.nn.functional.cosine_similarity(streams[:-count], streams[count:], dim=-1)
        turns = turns + alike.clamp(-1, 1).arccos() / torch.pi
    first = int(torch.as_tensor(turns).argmin())
    return list(range(first, first + count))
