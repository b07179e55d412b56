"""Text that a model makes: tokens drawn one after the other, many sequences side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from evop.errors import EvopError
from evop.evaluator.batch_size import BatchSize
from evop.model.loaded import LoadedModel

ROWS = 64
"""Sequences that are drawn side by side at most. More are hardly faster on a CPU."""
Report = Callable[[int, int], None]
"""Is told how many tokens there are, and how many there may be at most."""


@dataclass(frozen=True)
class Beginning:
    """What a sequence begins with.

    Attributes:
        ids: token ids, one at least.
        length: number of tokens at which the sequence is cut off, those of ``ids`` included; greater than their number.
        seed: decides what is drawn.
    """

    ids: tuple[int, ...]
    length: int
    seed: int


@dataclass(frozen=True)
class Drawn:
    """A sequence that was drawn.

    Attributes:
        ids: token ids, those of its beginning first; the token that ends a text is the last where one was drawn.
        ended: whether the model ended it, before it was cut off.
    """

    ids: tuple[int, ...]
    ended: bool


def draw(loaded: LoadedModel, beginnings: Sequence[Beginning], report: Report = lambda done, most: None) -> list[Drawn]:
    """Let the model go on from beginnings: every token is drawn from its whole distribution.

    The temperature is 1, and no token is ruled out (no top-k, no top-p). Each sequence has random numbers of its own,
    drawn on the CPU: one per token, the place in the cumulated probabilities. So the same seeds give the same tokens
    on one machine; what is drawn beside a sequence changes it by rounding alone.

    Beginnings of like length are run together. Where they differ, the longer ones are read on token by token while the
    others are drawn: nothing is padded, so the model computes what it computes of one sequence alone.

    Args:
        loaded: the model.
        beginnings: what the sequences begin with.
        report: is told after every step how many tokens there are, and how many there may be at most.

    Returns:
        The sequences, in the order of their beginnings.

    Raises:
        EvopError: longer than the model has positions, logits that are not finite, or no memory for one sequence.
    """
    longest = max((beginning.length for beginning in beginnings), default=1)
    _refuse_too_long(loaded, longest)
    most = sum(beginning.length for beginning in beginnings)
    size = BatchSize(ROWS * longest, longest, False, loaded.device)
    waiting = sorted(range(len(beginnings)), key=lambda i: len(beginnings[i].ids))
    done: dict[int, Drawn] = {}
    while waiting:
        before = sum(len(drawn.ids) for drawn in done.values())
        together = partial(_first_of, loaded, beginnings, waiting, longest, partial(_told, report, before, most))
        done |= size.backoff(together, lambda: False)
        waiting = [i for i in waiting if i not in done]
    return [done[i] for i in range(len(beginnings))]


def ending_tokens(loaded: LoadedModel) -> frozenset[int]:
    """List the tokens that end a text: those that tokenizer, config or generation config name."""
    model = loaded.model
    named = [loaded.tokenizer.eos_token_id]
    named += [getattr(config, "eos_token_id", None) for config in (model.config, model.generation_config)]
    several = [one if isinstance(one, list | tuple) else [one] for one in named]
    return frozenset(int(token) for tokens in several for token in tokens if token is not None)


def pick(logits: torch.Tensor, chance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a token per row: the first whose cumulated probability is greater than the row's chance.

    Args:
        logits: of the next token, [rows, vocabulary]; made float32.
        chance: numbers from 0 to below 1, float64 [rows]; probabilities are cumulated in its dtype.

    Returns:
        Token ids, int64 [rows], and whether all logits were sound, bool [].
    """
    summed = torch.softmax(logits.float(), -1).cumsum(-1, dtype=chance.dtype)
    whole = summed[:, -1:]
    token = torch.searchsorted(summed, chance[:, None] * whole, right=True)[:, 0]
    return token.clamp(max=logits.shape[1] - 1), whole.isfinite().all()


