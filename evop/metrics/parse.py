"""From a line to the expression that it says."""

from __future__ import annotations

import re

from evop.errors import EvopError
from evop.metrics.expression import OPERATORS, SYMBOLS, TERMINALS, Expression, of

LONGEST = 2000
"""Characters of a line at most."""
HIGHEST = 150
"""Operators within operators at most; a sum of many terms is one within another."""
TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[-+*/(),|])")
NAMES = {symbol: name for name, symbol in SYMBOLS.items()}
ALSO = {"square": "sqr", "pow": "sqr", "mms": "minmax", "zsn": "zscore", "frobenius": "norm"}
"""Other names of operators; those of Pruner-Zero's trees among them."""


def parse(line: str) -> Expression:
    """Read an expression.

    Terminals and operators stand in ``evop/metrics/expression.py``. ``|x|`` is ``abs(x)``. The trees of Pruner-Zero's
    release can be read as they are: ``skp(x)`` is x, ``mms`` is ``minmax``, and its ``div(x, y)`` is x / norm(y).

    Example:
        >>> str(parse("mul(abs(mul(W, W)), mms(G))"))
        '|W * W| * minmax(G)'

    Raises:
        EvopError: not an expression; says where, and what was expected.
    """
    try:
        expression = _Reader(line).whole()
        if expression.depth <= HIGHEST:
            return expression
    except RecursionError:  # of brackets, too
        pass
    raise EvopError(f"metric {line[:40]!r}…: more than {HIGHEST} operators within operators; write a shorter one")


class _Reader:
    """Reads one line from left to right: sums of products of signed atoms."""

    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0
        if len(line) > LONGEST:
            raise EvopError(f"metric {line[:40]!r}…: {len(line):,} characters; expected at most {LONGEST:,}")
        self.tokens: list[tuple[str, int]] = []
        place = 0
        while line[place:].strip():
            found = TOKEN.match(line, place)
            if not found:
                place += len(line[place:]) - len(line[place:].lstrip())
                raise self._wrong(f"{line[place]!r}", place, "a name, or one of + - * / ( ) |; a metric has no numbers")
            self.tokens.append((found[1], found.start(1)))
            place = found.end()

    def whole(self) -> Expression:
        """Read all of the line."""
        expression = self._sum()
        if self.at < len(self.tokens):
            raise self._unexpected("an operator, or the end")
        return expression

    @property
    def _next(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _take(self, token: str) -> None:
        if self._next != token:
            raise self._unexpected(repr(token))
        self.at += 1

    def _sum(self) -> Expression:
        left = self._product()
        while self._next in ("+", "-"):
            left = of(NAMES[self._symbol()], left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._next in ("*", "/"):
            left = of(NAMES[self._symbol()], left, self._signed())
        return left

    def _symbol(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][0]

    def _signed(self) -> Expression:
        signs = 0
        while self._next == "-":
            signs, self.at = signs + 1, self.at + 1
        expression = self._atom()
        for _ in range(signs):
            expression = of("neg", expression)
        return expression

    def _atom(self) -> Expression:
        token = self._next
        if token in ("(", "|"):
            self.at += 1
            inner = self._sum()
            self._take(")" if token == "(" else "|")
            return inner if token == "(" else of("abs", inner)
        if not token[:1].isalpha():
            raise self._unexpected("a terminal, an operator, ( or |")
        self.at += 1
        if self._next != "(":
            if token not in TERMINALS:
                self.at -= 1
                raise self._unexpected(f"one of {', '.join(TERMINALS)}")
            return of(token)
        return self._call(token)

    def _call(self, word: str) -> Expression:
        name = ALSO.get(word, word)
        if name not in OPERATORS and name != "skp":
            self.at -= 1
            raise self._unexpected(f"one of {', '.join(OPERATORS)}")
        start = self.at - 1
        self._take("(")
        arguments = [self._sum()]
        while self._next == ",":
            self.at += 1
            arguments.append(self._sum())
        self._take(")")
        takes = OPERATORS.get(name, 1)
        if len(arguments) != takes:
            raise self._wrong(f"{word} of {len(arguments)}", self.tokens[start][1], f"{takes} arguments")
        if name == "skp":
            return arguments[0]
        if name == "div":
            return of("div", arguments[0], of("norm", arguments[1]))
        return Expression(name, tuple(arguments))

    def _unexpected(self, expected: str) -> EvopError:
        found, place = self.tokens[self.at] if self.at < len(self.tokens) else ("the end", len(self.line))
        return self._wrong(repr(found) if found != "the end" else found, place, expected)

    def _wrong(self, found: str, place: int, expected: str) -> EvopError:
        return EvopError(f"metric {self.line[:60]!r}: found {found} at character {place + 1}, expected {expected}")
