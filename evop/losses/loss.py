"""The loss that a search measures, as ``--loss`` names it: of text, of questions, or of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from evop.errors import EvopError, refuse_unknown
from evop.losses import ITEM_METERS, METERS, ItemMeter, Meter, build_meter


@dataclass(frozen=True)
class Loss:
    """What is measured of text and of questions.

    Attributes:
        name: the loss as it was asked for, such as ``nll+accuracy``.
        text: the meter of text, a key of ``METERS``; None where text is left out.
        items: the meter of questions, a key of ``ITEM_METERS``; None where questions are left out.

    Example:
        >>> Loss.named("nll+accuracy").kinds, Loss.named("kl").unit
        (('text', 'item'), 'nats per token')
    """

    name: str
    text: str | None
    items: str | None

    @classmethod
    def named(cls, name: str) -> Loss:
        """Read a loss from its name.

        Raises:
            EvopError: an unknown name, or two for the same.
        """
        words = name.split("+")
        for word in words:
            refuse_unknown("--loss", word, [*METERS, *ITEM_METERS])
        text, items = ([word for word in words if word in table] for table in (METERS, ITEM_METERS))
        if max(len(text), len(items)) > 1:
            known = f"one of {', '.join(METERS)}, one of {', '.join(ITEM_METERS)}"
            raise EvopError(f"--loss {name}: expected {known}, or one of each joined by +")
        return cls(name, text[0] if text else None, items[0] if items else None)

    def __str__(self) -> str:
        return self.name

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of groups that the loss measures: ``text``, ``item`` or both."""
        return tuple(kind for kind, meter in (("text", self.text), ("item", self.items)) if meter)

    @property
    def meter(self) -> Meter:
        """The meter of text; next-token loss where text is left out."""
        return build_meter(METERS[self.text or "nll"])

    @property
    def item_meter(self) -> ItemMeter:
        """The meter of questions; plain accuracy where they are left out."""
        return build_meter(ITEM_METERS[self.items or "accuracy"])

    @cached_property
    def floor(self) -> float:
        """The least mean loss that a group can have, in the unit of the loss."""
        floors = [self.meter.floor] if self.text else []
        return min([*floors, *([self.item_meter.floor] if self.items else [])])

    @property
    def word(self) -> str:
        """What is printed for how much a group lost."""
        if self.items:
            return "loss" if self.text else "loss of accuracy"
        return {"nll": "excess", "kl": "divergence", "reconstruction": "distance"}[self.text or "nll"]

    @property
    def unit(self) -> str:
        """The unit of the loss, where it is not scaled."""
        of_text = "squared logits per token" if self.text == "reconstruction" else "nats per token"
        if self.items:
            return f"{of_text}, or share of the questions" if self.text else "share of the questions"
        return of_text
