"""A person's words where a machine reads along: what steers a terminal, or turns the order of letters, is spelt out."""

import unicodedata

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of signs that are not seen but change what is: control, format, halves of a pair, line ends."""
LINE_ENDS = {ord("\n"): "\\u000a", ord("\t"): "\\u0009"}
"""What is spelt out of a name, but not of a text."""


def visible(text: str) -> str:
    """Spell out the characters that nobody sees; line ends and tabs stay.

    Example:
        >>> visible("red \\x1b[31m, and \\u202eback")
        'red \\\\u001b[31m, and \\\\u202eback'
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_seen, text))


def _seen(sign: str) -> str:
    if sign in "\n\t" or unicodedata.category(sign) not in STEERING:
        return sign
    return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"


def visible_name(name: str) -> str:
    """Spell out of a name what nobody sees, and what would end its line."""
    return visible(name).translate(LINE_ENDS)


def drawable(text: str) -> str:
    """Make words ready for a picture: seen as they are, and none of them read as a formula."""
    return visible(text).replace("$", r"\$")
