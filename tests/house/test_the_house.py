"""The shape of the project: directions of imports, sizes, honest exports, light imports, one word an error."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import calibration
import evop
import patterns

ROOT = Path(evop.__file__).resolve().parent.parent
ROOMS = ("calibration", "patterns", "evop")
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
HEAVY = ("torch", "transformers", "sklearn", "datasets", "pandas", "matplotlib", "cma", "sentence_transformers", "ray")


def imported(path: Path) -> set[str]:
    """Top-level packages a file imports, inside functions as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_up_only(path):
    room = path.relative_to(ROOT).parts[0]
    forbidden = {"calibration": {"patterns", "evop"}, "patterns": {"calibration", "evop", "torch"}}
    assert not imported(path) & forbidden.get(room, set())
    text = path.read_text()
    if path.parent.name != "cli" and path.name != "__main__.py":
        assert "evop.cli" not in text or "import" not in text.split("evop.cli")[0].rsplit("\n", 1)[-1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 300
    assert ast.get_docstring(tree) or path.stat().st_size == 0
    assert path.stem not in ("utils", "helpers", "common", "misc")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - (body[0].lineno if body else node.lineno) + 1
            assert lines <= 45, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_have_docstrings(path):
    def check(body, where):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{where}{node.name} has no docstring"
                if isinstance(node, ast.ClassDef):
                    check(node.body, f"{node.name}.")

    check(ast.parse(path.read_text()).body, "")


@pytest.mark.parametrize("room", [calibration, patterns, evop])
def test_all_is_honest(room):
    assert sorted(room.__all__) == sorted(set(room.__all__))
    for name in room.__all__:
        assert getattr(room, name) is not None


def test_every_module_can_be_imported():
    for room in (calibration, patterns, evop):
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(m.split('.')[0] for m in sys.modules))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(output.split()) & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    ["import evop", "import calibration", "import evop.cli", "import evop.reference", "import evop.importance"],
)
def test_importing_is_light(code):
    assert not loaded_by(code)


def test_the_light_import_test_can_fail():
    assert "torch" in loaded_by("import torch")


def test_another_calibration_package_is_told_apart(tmp_path):
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "__init__.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.path.append({str(ROOT)!r}); import evop"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0
    assert "another distribution of that name shadows evop's" in done.stderr


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by name, and refuses the second where folders are no packages."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) > 100
    assert not {name for name in names if names.count(name) > 1}
