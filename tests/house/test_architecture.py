"""The page on the architecture says what the code is: its rooms, its names, its imports."""

import ast
import re
from itertools import pairwise

import pytest
from plan_of_the_house import FLOORS, ROOT, between, room_of

PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOM = re.compile(r"^\| (\d+) \| `([\w/.]+)` \|", re.MULTILINE)
FLOOR_LINE = re.compile(r"^ ?(\d+)   (\S.*)$", re.MULTILINE)
STEP = re.compile(r"^(\d+)\. `([\w/]+\.py): ([\w.]+)`", re.MULTILINE)


def module_of(path):
    """The module of a file or a folder, as the page names it."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def rooms(page):
    """The rooms of the page's table with their floors."""
    return {(int(floor), module_of(path)) for floor, path in ROOM.findall(page)}


def drawing(page):
    """The rooms of the page's drawing with their floors, by the last word of their names."""
    return {
        (int(floor), name.split()[0]) for floor, line in FLOOR_LINE.findall(page) for name in re.split(r"\s{2,}", line)
    }


def ways(page):
    """The title of each way, and its steps: number, path, name."""
    sections = page.split("\n### ")[1:]
    return {section.split("\n", 1)[0]: STEP.findall(section) for section in sections}


def defined(path):
    """The names that a file defines: functions, classes, values, and what stands in its classes."""
    return set(_names(ast.parse((ROOT / path).read_text()).body, ""))


def _names(body, owner):
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign):
            yield from (f"{owner}{target.id}" for target in node.targets if isinstance(target, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"{owner}{node.target.id}"


def missing(steps):
    """Steps of a way whose file is not there, or does not define the name."""
    return [step for step in steps if not (ROOT / step[1]).is_file() or step[2] not in defined(step[1])]


def unconnected(steps):
    """Steps that follow each other in rooms that do not import one another."""
    stays = [room_of(module_of(path)) for _, path, _ in steps]
    arrows = between(room_of)
    return [(a, b) for a, b in pairwise(stays) if a != b and not {(a, b), (b, a)} & arrows]


def test_the_table_has_every_room_on_its_floor():
    assert rooms(PAGE) == {(floor, room) for floor, names in enumerate(FLOORS, 1) for room in names}
    assert len(ROOM.findall(PAGE)) == sum(map(len, FLOORS))


def test_the_drawing_has_every_room_on_its_floor():
    assert drawing(PAGE) == {(floor, room.split(".")[-1]) for floor, names in enumerate(FLOORS, 1) for room in names}


def test_there_are_three_ways_and_their_steps_are_counted():
    assert len(ways(PAGE)) == 3
    for title, steps in ways(PAGE).items():
        numbered = re.findall(r"^\d+\. ", PAGE.split(f"\n### {title}")[1].split("\n### ")[0], re.MULTILINE)
        assert [int(number) for number, _, _ in steps] == list(range(1, len(numbered) + 1)), title


@pytest.mark.parametrize("title", ways(PAGE))
def test_every_step_is_in_the_code(title):
    assert not missing(ways(PAGE)[title])


@pytest.mark.parametrize("title", ways(PAGE))
def test_steps_that_follow_each_other_lie_in_rooms_that_import_each_other(title):
    assert not unconnected(ways(PAGE)[title])


def test_the_test_sees_what_is_wrong():
    """A room that is not there, a floor that is another, a name that nobody defines, two rooms that do not meet."""
    right = rooms(PAGE)
    assert rooms("| 3 | `evop/losses` | x |\n| 10 | `evop/__init__.py` | x |") == {(3, "evop.losses"), (10, "evop")}
    assert rooms(PAGE.replace("| 3 | `evop/losses`", "| 4 | `evop/losses`")) != right
    assert rooms(PAGE.replace("| 3 | `evop/losses`", "| 3 | `evop/meters`")) != right
    assert drawing(PAGE.replace(" 8   report", " 8   reports")) != drawing(PAGE)
    assert missing([("1", "evop/stages/audit.py", "listen"), ("2", "evop/stages/nowhere.py", "audit")]) == [
        ("1", "evop/stages/audit.py", "listen"),
        ("2", "evop/stages/nowhere.py", "audit"),
    ]
    assert missing([("1", "patterns/trials.py", "Log.forget"), ("2", "patterns/trials.py", "Log.append")]) == [
        ("1", "patterns/trials.py", "Log.forget")
    ]
    steps = [("1", "calibration/build.py", "x"), ("2", "patterns/search.py", "y"), ("3", "evop/fitness/sample.py", "z")]
    assert unconnected(steps) == [("calibration", "patterns")]
