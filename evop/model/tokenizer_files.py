"""Why transformers cannot read a model's tokenizer, said by what lies in its folder."""

from __future__ import annotations

from evop.errors import EvopError, first_line
from evop.model.checkpoint import Checkpoint
from evop.model.weight_files import json_object

WHOLE = "tokenizer.json"
"""The file that needs no other library."""
CONFIG = "tokenizer_config.json"
SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
"""What the library sentencepiece keeps its models in."""
OTHERS = ("vocab.json", "vocab.txt", "tekken.json", "tiktoken.model")


def unreadable_tokenizer(checkpoint: Checkpoint, error: Exception, trusted: bool) -> EvopError:
    """Say why a tokenizer cannot be read, and what to do.

    Args:
        checkpoint: the folder.
        error: what transformers or tokenizers raised.
        trusted: whether the model's own code may run.
    """
    folder, name = checkpoint.folder, checkpoint.name
    there = {path.name for path in folder.iterdir()}
    for file in (WHOLE, CONFIG):
        if file in there:
            try:
                config = json_object(folder / file)
            except EvopError as broken:
                return broken
            if file == CONFIG and "auto_map" in config and not trusted:
                return EvopError(
                    f"{name}: its tokenizer is code of its own, which evop does not run unasked; read it, then give "
                    "--trust-remote-code"
                )
    if not there & {WHOLE, *SENTENCEPIECE, *OTHERS}:
        return EvopError(
            f"{name} has no tokenizer: none of {', '.join((WHOLE, *SENTENCEPIECE[:1], *OTHERS[:1]))} is there; copy "
            "them from where the model came from"
        )
    if WHOLE not in there and (models := there & {*SENTENCEPIECE}):
        return EvopError(
            f"{name} has its tokenizer as {min(models)} alone, which cannot be read here; pip install sentencepiece "
            f"protobuf, or save it with AutoTokenizer where it loads, which writes {WHOLE}"
        )
    return EvopError(
        f"{name} has no tokenizer transformers can read ({first_line(error)}); see whether "
        "AutoTokenizer.from_pretrained loads it"
    )
