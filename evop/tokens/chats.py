"""Chats as the model's own template writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from calibration.passage import Passage
from evop.errors import EvopError, first_line
from evop.tokens.ids import known_ids, text_ids
from evop.tokens.time_limit import within

LONGEST = 10.0
"""Seconds of processor time for one chat: a template is code from the model's folder, and may have no end."""


def chat_ids(passage: Passage, messages: Sequence[Mapping[str, Any]], tokenizer: Any, **options: bool) -> list[int]:
    """Render messages of a passage with the model's template, and tokenize them.

    Raises:
        EvopError: as ``chat_text``; or a token that the model does not have.
    """
    text = chat_text(passage, messages, tokenizer, **options)
    return known_ids(passage, tokenizer, text_ids(passage, text, tokenizer, add_special_tokens=False))


def chat_text(passage: Passage, messages: Sequence[Mapping[str, Any]], tokenizer: Any, **options: bool) -> str:
    """Render messages of a passage with the model's template, which is given the passage's tools.

    Arguments of calls are objects. A template that fails on them, or writes them as Python does, knows them as the JSON
    of one, and is given that.

    Raises:
        EvopError: no template, one that is broken, or one that refuses the chat.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise EvopError(
            f"domain {passage.domain} holds chats, but the model's tokenizer has no chat template; "
            "use an instruct model, or give the domain as plain text"
        )
    tools = [dict(tool) for tool in passage.tools] if passage.tools else None
    objects, written = [dict(message) for message in messages], with_written_arguments(messages)
    refused: Exception | None = None
    for chat in (objects, written) if written != objects else (objects,):
        try:
            with within(LONGEST):
                text = str(tokenizer.apply_chat_template(chat, tools=tools, tokenize=False, **options))
        except Exception as error:  # a template raises whatever its expressions do
            refused = refused or error
            continue
        if chat is written or not any(str(arguments) in text for arguments in _arguments(objects)):
            return text
    if refused is None:
        return text
    raise _refusal(passage, tokenizer, refused) from refused


def _arguments(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the arguments, other than none, of all calls in a chat."""
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    found = [call.get("function", call).get("arguments") for call in calls]
    return [arguments for arguments in found if isinstance(arguments, dict) and arguments]


def with_written_arguments(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copy messages, the arguments of their calls written as JSON."""
    return [
        {**message, **({"tool_calls": [_written(call) for call in calls]} if calls else {})}
        for message, calls in ((message, message.get("tool_calls")) for message in messages)
    ]


def _written(call: dict[str, Any]) -> dict[str, Any]:
    if isinstance(call.get("function"), dict):
        return {**call, "function": _written(call["function"])}
    arguments = call.get("arguments")
    return {**call, "arguments": json.dumps(arguments, ensure_ascii=False)} if isinstance(arguments, dict) else call


def _refusal(passage: Passage, tokenizer: Any, error: Exception) -> EvopError:
    """Say whether the template or the chat is to blame."""
    where = f"domain {passage.domain}: the model's chat template"
    if isinstance(tokenizer.chat_template, dict):
        names = ", ".join(map(str, tokenizer.chat_template))
        return EvopError(
            f"{where}s are called {names}, and none default ({first_line(error)}); name one of them default in "
            "tokenizer_config.json"
        )
    if isinstance(error, TemplateSyntaxError):
        return EvopError(
            f"{where} is broken at its line {error.lineno} ({first_line(error)}); mend chat_template.jinja, or "
            "chat_template in tokenizer_config.json"
        )
    if isinstance(error, TemplateError):
        return EvopError(
            f"{where} refuses a chat of {passage.document} ({first_line(error)}); drop or rewrite such chats"
        )
    return EvopError(
        f"{where} fails on a chat of {passage.document} ({type(error).__name__}: {first_line(error)}); mend the "
        "template, or drop or rewrite such chats"
    )
