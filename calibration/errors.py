"""The one error of this package."""


class CalibrationError(ValueError):
    """Something a person gave to calibration cannot be used.

    The message is one line: what, where, found, expected, what to do. A command line prints it and exits.
    """


def one_line(error: BaseException) -> str:
    """Put the message of another library's error on one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
