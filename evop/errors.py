"""The one exception base of the evop room.

``EvopError`` is what the command line prints as one line; the rooms below have ``CalibrationError`` and
``PatternError`` of their own, and the command line treats all three alike.
"""


class EvopError(ValueError):
    """Something a person can mend; the message is one line: what, where, found, expected, what to do."""


def first_line(error: BaseException) -> str:
    """The first line of another library's error, to put into one of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
