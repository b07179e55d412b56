"""Passages: their ids, groups and plain text."""

from calibration.passage import Group, Passage, domain_of, group_key, passage_id, words


def test_same_content_same_id():
    assert passage_id("Hello   World\n") == passage_id("hello world")
    assert passage_id("hello") != passage_id("world")
    chat = ({"role": "user", "content": "hello"},)
    assert passage_id(None, chat) != passage_id("hello")
    assert len(passage_id("hello")) >= 16


def test_passage_knows_its_group_and_plain_text():
    chat = Passage.of("d", "doc", messages=({"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}))
    assert chat.plain == "hi\nyo"
    assert chat.placed(cluster=3).group == "d/3"
    assert words("日本語 text") == ["日", "本", "語", "text"]


def test_a_group_has_one_key_which_tells_its_domain():
    group = Group("law.part-2", 3, "tax, revenue", unseen=False)
    assert group.key == group_key("law.part-2", 3) == "law.part-2/3"
    assert domain_of(group.key) == "law.part-2"
    assert group.label == "law.part-2/3 tax, revenue"
    assert Group("law", 0, "", unseen=True).label == "law/0"
