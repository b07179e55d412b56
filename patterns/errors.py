"""The one exception base of the patterns room."""


class PatternError(ValueError):
    """A pattern, a space, a budget or a log cannot be what was asked; the message is one line for a person."""
