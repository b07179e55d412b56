"""What a cell holds: text, or a chat in any of the forms that chats are kept in; what is neither is refused.

A chat becomes the form that chat templates know: ``{"role", "content"}``, content a text, and ``tool_calls`` whose
arguments are objects. It is read from messages with content in parts, from ``{"from", "value"}``, from calls in the
older ``function_call``, and from all of these written as JSON in a cell of text, even twice over.
"""

import json
import re
from typing import Any

from calibration.json_text import row_value, whole_characters
from calibration.passage import message_text

Messages = tuple[dict[str, Any], ...]
CHAT_COLUMNS = ("messages", "conversations")
"""Columns that are looked for where no column is named and there is no ``text``."""
ROLES = (
    *("system", "user", "assistant", "tool", "developer", "function"),
    *("ipython", "observation", "environment", "context"),
)
OTHER_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant"}
"""What else the two speakers are called."""
EXPECTED = 'expected messages {"role": text, "content": text}'
SHOWN = 60
"""Characters of what was found that an error shows."""
_MAY_BE_A_CHAT = re.compile(r"""\s*(?:\[\s*\{\s*["']|\{\s*"(?:messages|conversations)"|"(?:\[|\{|\\")[^\n])""")
"""Matches the text of few cells that hold none; what matches is read as JSON, and then looked at."""
_LOOKS_LIKE_PYTHON = re.compile(
    r"""\s*\[\s*\{\s*(?:'(?:role|content|from|value)'\s*:"""
    r"""|(?:'\w+'\s*:\s*(?:'[^'\\]*'|[\w.]+)\s*,\s*)+'(?:role|from)'\s*:\s*'(?:system|user|human|assistant|gpt)')"""
)


