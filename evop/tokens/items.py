"""A question as a model reads it: a query, and the choices that may follow it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from calibration.passage import JOINED_BY, Passage
from evop.errors import EvopError
from evop.tokens.ids import known_ids, text_ids


@dataclass(frozen=True)
class TokenItem:
    """Token ids of one item.

    Attributes:
        query: token ids of the query, one at least; of an empty query, the token that begins a sequence.
        choices: token ids of each choice as they follow the query.
        gold: number of the right choice, from 0.
        characters: length of each choice in characters, without what joins it to the query.
        group_size: number of items in its group, by which ``Accuracy`` scales the item's margin.
    """

    query: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    gold: int
    characters: tuple[int, ...]
    group_size: int

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """All that the model reads: the query, then every choice without its last token, which predicts nothing."""
        return (*self.query, *chain.from_iterable(choice[:-1] for choice in self.choices))

    @property
    def gold_ids(self) -> tuple[int, ...]:
        """Token ids of the query and the right choice; of more than two, without the last, which nothing follows."""
        ids = (*self.query, *self.choices[self.gold])
        return ids[:-1] if len(ids) > 2 else ids


def tokenize_item(passage: Passage, tokenizer: Any, max_tokens: int, group_size: int) -> tuple[TokenItem, bool]:
    """Turn an item into token ids; too long a query loses its beginning.

    The tokens of a choice are those that query and choice together have beyond the query's own, so that the tokens at
    the seam are those of running text; white space at the end of a query counts with the choice.

    Args:
        passage: the item, a passage with choices.
        tokenizer: the model's tokenizer.
        max_tokens: tokens of the query and its longest choice together at most.
        group_size: number of items in its group.

    Returns:
        The item, and whether its query was truncated.

    Raises:
        EvopError: a choice that has no tokens of its own, more than there may be, or one that the model does not have.

    Source: lm-evaluation-harness 0.4.13, ``TemplateLM._encode_pair`` and ``loglikelihood``.
    """
    query = (passage.text or "").rstrip()
    joined = (passage.text or "")[len(query) :]
    begin = text_ids(passage, query, tokenizer) if query else [first_token(tokenizer)]
    choices = []
    for choice in passage.choices or ():
        more = f"{joined}{JOINED_BY}{choice}"
        if query:
            own = text_ids(passage, query + more, tokenizer)[len(begin) :]
        else:
            own = text_ids(passage, more, tokenizer, add_special_tokens=False)
            own = own[1:] if own[:1] == begin else own
        if not own or len(own) > max_tokens:
            where = f"domain {passage.domain}, {passage.document}"
            mend = "give more --max-tokens" if own else "drop the item"
            raise EvopError(f"{where}: a choice of {len(own)} tokens, expected 1 to {max_tokens}; {mend}")
        choices.append(tuple(known_ids(passage, tokenizer, [*begin, *own])[len(begin) :]))
    room = max(1, max_tokens + 1 - max(map(len, choices)))
    item = TokenItem(
        tuple(begin[-room:]), tuple(choices), passage.gold, tuple(map(len, passage.choices or ())), group_size
    )
    return item, len(begin) > room


def first_token(tokenizer: Any) -> int:
    """Find what stands before a text that nothing precedes: the token that begins a sequence, else that ends one."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if first is None:
        raise EvopError("the tokenizer has neither a token that begins nor one that ends a text; give items a query")
    return int(first)
