"""A passage: the piece of text, the chat or the item that everything else counts, splits and measures."""

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

SPLITS = ("search", "select", "audit", "unseen")
JOINED_BY = " "
"""What stands between a query and a choice."""

# Scripts written without spaces (kana, Han, Thai): each character counts as a word.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def normalised(text: str) -> str:
    """The text as identity sees it: compatible Unicode forms folded, lower case, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """The words of the normalised text, in order; punctuation is not a word.

    Example:
        >>> words("Don't panic,  PANIC.")
        ['don', 't', 'panic', 'panic']
    """
    return _WORD.findall(normalised(text))


def estimated_tokens(text: str) -> int:
    """Tokens a text will roughly have, at four characters a token (no tokenizer is known in this package)."""
    return -(-len(text) // 4)


@dataclass(frozen=True)
class Passage:
    """A piece of text, or one chat, cut from a document of a domain; or an item: a question with its choices.

    Attributes:
        id: hash (20 hex digits) of the normalised content; unique in a set.
        document: what it was cut from: source file or dataset, then the row or the ``--group-by`` value.
        domain: the domain's name.
        text: the text, or None for a chat; the query of an item, which may be empty.
        messages: the chat as ``{"role", "content"}`` dicts, or None for a text. Exactly one of the two is set.
        choices: what may follow the query of an item, at least two; None for a text or a chat.
        gold: which choice is right, from 0; -1 where there are none.
        cluster: number of its cluster in the domain; -1 before clustering.
        split: one of ``SPLITS``, or "" before splitting.
    """

    id: str
    document: str
    domain: str
    text: str | None = None
    messages: tuple[dict[str, Any], ...] | None = None
    cluster: int = -1
    split: str = ""
    choices: tuple[str, ...] | None = None
    gold: int = -1

    def __post_init__(self) -> None:
        assert (self.text is None) != (self.messages is None), "exactly one of text and messages"
        assert self.gold in range(len(self.choices)) if self.choices else self.gold == -1, "gold is one of the choices"

    @classmethod
    def of(
        cls,
        domain: str,
        document: str,
        text: str | None = None,
        messages: tuple[dict[str, Any], ...] | None = None,
    ) -> "Passage":
        """A new passage, its id computed from its content."""
        return cls(passage_id(text, messages), document, domain, text, messages)

    @classmethod
    def item(cls, domain: str, document: str, query: str, choices: tuple[str, ...], gold: int) -> "Passage":
        """A new item, its id computed from all it holds."""
        content = json.dumps(["item", normalised(query), [normalised(choice) for choice in choices], gold])
        return cls(_hashed(content), document, domain, query, choices=choices, gold=gold)

    @property
    def kind(self) -> str:
        """``item``, or ``text`` (a chat too)."""
        return "text" if self.choices is None else "item"

    @property
    def group(self) -> str:
        """Key of its group, e.g. ``law/3``."""
        return f"{self.domain}/{self.cluster}"

    @property
    def plain(self) -> str:
        """Its text for embedding, naming and comparing.

        Of a chat, the contents of its messages, a line each; of an item, its query and the right choice.
        """
        if self.choices is not None:
            return f"{self.text}{JOINED_BY}{self.choices[self.gold]}".strip()
        if self.text is not None:
            return self.text
        return "\n".join(str(message["content"]) for message in self.messages or ())

    @property
    def tokens(self) -> int:
        """Estimated tokens (characters / 4); of an item, all its choices counted."""
        return estimated_tokens(self.plain if self.choices is None else " ".join((self.text or "", *self.choices)))

    def placed(self, *, cluster: int | None = None, split: str | None = None) -> "Passage":
        """The same passage in another cluster or split."""
        return replace(
            self,
            cluster=self.cluster if cluster is None else cluster,
            split=self.split if split is None else split,
        )


@dataclass(frozen=True)
class Group:
    """One cluster of one domain, the unit everything is reported by.

    Attributes:
        domain: the domain's name.
        cluster: number of the cluster in it, 0 the largest.
        name: its most telling terms, e.g. ``tax, revenue, fiscal``.
        unseen: True if the whole cluster is held out of the search.
        kind: ``text``, or ``item`` for a cluster of questions with choices.
    """

    domain: str
    cluster: int
    name: str
    unseen: bool
    kind: str = "text"

    @property
    def key(self) -> str:
        """E.g. ``law/3``."""
        return f"{self.domain}/{self.cluster}"

    @property
    def label(self) -> str:
        """E.g. ``law/3 tax, revenue, fiscal``."""
        return f"{self.key} {self.name}".rstrip()


def passage_id(text: str | None, messages: tuple[dict[str, Any], ...] | None = None) -> str:
    """The id a passage with this content has; what a file of precomputed embeddings is keyed by.

    Args:
        text: the text, or None for a chat.
        messages: the chat, or None for a text.
    """
    if messages is None:
        content = normalised(text or "")
    else:
        content = json.dumps([[str(m["role"]), normalised(str(m["content"]))] for m in messages])
    return _hashed(content)


def _hashed(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:20]
