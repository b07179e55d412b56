"""Chats in the forms they are kept in: each is read as the chat it is, or refused with its row."""

import json

import pandas as pd
import pytest

from calibration import CalibrationError
from calibration.reading.chats import content_of, tools_of
from calibration.reading.json_rows import PEEKED
from calibration.reading.sources import open_source

HI = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
ASKS = {"role": "user", "content": "how is it in Rome?"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"city": {"type": "string"}}}}


def written(**function):
    return {"type": "function", "function": {**function, "arguments": json.dumps(function["arguments"])}}


@pytest.mark.parametrize(
    ("found", "read"),
    [
        (HI, HI),
        (json.dumps(HI), HI),
        ([{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}], HI),
        (json.dumps([{"from": "human", "value": "hi"}, {"value": "hello", "from": "gpt"}]), HI),
        ([{"role": "human", "content": "hi"}, {"role": "model", "content": "hello"}], HI),
        ([{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}, HI[1]], HI),
        ([{"role": "user", "content": "hi", "name": None, "tool_calls": []}, HI[1]], HI),
        (json.dumps(json.dumps(HI)), HI),
        (json.dumps({"messages": HI}), HI),
        ([ASKS, CALLS], [ASKS, CALLS]),
        ([ASKS, {"role": "assistant", "tool_calls": [CALL]}], [ASKS, CALLS]),
        ([ASKS, {"role": "assistant", "content": None, "tool_calls": [written(**CALL["function"])]}], [ASKS, CALLS]),
        ([ASKS, {"role": "assistant", "tool_calls": json.dumps([CALL])}], [ASKS, CALLS]),
        ([ASKS, {"role": "assistant", "content": None, "function_call": CALL["function"]}], [ASKS, CALLS]),
        ([ASKS, {"role": "assistant", "content": ""}, {"role": "tool", "content": ""}], None),
        ([], None),
    ],
)
def test_every_form_becomes_the_one_that_templates_know(found, read):
    if read is None and found:
        found = found[1:]
    assert content_of(found, "messages", False) == (None if read is None else tuple(read))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([{"role": "user", "content": None}], "expected messages"),
        ([{"role": "owner", "content": "hi"}], "found role 'owner', expected one of system, user"),
        ([{"role": ["user"], "content": "hi"}], "found role"),
        ([{"content": "hi"}], r"found a message without a role, .*'hi'"),
        ([HI[0], None], "found null, expected messages"),
        ([{"from": "function_call", "value": "{}"}], "found role 'function_call'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "no pictures"),
        ([{"role": "user", "content": {"text": "hi"}}], "expected messages"),
        ([{"role": "assistant", "tool_calls": ["weather"]}], "found calls"),
        ([{"role": "user", "content": "half \ud83d"}], "half a character"),
        ("half \ud83d", "half a character"),
        (["hi", "hello"], "expected messages"),
        (str(HI), "no JSON of a chat"),
        (json.dumps(HI)[:-5], "no JSON of a chat"),
        (json.dumps({"turns": HI}), "no JSON of a chat"),
        (json.dumps({"messages": HI, "tools": []}), "no JSON of a chat"),
        (7, "holds int"),
        ({"a": 1}, "holds dict"),
    ],
)
def test_what_is_no_chat_is_refused(found, says):
    with pytest.raises(ValueError, match=says):
        content_of(found, "messages", False)


OTHER_JSON = (
    *('[{"role": "admin", "rights": []}]', '[{"name": "a"}]', "[1, 2]", "[]", '{"role": "user"}', "[citation]"),
    *('"Hello", he said.', '"quoted"', '{"messages": 3}', "[{'id': 1, 'role': 'admin'}]"),
)


