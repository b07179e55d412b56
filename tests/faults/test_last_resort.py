"""What nobody foresaw is one line too, and says how to see more."""

import sys

import pytest

from evop.cli import main
from evop.errors import EvopError


def ended(capsys, monkeypatch, raised, *more):
    """The exit code and the line of a command in which something is raised."""

    def raising(*_):
        raise raised

    monkeypatch.setattr("calibration.CalibrationSet.load", raising)
    monkeypatch.setattr(sys, "argv", ["evop", *more, "show", "nowhere"])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize("raised", [KeyError("x"), RecursionError("deep\nvery"), MemoryError(), EOFError("no more")])
def test_a_fault_of_its_own_is_one_line(capsys, monkeypatch, raised):
    code, line = ended(capsys, monkeypatch, raised)
    assert (code, line.count("\n")) == (2, 1)
    assert line.startswith("evop: internal: ")
    assert "evop --debug shows where" in line


def test_what_a_person_can_mend_is_no_fault_of_its_own(capsys, monkeypatch):
    assert ended(capsys, monkeypatch, EvopError("x" * 5000)) == (2, f"evop: {'x' * 1000}…\n")
    assert ended(capsys, monkeypatch, OSError("no such folder")) == (2, "evop: no such folder\n")
    with pytest.raises(KeyError):
        ended(capsys, monkeypatch, KeyError("x"), "--debug")
