"""A sheet on the console: on a narrow one nothing is cut off, and every part says whose numbers they are."""

import io

import pytest

from evop.console.plain import PlainConsole
from evop.console.sheet import print_sheet
from evop.report.sheet import Cell, Row, Sheet, chance, estimate, number


def sheet(rows=3, patterns=6):
    heads = ("group", *(f"pattern {i}: excess [95%]" for i in range(patterns)))
    lines = []
    for at in range(rows):
        cells = [estimate(0.1 * at + i, 0.05, None if at else 1.25) for i in range(patterns)]
        lines.append(Row((Cell(f"law/{at} tax, [revenue]"), *cells)))
    return Sheet("who pays", heads, tuple(lines), "[low, high]: an interval")


def printed(given, width, **options):
    stream = io.StringIO()
    print_sheet(PlainConsole(file=stream, width=width), given, **options)
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_every_number_and_every_name_is_whole(width):
    given = sheet()
    text = printed(given, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    blocks = sum(set(line.strip()) == {"─"} for line in text.splitlines())
    assert (blocks > 1) == (width < 300)
    for row in given.rows:
        assert text.count(row.cells[0].text) == blocks
        for cell in row.cells[1:]:
            assert text.count(cell.text) == sum(cell.text == other.text for line in given.rows for other in line.cells)
    assert (text.count("who pays"), text.count("[low, high]: an interval")) == (1, 1)


def test_what_is_left_out_is_said():
    text = printed(sheet(rows=9), 300, most=4, rest="audit.csv")
    assert text.count("law/") == 4
    assert "and 5 more: audit.csv" in text


@pytest.mark.parametrize(
    ("cell", "text", "value"),
    [
        (estimate(0.1234567, -0.1, 0.3), "0.123 [-0.100, 0.300]", 0.123457),
        (estimate(12.5, 0, 43, "+.1f"), "+12.5 [0.0, 43.0]", 12.5),
        (estimate(0.5, None, None), "0.500 [–]", 0.5),
        (number(None, 3), "–", None),
        (number(1234.5, 1, "%"), "1,234.5%", 1234.5),
        (chance(0.01, True), "0.010 worse", 0.01),
        (chance(None, False), "–", None),
    ],
)
def test_a_cell_has_words_and_the_number_it_is_sorted_by(cell, text, value):
    assert (cell.text, cell.value) == (text, value)
