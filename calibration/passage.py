"""A passage: the piece of text, the chat or the item that everything else counts, splits and measures."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from calibration.visible import visible_name

SPLITS = ("search", "select", "audit", "unseen", "train")
JOINED_BY = " "
"""What stands between a query and a choice."""
GroupKind = Literal["text", "item"]
"""``text`` of passages and chats, ``item`` of questions with choices."""

# Of scripts written without spaces (kana, Han, Thai), each character counts as a word.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def group_key(domain: str, cluster: int) -> str:
    """Compose the key of a group, such as ``law/3``."""
    return f"{domain}/{cluster}"


def domain_of(key: str) -> str:
    """Take the domain from the key of a group: ``law`` from ``law/3``."""
    return key.rsplit("/", 1)[0]


def normalised(text: str) -> str:
    """Reduce a text to what its identity depends on: Unicode forms and case folded, runs of white space one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(text: str) -> list[str]:
    """List the words of the normalised text, in order; punctuation is not a word.

    Example:
        >>> words("Don't panic,  PANIC.")
        ['don', 't', 'panic', 'panic']
    """
    return _WORD.findall(normalised(text))


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text, at four characters per token (no tokenizer is known in this package)."""
    return -(-len(text) // 4)


@dataclass(frozen=True)
class Passage:
    """A piece of the text of a document, or one chat; or an item: a question with its choices.

    Attributes:
        id: hash (20 hex digits) of the passage's normalised content; unique in a set.
        document: name of the document that holds the passage: source file or dataset, then the row or the
            ``--group-by`` value.
        domain: name of the passage's domain.
        text: text of the passage, or None for a chat; the query of an item, which may be empty.
        messages: the chat as ``{"role", "content"}`` dicts, or None for a text. Exactly one of text and messages is
            set.
        choices: what may follow the query of an item, at least two; None for a text or a chat.
        gold: number of the right choice, from 0; -1 for a text or a chat.
        prompt: characters of an item's query before its own question: instructions and examples, which other items
            share; they are asked, but neither compared nor embedded.
        cluster: number of the passage's cluster in the domain; -1 before clustering.
        split: name of the passage's split, one of ``SPLITS``; "" before splitting.
        tools: the tools that a chat may call, which its template is given; None for none.
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
    prompt: int = 0
    tools: tuple[dict[str, Any], ...] | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.messages is None):
            raise ValueError("a passage has either text or messages")
        if self.gold not in (range(len(self.choices)) if self.choices else (-1,)):
            raise ValueError(f"gold {self.gold} is none of the choices")

    @classmethod
    def of(
        cls,
        domain: str,
        document: str,
        text: str | None = None,
        messages: tuple[dict[str, Any], ...] | None = None,
        tools: tuple[dict[str, Any], ...] | None = None,
    ) -> "Passage":
        """Make a passage of a text or a chat; its id is computed from its content."""
        return cls(passage_id(text, messages, tools), document, domain, text, messages, tools=tools)

    @classmethod
    def item(
        cls, domain: str, document: str, query: str, choices: tuple[str, ...], gold: int, prompt: int = 0
    ) -> "Passage":
        """Make an item; its id is computed from query, choices and gold."""
        content = json.dumps(["item", normalised(query), [normalised(choice) for choice in choices], gold])
        return cls(_hashed(content), document, domain, query, choices=choices, gold=gold, prompt=prompt)

    @property
    def kind(self) -> GroupKind:
        """``item`` for a question with choices, ``text`` for a text or a chat."""
        return "text" if self.choices is None else "item"

    @property
    def group(self) -> str:
        """Key of the passage's group, such as ``law/3``."""
        return group_key(self.domain, self.cluster)

    @property
    def plain(self) -> str:
        """The text by which the passage is embedded, named and compared.

        Of a chat, what its messages say and call, one per line; of an item, its query without what other items share of
        it, and the right choice.
        """
        if self.choices is not None:
            return f"{(self.text or '')[self.prompt :]}{JOINED_BY}{self.choices[self.gold]}".strip()
        if self.text is not None:
            return self.text
        return "\n".join(message_text(message) for message in self.messages or ())

    @property
    def tokens(self) -> int:
        """Estimated tokens (characters / 4) of the passage; of an item, those of all its choices."""
        return estimated_tokens(self.plain if self.choices is None else " ".join((self.text or "", *self.choices)))

    def placed(self, *, cluster: int | None = None, split: str | None = None) -> "Passage":
        """Copy the passage into another cluster or split."""
        return replace(
            self,
            cluster=self.cluster if cluster is None else cluster,
            split=self.split if split is None else split,
        )


@dataclass(frozen=True)
class Group:
    """One cluster of one domain, the unit everything is reported by.

    Attributes:
        domain: name of the group's domain.
        cluster: number of the cluster in the domain, 0 the largest.
        name: most telling terms of the cluster, such as ``tax, revenue, fiscal``.
        unseen: whether the whole cluster is held out of the search.
        kind: what the group's passages are: ``text``, or ``item`` for questions with choices.
    """

    domain: str
    cluster: int
    name: str
    unseen: bool
    kind: GroupKind = "text"

    @property
    def key(self) -> str:
        """Key of the group, such as ``law/3``."""
        return group_key(self.domain, self.cluster)

    @property
    def label(self) -> str:
        """Key and name of the group, such as ``law/3 tax, revenue, fiscal``."""
        return visible_name(f"{self.key} {self.name}".rstrip())


def message_text(message: Mapping[str, Any]) -> str:
    """What a message says: its content, and the calls that it makes, as JSON."""
    calls = message.get("tool_calls")
    parts = [str(message.get("content") or ""), json.dumps(calls, ensure_ascii=False) if calls else ""]
    return "\n".join(part for part in parts if part)


def passage_id(
    text: str | None,
    messages: tuple[dict[str, Any], ...] | None = None,
    tools: tuple[dict[str, Any], ...] | None = None,
) -> str:
    """Compute the id of a passage from its content; a file of precomputed embeddings is keyed by it.

    Args:
        text: the text, or None for a chat.
        messages: the chat, or None for a text.
        tools: the tools that the chat may call, or None.
    """
    if messages is None:
        content = normalised(text or "")
    else:
        said: list[Any] = [[str(m["role"]), normalised(message_text(m))] for m in messages]
        content = json.dumps([*said, list(tools)] if tools else said, sort_keys=True)
    return _hashed(content)


def rows_by_domain(passages: Iterable[Passage]) -> dict[str, list[int]]:
    """Find the indices of each domain's passages, ascending; domains in the order of their first passages."""
    rows: dict[str, list[int]] = {}
    for i, passage in enumerate(passages):
        rows.setdefault(passage.domain, []).append(i)
    return rows


def _hashed(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:20]
