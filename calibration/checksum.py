"""The checksum of what a JSON file says, which stands in the file itself, so that no digit is changed unseen."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
"""The last key of a file: the checksum of all others."""


def with_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add the checksum of some content as its last key."""
    return {**content, CHECKSUM: checksum(content)}


def is_unchanged(content: Mapping[str, Any]) -> bool:
    """Tell whether content that was read has the checksum that stands in it."""
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    return content.get(CHECKSUM) == checksum(rest)


def checksum(content: Mapping[str, Any]) -> str:
    """Hash what JSON says, however it is laid out: sha256 of its keys in order, in hexadecimal."""
    said = json.loads(json.dumps(content))  # as it is read back: keys are words, tuples are lists
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
