"""Model families: what each architecture calls its parts, and the table of all of them."""

from evop.families.bitnet import BITNET
from evop.families.family import Block, Family, Refusal, Sliced, family_of
from evop.families.gemma import GEMMA
from evop.families.gpt2 import GPT2
from evop.families.gpt_neox import GPT_NEOX
from evop.families.llama import LLAMA
from evop.families.olmo2 import OLMO2
from evop.families.opt import OPT
from evop.families.phi3 import PHI3

FAMILIES: tuple[Family, ...] = (LLAMA, GEMMA, PHI3, OLMO2, BITNET, GPT2, GPT_NEOX, OPT)
"""Every family; the conformance suite runs over all model types named here."""

__all__ = ["FAMILIES", "Block", "Family", "Refusal", "Sliced", "family_of"]
