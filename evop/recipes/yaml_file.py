"""The YAML file that a person writes: read safely; what is wrong with it is said in one line, with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evop.errors import EvopError
from evop.files.json_file import whole


def read_yaml(path: Path) -> Any:
    """Read the content of a YAML file.

    Raises:
        EvopError: the file is missing, is not YAML, or holds a key twice in one place (YAML would drop the first).
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except FileNotFoundError as error:
        raise EvopError(f"{path}: no such file; expected a recipe in YAML") from error
    except UnicodeDecodeError as error:
        raise EvopError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # such as a date without such a day
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else f"{path}"
        raise EvopError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    _refuse_twice(path, tree)
    return content


def write_yaml(path: Path, content: dict[str, Any], comment: str) -> None:
    """Write a YAML file under a line of comment, whole or not at all; keys keep their order."""
    with whole(path) as temporary:
        written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
        temporary.write_text(f"# {comment}\n{written}", encoding="utf-8")


def _refuse_twice(path: Path, tree: yaml.Node | None) -> None:
    """Check that no key stands twice in one mapping, at any depth.

    Raises:
        EvopError: a key does.
    """
    waiting, seen = [tree], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:  # an alias leads to a node once more, perhaps to one it lies in
            continue
        seen.add(id(node))
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
