"""A person's words are text wherever they are shown: on a terminal, on the page, in the card, in pictures."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table

from calibration.passage import Group
from calibration.picture import draw_clusters
from calibration.visible import visible
from evop.cli.app import console as console_of_the_commands
from evop.console.plain import PlainConsole
from evop.console.sheet import print_sheet
from evop.console.watching import watching
from evop.report.sheet import Cell, Row, Sheet, code, markdown, words
from evop.report.style import new_figure, short, svg
from evop.searching.progress import Progress

NAMES = (
    "[/red] closes",
    "[/INST] end",
    "[bold]opens",
    "[link=https://example.org]there[/link]",
    ":smile:",
    "back\\slash\\d1",
    r"$\frac$ and $x$",
    "a|b `c` *d* <script>alert(1)</script> &amp; [e](f)",
)
STEERS = "\x1b[31mred\x1b[0m \u202eback\u2066 \x07 \x9b2J"
"""Colours, the order of letters, a bell, an escape in one byte."""

COLOURS = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")
"""What rich itself writes to a terminal."""


def shown(print_it, **options):
    stream = io.StringIO()
    print_it(PlainConsole(file=stream, width=200, **options))
    return stream.getvalue()


def _table_of(name):
    table = Table(title=name, caption=name)
    table.add_column(name, footer=name)
    table.add_row(name)
    return table


def _live(console, name):
    with Live(console=console) as live:
        live.update(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_console_prints_names_as_they_are(name):
    def sheet(console):
        cells = (Cell(name), Cell(name, worse=True))
        print_sheet(console, Sheet(name, (name, "loss"), (Row(cells),), name))

    printed = shown(sheet)
    assert printed.count(name) == 5
    assert name in shown(lambda console: console.print(name, soft_wrap=True))


WAYS = {
    "a line": lambda console, name: console.print(name, soft_wrap=True),
    "a line that is searched for numbers": lambda console, name: console.print(name, soft_wrap=True, highlight=True),
    "several": lambda console, name: console.print("a", name, soft_wrap=True),
    "a note": lambda console, name: console.log(name),
    "a title, a head, a cell, a legend": lambda console, name: print_sheet(
        console, Sheet(name, (name, name), (Row((Cell(name), Cell(name, worse=True))),), name)
    ),
    "a table of rich's": lambda console, name: console.print(_table_of(name)),
    "a rule": lambda console, name: console.rule(name),
    "a live line": _live,
    "what follows a table": lambda console, name: print_sheet(
        console, Sheet("", ("a", "b"), (Row((Cell("c"), Cell("d"))),) * 2, ""), most=1, rest=name
    ),
}
"""Ways in which words come to the console."""


@pytest.mark.parametrize("name", [name for name in NAMES if "[" in name or ":" in name])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_printing_leaves_brackets_and_colons(way, name):
    """Two switches of rich's see to it: of the console, and of each of its calls."""
    printed = COLOURS.sub("", shown(lambda console: WAYS[way](console, name), force_terminal=way == "a live line"))
    assert name in printed


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_progress_names_the_worst_group_as_it_is(name, terminal):
    def watch(console):
        with watching(console) as show:
            show(Progress("searching", 3, best=0.1, worst=0.2, worst_group=name))

    printed = COLOURS.sub("", shown(watch, force_terminal=terminal))
    assert f"its worst group {name} 0.2000" in printed


def test_what_steers_a_terminal_is_spelt_out():
    def sheet(console):
        print_sheet(console, Sheet(STEERS, ("a", STEERS), (Row((Cell(STEERS), Cell(STEERS, worse=True))),), STEERS))

    for printed in (shown(sheet), shown(lambda console: console.print(STEERS))):
        assert r"\u001b[31mred\u001b[0m \u202eback\u2066 \u0007 \u009b2J" in printed
        assert not set("\x1b\u202e\u2066\x07\x9b") & set(printed)
    assert visible("Grüße, 漢字, مرحبا\n\t") == "Grüße, 漢字, مرحبا\n\t"


def test_a_name_is_on_one_line():
    """Else what follows in it may look like a line of evop's."""
    for sign, spelt in (("\n", "000a"), ("\t", "0009"), ("\r", "000d"), ("\x1b", "001b"), ("\u2028", "2028")):
        assert Group("law", 0, f"tax{sign}evop: done", unseen=False).label == f"law/0 tax\\u{spelt}evop: done"


def test_every_command_prints_to_such_a_console():
    assert isinstance(console_of_the_commands, PlainConsole)


def test_a_plain_console_of_rich_reads_names_as_markup():
    """What the console of the commands is for: rich's own fails."""
    from rich.errors import MarkupError

    with pytest.raises(MarkupError):
        Console(file=io.StringIO()).print(NAMES[0])


def test_a_card_shows_names_as_they_are():
    hostile = "a|b\nc <script> `d` *e* [f](https://example.org) \x1b[31m"
    text = markdown(Sheet("", ("group", hostile), (Row((Cell(hostile), Cell("[0.1, 0.2]"))),)))
    assert text.count("\n") == 2
    assert "<" not in text
    assert r"a\|b c &lt;script> \`d\` \*e\* [f\](https://example.org) \\u001b[31m" in text
    assert "[0.1, 0.2]" in text
    assert words("code_python/0 and _this_") == r"code_python/0 and \_this\_"
    assert code("plain_name") == "`plain_name`"
    assert code("a`<b>") == r"<code>a\`&lt;b></code>"


@pytest.mark.parametrize("name", [*NAMES, STEERS])
def test_pictures_hold_any_name(name):
    figure = new_figure(9, 2)
    axis = figure.subplots()
    axis.set_yticks([0], [short(name)])
    drawn = svg(figure, "label \\d")
    ElementTree.fromstring(drawn)
    assert 'aria-label="label \\d"' in drawn


def test_the_map_of_clusters_holds_any_name():
    groups = [Group("d", number, name, unseen=False) for number, name in enumerate((*NAMES, STEERS))]
    assert draw_clusters(groups, [], np.empty((0, 2), dtype=np.float32)).startswith(b"\x89PNG")
