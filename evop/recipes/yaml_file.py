"""The YAML file that a person writes: read safely; what is wrong with it is said in one line, with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evop.errors import EvopError, first_line
from evop.files.json_file import whole
from evop.files.person_text import person_text

LARGEST = 1 << 21
"""Characters of a file at most with every alias written out; a few lines of aliases may stand for gigabytes."""
DEEPEST = 50
"""Lists and mappings inside one another at most."""
LONGEST_WORD = 10_000
"""Characters of one value at most; a number of more would take minutes."""


def read_yaml(path: Path) -> Any:
    """Read the content of a YAML file.

    Raises:
        EvopError: the file is missing, is not YAML, holds a key twice in one place (YAML would drop the first), or is
            larger or deeper than a recipe.
    """
    try:
        text = person_text(path)
    except FileNotFoundError as error:
        raise EvopError(f"{path}: no such file; expected a recipe in YAML") from error
    return yaml_value(text, path)


def yaml_value(text: str, path: Path, *, twice: bool = False) -> Any:
    """Read the value that a text of a file is the YAML of.

    Args:
        text: the text.
        path: the file that it stands in, for what is said of it.
        twice: whether a key may stand twice in one place.

    Raises:
        EvopError: as ``read_yaml``.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.YAMLError as error:  # a character that YAML does not have
        raise EvopError(f"{path}: not YAML: {first_line(error)}") from error
    try:
        tree = loader.get_single_node()
        if tree is None:
            return None
        _written_out(path, tree, {})
        if not twice:
            _refuse_twice(path, tree)
        return loader.construct_document(tree)
    except EvopError:
        raise
    except RecursionError as error:
        raise EvopError(f"{path}: nested more than {DEEPEST} deep; expected a recipe") from error
    except Exception as error:  # such as a date without such a day, or a key that is a list
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else f"{path}"
        raise EvopError(f"{where}: not YAML: {getattr(error, 'problem', None) or first_line(error)}") from error
    finally:
        loader.dispose()


def write_yaml(path: Path, content: dict[str, Any], comment: str) -> None:
    """Write a YAML file under a line of comment, whole or not at all; keys keep their order."""
    with whole(path) as temporary:
        written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
        temporary.write_text(f"# {comment}\n{written}", encoding="utf-8")


def _written_out(path: Path, node: yaml.Node, known: dict[int, int], depth: int = 0) -> int:
    """Count the characters of a node with every alias in it written out.

    Args:
        path: the file.
        node: the node.
        known: the count of every node before, by its identity; 0 while its content is counted.
        depth: how many nodes it lies in.

    Raises:
        EvopError: a node that lies in itself, too many characters, too deep a node, or too long a word.
    """
    line = f"{path} line {node.start_mark.line + 1}"
    if id(node) in known:
        if not known[id(node)]:
            raise EvopError(f"{line}: an alias that stands for what it lies in; write it out")
        return known[id(node)]
    if depth > DEEPEST:
        raise EvopError(f"{line}: nested more than {DEEPEST} deep; expected a recipe")
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > LONGEST_WORD or "\0" in node.value:
            what = f"more than {LONGEST_WORD:,} characters" if "\0" not in node.value else "the character 0"
            raise EvopError(f"{line}: a value with {what}; shorten it")
        return 1 + len(node.value)
    known[id(node)] = 0
    inner = [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
    size = 1
    for each in inner:
        size += _written_out(path, each, known, depth + 1)
        if size > LARGEST:
            raise EvopError(f"{line}: more than {LARGEST:,} characters with its aliases written out; expected a recipe")
    known[id(node)] = size
    return size


def _refuse_twice(path: Path, tree: yaml.Node) -> None:
    """Check that no key stands twice in one mapping, at any depth; a node that has aliases is looked at for each.

    Raises:
        EvopError: a key does.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        if not isinstance(node, yaml.MappingNode):
            continue
        keys = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise EvopError(
                    f"{path} line {key.start_mark.line + 1}: {key.value}: stands there twice; leave one out"
                )
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
            waiting.append(value)
