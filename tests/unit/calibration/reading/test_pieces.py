"""Long documents into pieces: where they end."""

from calibration.reading.pieces import pieces_of


def test_prose_is_split_at_sentence_ends():
    text = "The first sentence is here. " * 40
    assert all(piece.endswith(". ") for piece in pieces_of(text, 200))


def test_code_is_split_at_line_ends_not_at_full_stops():
    text = "value = module.function(argument)  # Do this. Then that.\n" * 40
    assert all(piece.endswith("\n") for piece in pieces_of(text, 200))


def test_blank_line_is_preferred_to_a_line():
    text = "a line of text\n" * 6 + "\n" + "another line of text\n" * 20
    assert pieces_of(text, 120)[0] == "a line of text\n" * 6 + "\n"


def test_no_word_is_split_unless_it_is_too_long():
    assert [piece.strip() for piece in pieces_of("alpha beta gamma delta", 11)] == ["alpha beta", "gamma delta"]
    assert pieces_of("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_short_leftover_joins_the_one_before():
    pieces = pieces_of("word " * 20 + "end", 50)
    assert len(pieces) == 2
    assert pieces[-1].endswith("end")


def test_chinese_is_split_after_its_full_stop():
    assert all(piece.endswith("。") for piece in pieces_of("我们今天去公园散步。" * 20, 55))
