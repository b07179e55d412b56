"""Model families: what each architecture calls its parts, and the table of all of them."""

from evop.errors import EvopError
from evop.model.families.bitnet import BITNET
from evop.model.families.family import BLOCK_KINDS, HETERO_PREFIX, Block, BlockKind, Family, Refusal, Sliced
from evop.model.families.gemma import GEMMA
from evop.model.families.gpt2 import GPT2
from evop.model.families.gpt_neox import GPT_NEOX
from evop.model.families.llama import LLAMA
from evop.model.families.olmo2 import OLMO2
from evop.model.families.opt import OPT
from evop.model.families.phi3 import PHI3

FAMILIES: tuple[Family, ...] = (LLAMA, GEMMA, PHI3, OLMO2, BITNET, GPT2, GPT_NEOX, OPT)
"""Every family; the conformance suite runs over all model types named here."""

__all__ = [
    "BLOCK_KINDS",
    "FAMILIES",
    "HETERO_PREFIX",
    "Block",
    "BlockKind",
    "Family",
    "Refusal",
    "Sliced",
    "family_of",
]


def family_of(model_type: str) -> Family:
    """Find the family of an architecture.

    Raises:
        EvopError: an architecture no family knows; says what is supported and what adding one takes.
    """
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    if model_type.startswith(HETERO_PREFIX):
        raise EvopError(
            f"architecture {model_type!r} is that of a checkpoint which evop pruned already; give the dense model as "
            "--model, and the checkpoint as --pattern"
        )
    known = ", ".join(name for family in FAMILIES for name in family.model_types)
    raise EvopError(
        f"architecture {model_type!r} is not supported; supported are {known}. Adding one takes a file in "
        "evop/model/families that names its layers and blocks, and one line in the table there (CONTRIBUTING.md)"
    )
