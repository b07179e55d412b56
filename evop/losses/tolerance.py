"""What may be lost: nats per token of text, points of right answers, the same for all domains or each its own."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evop.errors import EvopError

ALL = "default"
"""What a mapping calls the domains that it does not name."""
KINDS = ("text", "item")
UNITS = {"text": "nats per token", "item": "points of right answers"}
"""Kind of a group -> the unit of its tolerance."""


@dataclass(frozen=True)
class Tolerances:
    """The loss that each group may have.

    Attributes:
        of_domains: domain, or ``default`` for all others, and kind of group -> the loss that is tolerated: of text in
            nats per token, of questions as a share of the right answers.

    Example:
        >>> tolerances = Tolerances.read(["0.10", "code=0.05", "3%"])
        >>> tolerances.of("code", "text"), tolerances.of("law", "text"), tolerances.of("law", "item")
        (0.05, 0.1, 0.03)
        >>> tolerances.words
        ('0.1', '3%', 'code=0.05')
    """

    of_domains: Mapping[tuple[str, str], float]

    @classmethod
    def read(cls, value: Any) -> Tolerances:
        """Read tolerances as a person writes them.

        Args:
            value: ``0.10`` (nats per token of text) or ``"3%"`` (points of right answers), before it ``code=`` for a
                single domain; several with commas between, or a list of these; or a mapping of domains, in which
                ``default`` stands for all others.

        Raises:
            EvopError: no such words, nothing above zero, or two for the same.
        """
        found: dict[tuple[str, str], float] = {}
        for domain, word in _pairs(value):
            kind, tolerated = _one(domain, word)
            if (domain, kind) in found:
                raise EvopError(f"--tolerate says two things of {_named(domain)}, in {UNITS[kind]}; leave one out")
            found[domain, kind] = tolerated
        return cls(found)

    @property
    def words(self) -> tuple[str, ...]:
        """The tolerances as ``read`` takes them, in one order whatever they were written in."""
        order = sorted(self.of_domains, key=lambda key: (key[0] != ALL, key[0], KINDS.index(key[1])))
        return tuple(
            f"{'' if domain == ALL else f'{domain}='}{amount(self.of_domains[domain, kind], kind)}"
            for domain, kind in order
        )

    def of(self, domain: str, kind: str) -> float | None:
        """Look up what a domain's groups of a kind may lose; None where nothing was said of them."""
        return self.of_domains.get((domain, kind), self.of_domains.get((ALL, kind)))

    @property
    def least(self) -> dict[str, float | None]:
        """Kind of group -> the least that any domain may lose; None where nothing was said of the kind."""
        of_kind = {kind: [x for (_, each), x in self.of_domains.items() if each == kind] for kind in KINDS}
        return {kind: min(values, default=None) for kind, values in of_kind.items()}

    def refuse_others(self, domains: Collection[str]) -> None:
        """Check that every domain that is named is there.

        Raises:
            EvopError: one is not.
        """
        for domain, _ in self.of_domains:
            if domain != ALL and domain not in domains:
                raise EvopError(
                    f"--tolerate {domain}: the calibration set has no such domain; choose of {', '.join(domains)}"
                )


def amount(tolerated: float, kind: str) -> str:
    """Write a tolerance, or a loss, as a person does: ``0.05`` nats, ``3%`` points."""
    return f"{tolerated:.4g}" if kind == "text" else f"{100 * tolerated:.4g}%"


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Part what was written into domains and words."""
    if isinstance(value, Tolerances):
        value = list(value.words)
    if isinstance(value, Mapping):
        for domain, words in value.items():
            yield from ((str(domain), word) for word in (words if isinstance(words, list | tuple) else [words]))
    elif isinstance(value, list | tuple):
        for word in value:
            yield from _pairs(word)
    elif isinstance(value, str):
        for word in filter(None, map(str.strip, value.split(","))):
            domain, given, own = word.partition("=")
            yield (domain.strip(), own.strip()) if given else (ALL, word)
    else:
        yield ALL, value


def _one(domain: str, word: Any) -> tuple[str, float]:
    """Read one tolerance: its kind, and what is tolerated.

    Raises:
        EvopError: no number, or none above zero.
    """
    written = str(word).strip()
    points = written.endswith("%")
    try:
        number = math.nan if isinstance(word, bool) else float(written.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise EvopError(
            f"--tolerate: found {written!r} for {_named(domain)}, expected a loss above 0: nats per token of text such "
            "as 0.10, or points of right answers such as 3%"
        )
    return ("item", number / 100) if points else ("text", number)


def _named(domain: str) -> str:
    return "all domains" if domain == ALL else domain
