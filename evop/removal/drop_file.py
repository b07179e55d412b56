"""Patterns as other tools write them: which blocks of which layer leave.

``layer_drop_config.txt``, one word per layer, is EvoPress'; a plain list of numbers of layers, from 0, is what papers
print.

Source: EvoPress (Sieberling et al., arXiv 2410.14649), ``evo_drop_search.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

from evop.errors import EvopError
from evop.files.json_file import whole
from evop.files.names import CONFIG, DROP_LIST
from evop.files.person_text import person_text
from evop.model.checkpoint import Checkpoint
from evop.model.families import BLOCK_KINDS, BlockKind, family_of
from evop.removal.cut import part_name, places
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.removal.space import layer_count, pattern_space
from evop.removal.traced import traced_pattern
from patterns import Pattern, PatternSpace

WORDS: dict[str, tuple[BlockKind, ...]] = {"none": (), "attn": ("attn",), "mlp": ("mlp",), "attn+mlp": BLOCK_KINDS}
"""The word of a line -> the kinds of block that leave."""
_LIST = re.compile(r"[\[(]?\s*[0-9]+(?:[\s,]+[0-9]+)*[\s,]*[\])]?")
"""Numbers of layers with commas or spaces between, in brackets or not; no sign can be matched in two ways."""
_MOST_DIGITS = 9
"""Digits of a layer's number at most."""


def read_pattern(path: str | Path, checkpoint: Checkpoint) -> PatternFile:
    """Read the pattern a person names: a pattern file, a search run's folder, a drop file or list of layers (``.txt``).

    Drop files and lists say nothing of how the pattern was found: deploy is ``any``, ``remove`` is what the pattern
    reaches, and there is no claim. Nor do checkpoints that another tool pruned, by whose weights the pattern is found.

    Raises:
        EvopError: nothing there, not such a file, a drop file for another number of layers, or a checkpoint whose
            weights do not say what left.
    """
    place = Path(path)
    if place.name == CONFIG:
        return traced_pattern(place.parent, checkpoint)
    if place.suffix != ".txt" or place.is_dir():
        return PatternFile.find(place)
    space, pattern = _read(place, checkpoint)
    reached, cut = space.reached(pattern).block_params, Ranking().cut_of(space, pattern)
    return PatternFile.describe(checkpoint, space, pattern, cut, remove=reached, cost="params")


def write_drop_file(path: Path, space: PatternSpace, pattern: Pattern) -> None:
    """Write the drop file of a pattern of whole blocks; of one that thins a part, delete an older file instead."""
    gone: dict[int, set[BlockKind]] = {part.layer: set() for part in space.parts}
    for part, level in zip(space.parts, pattern.levels, strict=True):
        if 0 < level < part.top:
            path.unlink(missing_ok=True)
            return
        if level:
            gone[part.layer] |= {kind for kind, _ in places(part)}
    word = {frozenset(kinds): word for word, kinds in WORDS.items()}
    with whole(path) as temporary:
        # A newline after the last word too: EvoPress compares lines with it.
        temporary.write_text("".join(f"{word[frozenset(gone[layer])]}\n" for layer in sorted(gone)))


def _read(path: Path, checkpoint: Checkpoint) -> tuple[PatternSpace, Pattern]:
    """Read the pattern of a drop file, in the space of sub-blocks where the family holds it, else of layers."""
    layers = layer_count(checkpoint)
    words = _words(path, layers)
    if len(words) != layers:
        raise EvopError(
            f"{path} has {len(words)} lines, expected {layers}, one per layer of {checkpoint.name}; it was written for "
            "another model"
        )
    if set(words) == {"none"}:
        raise EvopError(f"{path} removes nothing: every line is none; a pattern removes at least one block")
    if set(words) == {"attn+mlp"}:
        raise EvopError(f"{path} removes every block: every line is attn+mlp; nothing would be left to run")
    if family_of(checkpoint.model_type).refusal(checkpoint.resolved, "subblock", "any") is None:
        names = [part_name(kind, layer) for layer, word in enumerate(words) for kind in WORDS[word]]
        space = pattern_space(checkpoint, "subblock", "any", ())
        return space, space.pattern(names)
    for number, word in enumerate(words, 1):
        if len(WORDS[word]) == 1:
            raise EvopError(
                f"{path} line {number}: {word}, expected attn+mlp or none: {checkpoint.model_type} loses whole layers"
            )
    space = pattern_space(checkpoint, "layer", "any", ())
    return space, space.pattern(part_name("layer", layer) for layer, word in enumerate(words) if word != "none")


def _words(path: Path, layers: int) -> list[str]:
    """Read one word per layer, whichever of the two forms the file has."""
    try:
        content = person_text(path).rstrip()
    except FileNotFoundError as error:
        raise EvopError(f"--pattern {path}: no such file; expected a {DROP_LIST}, one word per layer") from error
    if listed := _LIST.fullmatch(content.strip()):
        return _listed(path, re.findall(r"[0-9]+", listed.group(0)), layers)
    words = [line.strip() for line in content.splitlines()]
    for number, word in enumerate(words, 1):
        if word not in WORDS:
            known = ", ".join(WORDS)
            raise EvopError(f"{path} line {number}: found {word[:40]!r}, expected one of {known}, or a list of layers")
    return words


def _listed(path: Path, digits: list[str], layers: int) -> list[str]:
    """Put a list of layers that leave into one word per layer."""
    outside = next((number for number in digits if len(number) > _MOST_DIGITS or int(number) >= layers), None)
    if outside is not None:
        raise EvopError(
            f"{path} lists layer {outside[:20]}, expected 0 to {layers - 1}; was it written for another model?"
        )
    numbers = {int(number) for number in digits}
    return ["attn+mlp" if layer in numbers else "none" for layer in range(layers)]
