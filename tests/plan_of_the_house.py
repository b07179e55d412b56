"""The plan of the house: the rooms in order, and what is drawn from the code's own imports to hold against it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import evop

ROOT = Path(evop.__file__).resolve().parent.parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("evop.errors", "evop.version", "calibration", "patterns"),
    ("evop.files", "evop.tokens", "evop.model"),
    ("evop.losses", "evop.metrics", "evop.removal"),
    ("evop.evaluator", "evop.export", "evop.recipes", "evop.reference"),
    ("evop.fitness", "evop.importance", "evop.hf"),
    ("evop.engines", "evop.timing", "evop.recovery"),
    ("evop.auditing", "evop.searching"),
    ("evop.report",),
    ("evop.stages",),
    ("evop", "evop.console"),
    ("evop.cli",),
    ("evop.__main__",),
)
"""The rooms, lowest floor first. A room imports from lower floors only, and rooms of one floor not from each other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}
PACKAGES = ("calibration", "patterns", "evop")
LONGEST_FILE = 250
"""Lines of a file at most."""
LONGEST_FUNCTION = 45
"""Lines of a function at most, its docstring included, its signature not."""
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
"""Module -> its file."""


def room_of(module: str) -> str:
    """The room that a module lies in: the longest name of a room that it begins with."""
    if module in ("evop",) or module in FLOOR:
        return module
    return max((room for room in FLOOR if room != "evop" and module.startswith(f"{room}.")), key=len, default=module)


def folder_of(module: str) -> str:
    """The folder that a module lies in."""
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]


@cache
def imports(module: str) -> frozenset[str]:
    """Modules of the house that one imports, inside functions and for types as well."""
    return frozenset(found for found in imported(FILES[module].read_text(), FILES) if found != module)


def imported(code: str, modules: Iterable[str]) -> set[str]:
    """Which of some modules a piece of code imports: the longest name that is a module."""
    known, found = set(modules), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known if inner & known else {node.module}
    return found


def arrows(of: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Who imports whom, as pairs."""
    return {(a, b) for a, others in of.items() for b in others if a != b}


def between(place: object) -> set[tuple[str, str]]:
    """The arrows between rooms or folders: ``place`` says where a module lies."""
    return {(place(a), place(b)) for a in FILES for b in imports(a) if place(a) != place(b)}  # type: ignore[operator]


def inside_folders() -> set[tuple[str, str]]:
    """The arrows between what lies side by side in one folder: its files, and its inner folders as a whole."""
    found = set()
    for a in FILES:
        for b in imports(a):
            one, other = (module.split(".") + ["__init__"] * (FILES[module].name == "__init__.py") for module in (a, b))
            shared = next(i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
            found.add((".".join(one[: shared + 1]), ".".join(other[: shared + 1])))
    return found


def circles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Groups of names that reach each other along the arrows."""
    follows: dict[str, set[str]] = {}
    for a, b in pairs:
        follows.setdefault(a, set()).add(b)
        follows.setdefault(b, set())
    reach = {name: _reached(name, follows) for name in follows}
    groups = {tuple(sorted({b for b in reach[a] if a in reach[b]})) for a in follows}
    return sorted(list(group) for group in groups if group)


def _reached(start: str, follows: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(follows[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += follows[name]
    return seen


def figures() -> dict[str, int]:
    """Count what the plan bounds; "up" are the imports that do not run to a lower floor."""
    every = [lines_of(function) for path in FILES.values() for function in functions(path)]
    return {
        "rooms": len(FLOOR),
        "floors": len(FLOORS),
        "arrows": len(between(room_of)),
        "up": sum(FLOOR[a] <= FLOOR[b] for a, b in between(room_of)),
        "circles": len(circles(arrows({module: imports(module) for module in FILES})) + circles(inside_folders())),
        "lines of the longest file": max(len(path.read_text().splitlines()) for path in FILES.values()),
        "lines of the longest function": max(every),
    }


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from the first of its docstring, or of its body, to its last."""
    return (function.end_lineno or 0) - function.body[0].lineno + 1


def functions(path: Path) -> list[ast.FunctionDef]:
    """Every function of a file, inner ones as well."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
