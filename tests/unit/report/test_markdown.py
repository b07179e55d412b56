"""A sheet in Markdown."""

from evop.report.sheet import Cell, Row, Sheet, markdown


def test_names_stand_left_and_numbers_right_and_a_bar_is_no_column():
    sheet = Sheet("", ("group", "kind", "lost"), (Row((Cell("a|b"), Cell("text"), Cell("0.5"))),), names=2)
    assert markdown(sheet) == "| group | kind | lost |\n| --- | --- | --: |\n| a\\|b | text | 0.5 |"
