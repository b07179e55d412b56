import pytest

from calibration import Passage
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.reference import model_dir
from evop.tokens.passages import tokenize


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(Checkpoint.find(model_dir()))


def passage(text=None, messages=None, cluster=0, document="d"):
    return Passage("id", document, "toy", text, messages, cluster=cluster, split="search")


def test_passages_keep_order_groups_and_documents(tokenizer):
    tokens = tokenize([passage("one two three"), passage("four five", cluster=1, document="e")], tokenizer, 64)
    assert tokens.groups == ("toy/0", "toy/1")
    assert tokens.documents == ("d", "e")
    assert tokens.ids[0] == tuple(tokenizer("one two three")["input_ids"])
    assert list(tokens.scored) == [len(ids) - 1 for ids in tokens.ids]
    assert tokens.only(["toy/1"]).documents == ("e",)


def test_cuts_are_counted_and_empty_passages_left_out(tokenizer):
    tokens = tokenize([passage("word " * 100), passage(""), passage("two words")], tokenizer, 16)
    assert (tokens.truncated, len(tokens.ids)) == (1, 2)
    assert len(tokens.ids[0]) == 16
    assert tokens.take([1]).truncated == 0
    assert tokens.fingerprint != tokenize([passage("word " * 100), passage("2 words")], tokenizer, 16).fingerprint


def test_nothing_to_score_is_refused(tokenizer):
    with pytest.raises(EvopError, match="none of the passages has two tokens"):
        tokenize([passage("")], tokenizer, 16)


def test_chats_need_a_template_and_are_rendered_with_it(tokenizer):
    chat = passage(messages=({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}))
    with pytest.raises(EvopError, match="no chat template"):
        tokenize([chat], tokenizer, 64)
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    try:
        tokens = tokenize([chat], tokenizer, 64)
    finally:
        tokenizer.chat_template = None
    assert tokenizer.decode(tokens.ids[0]) == "<user>hi<assistant>hello"


def test_a_template_that_refuses_a_chat_is_one_line(tokenizer):
    chat = passage(messages=({"role": "system", "content": "be kind"},))
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    try:
        with pytest.raises(EvopError, match="chat template refuses a chat of d \\(System role not supported\\)"):
            tokenize([chat], tokenizer, 64)
    finally:
        tokenizer.chat_template = None