def test_a_chat_as_text_is_a_chat_in_any_column_and_other_json_is_text():
    weighed = json.dumps([{"weight": 1, **HI[0]}, HI[1]])
    for text in (json.dumps(HI), json.dumps(json.dumps(HI)), json.dumps({"conversations": HI})):
        assert content_of(text, "body", False) == tuple(HI)
    assert content_of(weighed, "body", False) == ({"weight": 1, **HI[0]}, HI[1])
    for text in OTHER_JSON:
        assert content_of(text, "body", False) == text
    assert content_of(OTHER_JSON[6], "messages", False) == OTHER_JSON[6]
    for text in (str(HI), str([{"weight": 1, **HI[0]}])):
        with pytest.raises(ValueError, match="no JSON of a chat"):
            content_of(text, "body", False)


def test_what_stands_beside_a_chat_reaches_its_template(tmp_path):
    """A column ``system``, older ``functions``, and tools that no row before the thousandth has."""
    bare = {"name": "weather", "parameters": TOOL["function"]["parameters"]}
    told = {"role": "system", "content": "be kind"}
    rows = [{"messages": HI, "system": ""} for _ in range(PEEKED)]
    rows += [{"messages": HI, "system": "be kind"}, {"messages": [told, *HI], "system": "be rude"}]
    rows += [{"messages": HI, "functions": [bare]}, {"messages": HI, "tools": [TOOL], "functions": None}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    last = list(open_source("d", str(tmp_path / "a.jsonl")).documents())[-4:]
    assert [each.messages for each in last] == [(told, *HI), (told, *HI), tuple(HI), tuple(HI)]
    assert [each.tools for each in last] == [None, None, (TOOL,), (TOOL,)]
    pd.DataFrame(rows[:-4] + rows[-4:-3]).to_parquet(tmp_path / "a.parquet")
    assert chats(tmp_path / "a.parquet")[-2:] == [tuple(HI), (told, *HI)]


def chats(path):
    return [document.messages for document in open_source("d", str(path)).documents()]


def test_one_chat_is_one_chat_whatever_the_file(tmp_path):
    """A table gives every call all arguments of all calls; those that are null are not the chat's."""
    other = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}
    rows = [{"messages": [ASKS, CALLS], "tools": [TOOL]}, {"messages": [ASKS, other], "tools": None}]
    (tmp_path / "a.jsonl").write_text("\ufeff" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1))
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame([{key: json.dumps(value) for key, value in row.items()} for row in rows]).to_csv(tmp_path / "a.csv")
    for name in ("a.jsonl", "a.json", "a.parquet", "a.csv"):
        assert chats(tmp_path / name) == [(ASKS, CALLS), (ASKS, other)], name
        first, second = open_source("d", str(tmp_path / name)).documents()
        assert (first.tools, second.tools) == ((TOOL,), None), name


def test_a_table_gives_a_tool_no_parameter_of_another(tmp_path):
    other = {"type": "function", "function": {"name": "add", "parameters": {"a": {"type": "integer"}}}}
    rows = [{"messages": HI, "tools": [TOOL]}, {"messages": HI, "tools": [other]}]
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    read = open_source("d", str(tmp_path / "a.parquet")).documents()
    assert [document.tools for document in read] == [(TOOL,), (other,)]


def test_nulls_that_a_line_really_holds_stay(tmp_path):
    call = {"function": {"name": "weather", "arguments": {"city": None}}}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": [said]}) + "\n")
    assert chats(tmp_path / "a.jsonl") == [(said,)]


@pytest.mark.parametrize("form", [[TOOL], TOOL, json.dumps([TOOL]), [json.dumps(TOOL)]])
def test_tools(form):
    assert tools_of(form, False) == (TOOL,)


@pytest.mark.parametrize("form", ["weather", ["weather"], 7, "[broken"])
def test_what_are_no_tools_is_refused_with_its_row(tmp_path, form):
    rows = [{"messages": HI, "tools": None}, {"messages": HI, "tools": form}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CalibrationError, match="column 'tools', row 2: found"):
        chats(tmp_path / "a.jsonl")
