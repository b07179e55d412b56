"""Cutting documents, and dropping what was said before."""

import numpy as np
import pytest

from calibration.passage import Passage, passage_id, words
from calibration.reading.duplicates import near_duplicates
from calibration.reading.pieces import cut


def test_prose_is_cut_at_sentence_ends():
    text = "The first sentence is here. " * 40
    assert all(piece.endswith(". ") for piece in cut(text, 200))


def test_code_is_cut_at_line_ends_not_at_full_stops():
    text = "value = module.function(argument)  # Do this. Then that.\n" * 40
    assert all(piece.endswith("\n") for piece in cut(text, 200))


def test_blank_line_is_preferred_to_a_line():
    text = "a line of text\n" * 6 + "\n" + "another line of text\n" * 20
    assert cut(text, 120)[0] == "a line of text\n" * 6 + "\n"


def test_no_cut_inside_a_word_unless_it_is_too_long():
    assert [piece.strip() for piece in cut("alpha beta gamma delta", 11)] == ["alpha beta", "gamma delta"]
    assert cut("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_short_leftover_joins_the_one_before():
    pieces = cut("word " * 20 + "end", 50)
    assert len(pieces) == 2
    assert pieces[-1].endswith("end")


def test_chinese_is_cut_after_its_full_stop():
    assert all(piece.endswith("。") for piece in cut("我们今天去公园散步。" * 20, 55))


def _text(rng, n):
    return [f"w{i}" for i in rng.integers(0, 5000, n)]


@pytest.mark.parametrize(("changed", "is_duplicate"), [(1, True), (2, True), (3, False), (8, False)])
def test_threshold_is_four_fifths(changed, is_duplicate):
    # n shingles, each changed word far from the others takes 5 of them: Jaccard = (n - 5c) / (n + 5c).
    rng = np.random.default_rng(0)
    base = _text(rng, 104)  # 100 shingles: c=2 gives 90/110 = 0.818, c=3 gives 85/115 = 0.739
    other = list(base)
    for i in range(changed):
        other[10 + 11 * i] = "changed"
    assert near_duplicates([" ".join(base), " ".join(other)]) == ([1] if is_duplicate else [])


def test_exactly_four_fifths_is_a_near_duplicate():
    base = [f"w{i}" for i in range(9)]  # 5 shingles
    assert near_duplicates([" ".join(base), " ".join(base[:8])]) == [1]  # 4 of 5
    assert near_duplicates([" ".join(base), " ".join(base[:7])]) == []  # 3 of 5


def test_first_stays_whatever_case_and_punctuation():
    assert near_duplicates(["One two, three four FIVE six.", "other words", "one two three -- four five six"]) == [2]


def test_short_texts_are_one_shingle():
    assert near_duplicates(["yes please", "yes", "Yes, please!", "yes please now"]) == [2]


def test_against_the_dropped_nothing_is_compared():
    a = [f"w{i}" for i in range(104)]
    b = ["x1", "x2", *a[2:]]  # near a
    c = ["y0", "y1", "y2", "y3", "y4", "y5", "y6", "y7", "y8", *a[9:]]
    chain = [" ".join(t) for t in (a, b, c)]
    assert near_duplicates(chain) == [1, 2]
    assert near_duplicates([chain[2], chain[1]]) == [1]


def test_nothing_and_one():
    assert near_duplicates([]) == []
    assert near_duplicates(["only one text"]) == []


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
