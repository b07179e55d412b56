"""The plan of the house: rooms in floors, imports that run down only, no circles, nothing too long."""

import pytest
from plan_of_the_house import (
    FILES,
    FLOOR,
    FLOORS,
    LONGEST_FILE,
    LONGEST_FUNCTION,
    ROOT,
    arrows,
    circles,
    figures,
    functions,
    imported,
    imports,
    inside_folders,
    lines_of,
    room_of,
)

MOST_ROOMS, MOST_FLOORS, MOST_FILES_AT_THE_TOP = 28, 12, 5


def up(rooms_of_arrows):
    """The arrows that do not run to a lower floor."""
    return sorted((a, b) for a, b in rooms_of_arrows if FLOOR[b] >= FLOOR[a])


def test_every_module_lies_in_a_room():
    assert not [module for module in FILES if room_of(module) not in FLOOR]
    assert {room_of(module) for module in FILES} == set(FLOOR)


def test_there_are_few_rooms_and_few_floors(record_property):
    """Its figures are printed when all tests are done."""
    record_property("house", figures())
    top = sorted(path.name for path in (ROOT / "evop").glob("*.py"))
    assert len(FLOOR) <= MOST_ROOMS
    assert len(FLOORS) <= MOST_FLOORS
    assert len(top) <= MOST_FILES_AT_THE_TOP, top


@pytest.mark.parametrize("module", FILES)
def test_imports_run_down(module):
    pairs = {(room_of(module), room_of(other)) for other in imports(module)}
    assert not up((a, b) for a, b in pairs if a != b)


def test_no_file_imports_itself_in_a_circle():
    assert circles(arrows({module: imports(module) for module in FILES})) == []


def test_no_folder_imports_itself_in_a_circle():
    assert circles(inside_folders()) == []


@pytest.mark.parametrize("module", FILES)
def test_files_and_functions_are_short(module):
    assert len(FILES[module].read_text().splitlines()) <= LONGEST_FILE
    long = {f.name: lines_of(f) for f in functions(FILES[module]) if lines_of(f) > LONGEST_FUNCTION}
    assert not long


def test_the_test_sees_what_it_forbids(tmp_path):
    """An import against the order, inside a function too; a circle; a long function."""
    lazy = "def late():\n    from evop.stages import audit\n"
    assert imported(lazy, FILES) == {"evop.stages.audit"}
    assert up({("evop.auditing", "evop.stages"), ("evop.stages", "evop.auditing")}) == [
        ("evop.auditing", "evop.stages")
    ]
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == [["a", "b", "c"]]
    (tmp_path / "long.py").write_text("def long():\n" + "    pass\n" * (LONGEST_FUNCTION + 1))
    assert [lines_of(f) for f in functions(tmp_path / "long.py")] == [LONGEST_FUNCTION + 1]
