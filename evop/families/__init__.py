"""Model families: what each architecture calls its parts, and the table of all of them."""

from evop.families.family import Block, Family, family_of
from evop.families.llama import LLAMA

FAMILIES: tuple[Family, ...] = (LLAMA,)
"""Every family; the conformance suite runs over all model types named here."""

__all__ = ["FAMILIES", "Block", "Family", "family_of"]
