"""Lines of JSON that carry a checksum, so that one that was changed is not taken for what was written."""

from __future__ import annotations

from hashlib import sha256

MARK = b', "checksum": "'
"""Stands between what a line says and its checksum."""
LENGTH = 16
"""Hexadecimal digits of a checksum: nobody forges a line here, but a disk or a hand may change one."""
END = b'"}'


def with_checksum(line: str, before: str = "") -> str:
    """Add the checksum of a line of JSON as its last key.

    Args:
        line: a JSON object on one line, not empty.
        before: the checksum of the line before it, where lines belong to each other in their order.
    """
    body = line.encode().removesuffix(b"}")
    return (body + MARK).decode() + _sum(body, before) + END.decode()


def without_checksum(line: bytes, before: str = "") -> tuple[bytes, str]:
    """Check a line, and take its checksum off.

    Args:
        line: the line as it was read, without its end.
        before: the checksum of the line before it, as it was written.

    Returns:
        The line as it was before it got its checksum, and the checksum.

    Raises:
        ValueError: the line has none, or was changed since; or another line stood before it.
    """
    body, mark, rest = line.rpartition(MARK)
    found = rest.removesuffix(END).decode(errors="replace")
    if not mark or rest != found.encode() + END or found != _sum(body, before):
        raise ValueError("its checksum is wrong")
    return body + b"}", found


def _sum(body: bytes, before: str) -> str:
    return sha256(before.encode() + body).hexdigest()[:LENGTH]
