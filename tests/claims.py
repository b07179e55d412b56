"""What a document says, and whether that is what was measured: its sentences, its tables and the numbers in them."""

import itertools
import re

WORDS = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10},
    **{"eleven": 11, "twelve": 12, "twenty": 20, "hundred": 100, "thousand": 1000, "twice": 2, "double": 2},
    **{"half": 1 / 2, "halves": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "fifth": 1 / 5, "tenth": 1 / 10},
}
NUMBER = re.compile(rf"\d[\d.,]*\d|\d|\b(?:{'|'.join(WORDS)})s?\b", re.IGNORECASE)
SAID = r"(\d[\d.,]*\d|\w+)"


def prose(markdown):
    """Running text, headings and comments of code, in one line; without tables, targets of links and marks of lists."""
    text = re.sub(r"^```.*?^```$", lambda code: "\n".join(re.findall(r"# (.*)", code[0])), markdown, flags=re.M | re.S)
    text = re.sub(r"^\|.*$|^\s*(?:[-*]|\d+\.|#+) ", "", text, flags=re.M)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(text.replace("**", "").split())


def table_after(text, head):
    """The rows of a Markdown table as lists of cells, by how its first line begins; the line of dashes left out."""
    lines = itertools.takewhile(lambda line: line.startswith("|"), text[text.index(head) :].splitlines())
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [rows[0], *rows[2:]]


def sentence(words):
    """A pattern of what the README says, every ``…`` a group."""
    return re.compile(r"(?<!\w)" + re.escape(words).replace("…", SAID))


def uncovered(text, rows):
    """The numbers of a text that stand in none of some rows, with what is around them; code between backticks aside."""
    taken = [span for words in rows for found in sentence(words).finditer(text) for span in [found.span()]]
    bare = re.sub(r"`[^`]*`", lambda code: "_" * len(code[0]), text)
    return [
        text[max(0, found.start() - 30) : found.end() + 30]
        for found in NUMBER.finditer(bare)
        if not any(start <= found.start() and found.end() <= end for start, end in taken)
    ]


def agrees(said, measured):
    """Whether a number or word of the README is what was measured, to as many digits as it shows."""
    if isinstance(measured, str) or said.lower() in WORDS:
        return measured == (said if isinstance(measured, str) else WORDS[said.lower()])
    digits = len(said.partition(".")[2])
    return f"{measured:.{digits}f}" == said.replace(",", "")
