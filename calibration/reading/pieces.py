"""Long documents into pieces that end where a reader would pause."""

import re

_FULL_STOP = "[.!?\u2026]['\"\u201d\u2019)\\]]*"  # with closing quotes and brackets
# Best pause first. Each pattern's match ends where a piece may end.
_PAUSES = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n[ \t\r]*\n+",  # a blank line
        rf"{_FULL_STOP}[ \t\r]*\n",  # a sentence that ends its line
        r"\n",  # a line (code)
        rf"{_FULL_STOP}\s+|[\u3002\uff01\uff1f]",  # a sentence, also Chinese and Japanese ones
    )
)
_SPACE = re.compile(r"\s+")


def pieces_of(text: str, size: int) -> list[str]:
    """Split a text into pieces of about ``size`` characters, at paragraph, line or sentence ends.

    The pause chosen lies in the second half of the window; without one the piece ends between two words, and
    inside a word only if that word alone is longer than ``size``. A last piece shorter than a quarter of ``size``
    is joined to the one before it.

    Args:
        text: any text.
        size: wanted length in characters, at least 1.

    Returns:
        The pieces in order; together they are the text, and none is longer than 1.25 ``size``.

    Example:
        >>> pieces_of("One two. Three four. Five six seven.", 22)
        ['One two. Three four. ', 'Five six seven.']
    """
    assert size >= 1
    pieces, start = [], 0
    while len(text) - start > size:
        end = _pause(text, start, size)
        pieces.append(text[start:end])
        start = end
    if start < len(text):
        pieces.append(text[start:])
    if len(pieces) > 1 and len(pieces[-1]) * 4 < size:
        last = pieces.pop()
        pieces[-1] += last
    return pieces


def _pause(text: str, start: int, size: int) -> int:
    """Find the end of the piece that begins at ``start``: at most ``size`` characters on."""
    window = text[start : start + size]
    for pattern in _PAUSES:
        ends = [match.end() for match in pattern.finditer(window) if match.end() * 2 >= size]
        if ends:
            return start + ends[-1]
    if text[start + size].isspace():  # the window happens to end with a word
        return start + size
    ends = [match.end() for match in _SPACE.finditer(window)]
    if ends:
        return start + ends[-1]
    return start + size