def content_of(cell: Any, column: str, filled: bool) -> str | Messages | None:
    """Take the text or the chat out of a cell; None if it is missing or blank.

    Args:
        cell: what the file holds.
        column: name of its column.
        filled: whether the file keeps rows in a table, where a key that an object lacks is null.

    Raises:
        ValueError: neither; says what was found and what was expected.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, str):
        chat = _written_chat(cell, column)
        return whole_characters(cell) if chat is None else _chat(chat, False)
    if isinstance(cell, list):
        return _chat(cell, filled)
    raise ValueError(f"holds {type(cell).__name__}, expected text or a list of messages")


def tools_of(cell: Any, filled: bool) -> Messages | None:
    """Take the tools that a chat may call, as its template is given them; None for none.

    Raises:
        ValueError: it is no list of objects, nor one written as JSON.
    """
    tools = _unwritten(cell)
    if not tools or (isinstance(tools, str) and tools.strip() in ("", "null")):
        return None
    if isinstance(tools, dict):
        tools = [tools]
    tools = [_unwritten(tool) for tool in tools] if isinstance(tools, list) else []
    if not tools or not all(isinstance(tool, dict) for tool in tools):
        raise ValueError(f'found {_shown(cell)}, expected a list of {{"type": "function", ...}}')
    return tuple(_plain(_wrapped(_present(tool) if filled else tool)) for tool in tools)


def with_system(chat: Messages, said: Any) -> Messages:
    """Put what stands beside a chat as its system message before it; a chat that begins with one keeps its own."""
    if not isinstance(said, str) or not said.strip() or (chat and chat[0]["role"] == "system"):
        return chat
    return ({"role": "system", "content": whole_characters(said)}, *chat)


def _wrapped(tool: dict[str, Any]) -> dict[str, Any]:
    """Bring a tool into the form that templates know, where it is a bare function as older files hold them."""
    bare = isinstance(tool.get("name"), str) and {"type", "function", "input_schema"}.isdisjoint(tool)
    return {"type": "function", "function": tool} if bare else tool


def _written_chat(text: str, column: str) -> list[Any] | None:
    """Read the chat that a text is the JSON of; None for any other text."""
    named = column in CHAT_COLUMNS
    if not _MAY_BE_A_CHAT.match(text) and not (named and text.lstrip()[:1] in ("[", "{", '"')):
        return None
    try:
        value = row_value(text)
    except ValueError:
        value = None
    if isinstance(value, str):  # the JSON of a text, which may be that of a chat
        return _written_chat(value, column)
    if isinstance(value, dict) and len(value) == 1:
        value = next((value[name] for name in CHAT_COLUMNS if name in value), value)
    if isinstance(value, list) and value and all(_is_message(each) for each in value):
        return value
    if (named and text.lstrip()[:1] != '"') or _LOOKS_LIKE_PYTHON.match(text):
        raise ValueError(f"holds the text {_shown(text)}, which is no JSON of a chat; {EXPECTED}, or their JSON")
    return None


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and (
        {"role", "content"} <= set(value)
        or {"from", "value"} <= set(value)
        or ("role" in value and not {"tool_calls", "function_call"}.isdisjoint(value))
    )


def _chat(messages: list[Any], filled: bool) -> Messages | None:
    """Read the messages of a chat; None if nobody says anything."""
    chat = tuple(_plain(_message(message, filled)) for message in messages)
    return chat if any(message_text(message).strip() for message in chat) else None


def _message(message: Any, filled: bool) -> dict[str, Any]:
    """Read one message into the form that templates know."""
    if not isinstance(message, dict):
        raise ValueError(f"found {_shown(message)}, {EXPECTED}")
    kept = _present(message) if filled else {key: value for key, value in message.items() if value is not None}
    if "role" not in kept and "from" in kept:
        kept = {"role": kept.pop("from"), "content": kept.pop("value", None), **kept}
    role = kept.get("role")
    if role is None:
        raise ValueError(f"found a message without a role, {_shown(message)}, {EXPECTED}")
    kept["role"] = OTHER_ROLES.get(role, role) if isinstance(role, str) else role
    if kept["role"] not in ROLES:
        raise ValueError(f"found role {_shown(role)}, expected one of {', '.join((*ROLES, *OTHER_ROLES))}")
    calls = _calls(kept.pop("tool_calls", None), kept.pop("function_call", None))
    kept["content"] = _content(kept.get("content"), message, bool(calls))
    return {**kept, "tool_calls": calls} if calls else kept


def _content(content: Any, message: Any, calls: bool) -> str | None:
    """Take what a message says; parts of text follow one another as they are."""
    if isinstance(content, list) and all(isinstance(part, dict | str) for part in content):
        other = next((p for p in content if isinstance(p, dict) and not isinstance(p.get("text"), str)), None)
        if other is not None:
            raise ValueError(f"found a part {_shown(other)}, expected parts of text; evop reads no pictures or sounds")
        content = "".join(part if isinstance(part, str) else part["text"] for part in content)
    if isinstance(content, str) or (content is None and calls):
        return content
    raise ValueError(f"found {_shown(message)}, {EXPECTED}")


def _calls(calls: Any, older: Any) -> list[dict[str, Any]]:
    """Read the calls that a message makes, their arguments as objects where they are the JSON of one."""
    if older is not None:
        calls = [{"type": "function", "function": _unwritten(older)}]
    calls = _unwritten(calls)
    calls = [calls] if isinstance(calls, dict) else calls or []
    if not isinstance(calls, list) or not all(_is_call(call) for call in calls):
        raise ValueError(
            f'found calls {_shown(calls)}, expected a list of {{"function": {{"name": text, "arguments": object}}}}'
        )
    return [_with_objects(call) for call in calls]


def _is_call(call: Any) -> bool:
    function = call.get("function", call) if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _with_objects(call: dict[str, Any]) -> dict[str, Any]:
    """Copy a call, its arguments read if they are written."""
    if "function" in call:
        return {**call, "function": _with_objects(call["function"])}
    arguments = _unwritten(call.get("arguments"))
    return {**call, "arguments": arguments} if isinstance(arguments, dict) else call


def _unwritten(value: Any) -> Any:
    """Read a list or an object that is written as JSON; anything else stays what it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return row_value(value)
        except ValueError:
            return value
    return value


def _present(value: Any) -> Any:
    """Take out, at any depth, what a table filled in: the nulls of keys that an object does not have."""
    if isinstance(value, dict):
        return {key: _present(inner) for key, inner in value.items() if inner is not None}
    return [_present(inner) for inner in value] if isinstance(value, list) else value


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Make a value what JSON holds; what it cannot hold, such as a time, becomes text."""
    return dict(json.loads(whole_characters(json.dumps(value, default=str, ensure_ascii=False))))


def _shown(value: Any) -> str:
    """Show the beginning of what was found."""
    if value is None:
        return "null"
    return repr(value if isinstance(value, str) and len(value) <= SHOWN else str(value)[:SHOWN])
