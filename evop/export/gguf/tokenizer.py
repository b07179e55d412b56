"""A tokenizer as llama.cpp reads it, made of ``tokenizer.json``.

Two kinds are written: byte-level BPE (``gpt2``), whose way of parting text llama.cpp knows by a name, and BPE made by
SentencePiece (``llama``), which has a score a token.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.json_text import json_value
from evop.errors import EvopError, first_line
from evop.export.gguf.splitting import name_of_splitting
from evop.model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from gguf import GGUFWriter

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of token in GGUF."""
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for a space in tokens of SentencePiece."""
TEMPLATES = ("chat_template.jinja",)
"""Files that may hold the chat template beside the config of the tokenizer."""


@dataclass(frozen=True)
class GgufTokenizer:
    """A tokenizer, and what a GGUF file says of it.

    Attributes:
        checkpoint: the folder that it lies in.
        size: tokens that the embeddings have room for; those that the tokenizer lacks are written as unused.
        content: ``tokenizer.json``.
        settings: ``tokenizer_config.json``.
    """

    checkpoint: Checkpoint
    size: int
    content: dict[str, Any] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, checkpoint: Checkpoint, size: int) -> GgufTokenizer:
        """Read the tokenizer of a checkpoint.

        Raises:
            EvopError: there is none, or one that cannot be written.
        """
        path = checkpoint.folder / "tokenizer.json"
        if not path.is_file():
            raise EvopError(
                f"--format gguf: {checkpoint.name} has no tokenizer.json, and other forms cannot be written; save the "
                "tokenizer with a version of transformers that writes one"
            )
        made = cls(checkpoint, size, _read(path), _read(checkpoint.folder / "tokenizer_config.json"))
        made._refuse()
        return made

    @property
    def bytewise(self) -> bool:
        """Whether tokens are bytes in disguise, as GPT-2's are; else they are SentencePiece's."""
        return not self.content["model"].get("byte_fallback")

    @cached_property
    def tokens(self) -> list[str]:
        """Every token, by its id."""
        names = [f"[PAD{i}]" for i in range(self.size)]
        for token, i in self.content["model"]["vocab"].items():
            names[i] = token
        for added in self.added:
            names[added["id"]] = added["content"]
        return names

    @property
    def added(self) -> list[dict[str, Any]]:
        """Tokens that are found before text is parted."""
        return self.content.get("added_tokens") or []

    @cached_property
    def types(self) -> list[int]:
        """The type of every token."""
        types = [UNUSED] * self.size
        for token, i in self.content["model"]["vocab"].items():
            types[i] = BYTE if not self.bytewise and len(token) == 6 and token.startswith("<0x") else NORMAL
        for added in self.added:
            types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
        if not self.bytewise and (unknown := self.id_of("unk")) is not None:
            types[unknown] = UNKNOWN
        return types

    @cached_property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs that become one, the first first."""
        merges = self.content["model"]["merges"]
        return [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in merges]

    @cached_property
    def scores(self) -> list[float]:
        """How early each token is made of two others; later is less, what is never made is least."""
        ranks: dict[str, int] = {}
        for rank, (left, right) in enumerate(self.merges):
            ranks.setdefault(left + right, rank)
        last = len(self.merges)
        return [-float(ranks.get(token, last)) for token in self.tokens]

    def id_of(self, role: str) -> int | None:
        """Find the id of the token of a role, such as ``eos``."""
        named = self.settings.get(f"{role}_token")
        content = named.get("content") if isinstance(named, dict) else named
        config = self.checkpoint.config.get(f"{role}_token_id")
        if content is None:
            return (config[0] if isinstance(config, list) else config) if role in ("bos", "eos") else None
        return self.tokens.index(content) if content in self.tokens else None

    def adds(self, role: str) -> bool:
        """Tell whether text is given the beginning (``bos``) or the end (``eos``) of a sequence."""
        found = self._alone.encode("a").ids
        token = self.id_of(role)
        return len(found) > 1 and token is not None and found[0 if role == "bos" else -1] == token

    @property
    def template(self) -> str | None:
        """The chat template, or None where there is none."""
        for name in TEMPLATES:
            if (path := self.checkpoint.folder / name).is_file():
                try:
                    return path.read_text(encoding="utf-8")
                except UnicodeDecodeError as error:
                    raise EvopError(f"{path} is not UTF-8 ({error.reason}); copy the model again") from error
        given = self.settings.get("chat_template")
        if isinstance(given, list):
            named = [one for one in given if isinstance(one, dict) and one.get("name") == "default"]
            given = named[0].get("template") if named else None
        return given if isinstance(given, str) else None

    @property
    def spaced(self) -> bool:
        """Whether a space is put before text, as Llama 2 does."""
        normalizer, parting = (self.content.get(key) or {} for key in ("normalizer", "pre_tokenizer"))
        steps = normalizer.get("normalizers", [normalizer])
        prepends = any(step.get("type") == "Prepend" and step.get("prepend") == SPACE for step in steps)
        return prepends or (parting.get("type") == "Metaspace" and parting.get("prepend_scheme") in ("always", "first"))

    def add_to(self, writer: GGUFWriter) -> None:
        """Write what the file says of the tokenizer."""
        writer.add_tokenizer_model("gpt2" if self.bytewise else "llama")
        writer.add_tokenizer_pre(name_of_splitting(self.content) if self.bytewise else "default")
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.bytewise:
            writer.add_token_merges([" ".join(pair) for pair in self.merges])
        else:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.spaced)
        for role, add in (
            ("bos", writer.add_bos_token_id),
            ("eos", writer.add_eos_token_id),
            ("unk", writer.add_unk_token_id),
            ("pad", writer.add_pad_token_id),
        ):
            if (token := self.id_of(role)) is not None:
                add(token)
        writer.add_add_bos_token(self.adds("bos"))
        writer.add_add_eos_token(self.adds("eos"))
        if (template := self.template) is not None:
            writer.add_chat_template(template)

    @cached_property
    def _alone(self) -> Any:
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_str(json.dumps(self.content))
        except Exception as error:  # the library raises nothing narrower
            raise EvopError(f"{self.checkpoint.name}: tokenizer.json cannot be read ({first_line(error)})") from error

    def _refuse(self) -> None:
        """Refuse what llama.cpp would read otherwise.

        Raises:
            EvopError: another kind of tokenizer, more tokens than embeddings, or a way of parting text without a name.
        """
        model = self.content.get("model")
        where, kind = f"--format gguf: {self.checkpoint.name}", model.get("type") if isinstance(model, dict) else None
        if kind != "BPE":
            raise EvopError(f"{where} has a tokenizer of type {kind!r}, and BPE alone can be written")
        self._alone.get_vocab_size()  # refuses one that is broken
        most = max([*self.content["model"]["vocab"].values(), *(added["id"] for added in self.added)], default=-1)
        if most >= self.size:
            raise EvopError(f"{where} has a token {most}, and embeddings for {self.size}; resize them first")
        self.template  # noqa: B018 - refuses one that cannot be read, before anything is written
        if self.bytewise:
            name_of_splitting(self.content)
        elif not self._by_score():
            raise EvopError(
                f"{where} merges tokens in an order that scores cannot say; llama.cpp would part text otherwise"
            )

    def _by_score(self) -> bool:
        """Tell whether a score a token says in which order pairs are merged: all pairs of one token at one time."""
        made = [left + right for left, right in self.merges]
        changes = sum(a != b for a, b in pairwise(made))
        return changes + 1 == len(set(made)) if made else True


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON file that may be missing."""
    if not path.is_file():
        return {}
    try:
        content = json_value(path.read_bytes())
    except ValueError as error:
        raise EvopError(f"{path} is not JSON ({error}); copy the model again") from error
    return content if isinstance(content, dict) else {}
