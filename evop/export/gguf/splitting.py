"""How a byte-level tokenizer parts text before it merges, and what llama.cpp calls that.

Source: llama.cpp, ``src/llama-vocab.cpp``, the expressions beside the names of ``tokenizer.ggml.pre``.
"""

from __future__ import annotations

from typing import Any

from evop.errors import EvopError

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
THREE_DIGITS = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ONE_DIGIT = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {THREE_DIGITS: "llama-bpe", ONE_DIGIT: "qwen2"}
"""An expression that parts text -> its name."""


def name_of_splitting(content: dict[str, Any]) -> str:
    """Name the way that a ``tokenizer.json`` parts text.

    Raises:
        EvopError: a way that llama.cpp has no name for, or that is not known here.
    """
    steps = _steps(content.get("pre_tokenizer") or {})
    kinds = [step.get("type") for step in steps]
    normal = (content.get("normalizer") or {}).get("type")
    plain = normal in (None, "NFC") and steps and kinds[-1] == "ByteLevel" and not steps[-1].get("add_prefix_space")
    if plain and steps[-1].get("use_regex", True):
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
            return "smollm"
    if plain and kinds == ["Split", "ByteLevel"] and steps[0].get("behavior") == "Isolated":
        name = SPLIT.get(steps[0].get("pattern", {}).get("Regex", ""))
        if name is not None and (name == "llama-bpe") == bool(content["model"].get("ignore_merges")):
            return name
    words = " then ".join(str(kind) for kind in kinds) or "nothing"
    raise EvopError(
        f"--format gguf: the tokenizer parts text by {words} (normalizer {normal}), and that is none of the ways whose "
        "names in llama.cpp are known here; its own converter, on a checkpoint of --format hf, may know it"
    )


def _steps(given: dict[str, Any]) -> list[dict[str, Any]]:
    return list(given.get("pretokenizers", [given] if given else []))
