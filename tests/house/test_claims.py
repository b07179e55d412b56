"""What the README says is what was measured: its table cell by cell, its sentences by what stands behind them.

``docs/claims.md`` lists the sentences; ``…`` in one stands for a number or a word that ``tests/measured.py`` computes
from the files that its row names. So a number of the README in no row, a row without a sentence, and a number that no
longer is what its file says each fail. What was measured anew changes the README alone, not the list.
"""

import re

import pandas as pd
import pytest
from claims import agrees, prose, sentence, table_after, uncovered
from measured import CHECKS, ROOT, main_rows, rivals_table

RESULTS = ROOT / "benchmarks" / "results"
NOWHERE = "nowhere"
README = (ROOT / "README.md").read_text()
PROSE = prose(README)
CLAIMS = (ROOT / "docs" / "claims.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in CLAIMS.split("## Numbers that")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| the README says")
]
NO_MEASUREMENT = [row[0] for row in table_after(CLAIMS, "| in the README |")[1:]]


def stands_in(row):
    """The files that a row names."""
    return [ROOT / name for name in re.findall(r"`([^`]+)`", row[2])]


def test_the_rows_are_whole():
    for row in ROWS:
        assert len(row) == 4
        assert all(row), row[0]
        assert row[2] == NOWHERE or stands_in(row), row[0]
        assert all(path.exists() for path in stands_in(row)), row[2]
    begins = [begin for begin in CHECKS if sum(row[0].startswith(begin) for row in ROWS) != 1]
    assert not begins, "a check belongs to one row of docs/claims.md"


@pytest.mark.parametrize("words", [*(row[0] for row in ROWS), *NO_MEASUREMENT])
def test_what_is_listed_is_said(words):
    assert sentence(words).search(PROSE), f"docs/claims.md lists what the README does not say: {words}"


def test_every_number_of_the_readme_is_listed():
    assert not uncovered(PROSE, [*(row[0] for row in ROWS), *NO_MEASUREMENT]), "list them in docs/claims.md"


def test_numbers_of_claims_are_computed():
    """A row with a number in it would vouch for that number unseen."""
    checked = tuple(CHECKS)
    for words, *_ in ROWS:
        assert not uncovered(words, []), f"write … for the number: {words}"
        assert "…" not in words or words.startswith(checked), f"nothing computes what stands here: {words}"


@pytest.mark.parametrize("begin", CHECKS)
def test_what_is_said_was_measured(begin):
    (row,) = [row for row in ROWS if row[0].startswith(begin)]
    files = [pd.read_csv(path) if path.suffix == ".csv" else path for path in stands_in(row)]
    measured = CHECKS[begin](*files)
    if "…" not in row[0]:
        assert measured, f"no longer so, says {row[2]}: {row[0]}"
        return
    for found in sentence(row[0]).finditer(PROSE):
        assert len(found.groups()) == len(measured)
        wrong = {said: str(is_) for said, is_ in zip(found.groups(), measured, strict=True) if not agrees(said, is_)}
        assert not wrong, f"README: {found[0]}; what it says and what {row[2]} gives: {wrong}"


@pytest.mark.parametrize("name", ["rivals", "stories260K", "bitllama-3M"])
def test_tables_of_rivals_are_made_of_their_rows(name):
    frame = pd.read_csv(RESULTS / f"{name}.csv")
    tables = {path.stem.removeprefix(f"{name}-"): path.read_text() for path in RESULTS.glob(f"{name}-*.md")}
    again = f"python benchmarks/rivals_table.py benchmarks/results/{name}.csv, with --rows for rows that are gone"
    assert set(frame["section"]) == set(tables), again
    for section, text in tables.items():
        assert rivals_table().table(frame[frame["section"] == section]) == text, again


def test_the_table_of_the_readme_is_made_of_the_rows():
    made = rivals_table().table(main_rows(pd.read_csv(RESULTS / "rivals.csv")))
    head = "| strategy | audit worst |"
    said, measured = table_after(README, head), table_after(made, head)
    assert [row[0] for row in said] == [row[0] for row in measured]
    for ours, theirs in zip(said, measured, strict=True):
        wrong = [cell for cell in zip(said[0], ours, theirs, strict=True) if cell[1] != cell[2]]
        assert not wrong, f"{ours[0]}: column, README, rivals.csv: {wrong}"


def test_a_table_of_before_says_so():
    contenders = set(pd.read_csv(RESULTS / "rivals.csv").query("section == 'main'")["contender"])
    before = bool({"cma", "one random pattern"} & contenders)
    assert ("The table is from before" in PROSE) == before, "is the table that of today's default?"


def test_these_tests_can_fail():
    assert uncovered("it loses a fifth, or 0.31, `0.25` of 2", ["of 2"]) == [
        "it loses a fifth, or 0.31, `0.25` of 2",
        "it loses a fifth, or 0.31, `0.25` of 2",
    ]
    assert sentence("of … to … nats").search("of 0.18 to 5,300 nats").groups() == ("0.18", "5,300")
    assert agrees("0.18", 0.1849)
    assert not agrees("0.18", 0.1851)
    assert agrees("5,000", 5000.0)
    assert agrees("twice", 2)
    assert not agrees("less", "more")
    assert prose("## Two\n\n- **a [b](c)**\n  d\n\n| 1 |\n\n```\nx 3  # y 4\n```\n") == "Two a b d y 4"