def _told(report: Report, before: int, most: int, new: int) -> None:
    """Report the tokens of the sequences that are being drawn, beside those before."""
    report(before + new, most)


def _first_of(
    loaded: LoadedModel,
    beginnings: Sequence[Beginning],
    waiting: Sequence[int],
    longest: int,
    tick: Callable[[int], None],
    tokens: int,
) -> dict[int, Drawn]:
    """Draw the first sequences of those that wait, as many as may be run together."""
    some = waiting[: max(1, tokens // longest)]
    return dict(zip(some, _drawn_together(loaded, [beginnings[i] for i in some], tick), strict=True))


@torch.inference_mode()
def _drawn_together(loaded: LoadedModel, beginnings: Sequence[Beginning], tick: Callable[[int], None]) -> list[Drawn]:
    """Draw sequences side by side; when half of them have come to their end, the others go on without them."""
    from transformers import DynamicCache

    ids, chance = _laid_out(beginnings, loaded.device)
    given = torch.tensor([len(beginning.ids) for beginning in beginnings], device=loaded.device)
    length = torch.tensor([beginning.length for beginning in beginnings], device=loaded.device)
    ends = torch.tensor(sorted(ending_tokens(loaded)), dtype=torch.int64, device=loaded.device)
    rows = torch.arange(len(beginnings), device=loaded.device)
    config: Any = loaded.model.config
    place, cache = int(given.min()), DynamicCache(config=config)
    read = ids[:, :place]
    while len(rows):
        output = loaded.model(input_ids=read, past_key_values=cache, use_cache=True, logits_to_keep=1)
        token, sound = pick(output.logits[:, -1].to(loaded.device), chance[rows, place])
        if not sound:
            raise EvopError(
                f"{loaded.checkpoint.name}: its logits are not finite at token {place + 1} of a text it makes, in "
                f"{loaded.dtype}; choose another --dtype, or another model"
            )
        new = place >= given[rows]
        ids[rows, place] = torch.where(new, token, ids[rows, place])
        place += 1
        ended = new & torch.isin(token, ends)
        length[rows] = torch.where(ended, length[rows].clamp(max=place), length[rows])
        tick(int(length.clamp(max=place).sum()))
        goes_on = length[rows] > place
        if 2 * int(goes_on.sum()) <= len(rows):
            rows = rows[goes_on]
            cache.batch_select_indices(goes_on.nonzero()[:, 0].cpu())  # the layers may lie on several devices
        read = ids[rows, place - 1 : place]
    lengths = length.tolist()
    last = torch.isin(ids.gather(1, length[:, None] - 1)[:, 0], ends).tolist()
    return [Drawn(tuple(row[:n]), end) for row, n, end in zip(ids.tolist(), lengths, last, strict=True)]


def _laid_out(beginnings: Sequence[Beginning], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay out token ids, int64 [rows, longest], and chances, float64 [rows, longest]; float32 where MPS has no more."""
    longest = max(beginning.length for beginning in beginnings)
    ids = torch.zeros(len(beginnings), longest, dtype=torch.int64)
    chance = torch.zeros(len(beginnings), longest, dtype=torch.float64)
    for row, beginning in enumerate(beginnings):
        generator = torch.Generator().manual_seed(beginning.seed)
        ids[row, : len(beginning.ids)] = torch.tensor(beginning.ids)
        chance[row, : beginning.length] = torch.rand(beginning.length, generator=generator, dtype=torch.float64)
    return ids.to(device), (chance.float() if device.type == "mps" else chance).to(device)


def _refuse_too_long(loaded: LoadedModel, length: int) -> None:
    """Refuse more tokens than the model has positions for."""
    positions = getattr(loaded.checkpoint.resolved, "max_position_embeddings", None)
    if positions and length > positions:
        raise EvopError(
            f"--max-tokens {length} is more than the {positions} positions of {loaded.checkpoint.name}; give at most "
            f"{positions}"
        )
