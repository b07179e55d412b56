"""The notebooks' cells run, one after the other, each notebook in a fresh process."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LEAVES = {
    "calibration_set": (),
    "who_suffers": ("who_suffers/worst/pattern.json", "who_suffers/mean/pattern.json"),
    "smallest_model": ("smallest_model/run/frontier.html", "smallest_model/pruned/model.safetensors"),
    "two_patterns": ("two_patterns/audit/report.html", "two_patterns/pruned/model.safetensors"),
}
"""What is there afterwards."""


def test_every_notebook_is_run():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(LEAVES)


SHORTER = {
    r"(limit=)\d+": 200,
    r"(\bpassages=)\d+": 6,
    r"(\baudit_passages=)\d+": 4,
    r"(\baudit_items=)\d+": 8,
    r"(\bevaluations=)\d+": 6,
}
"""What a number in a notebook becomes where all that is asked is whether its cells run."""
SHORT_CLOCK = "import evop.timing.speed\nevop.timing.speed.ROUNDS = (2, 2)\n"


@pytest.mark.parametrize("length", ["short", pytest.param("as written", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LEAVES)
def test_the_notebook_runs(name, length, tmp_path):
    content = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)
    script = "\n".join("".join(cell["source"]) for cell in cells)
    if length == "short":
        for number, shorter in SHORTER.items():
            script = re.sub(number, rf"\g<1>{shorter}", script)
        script = SHORT_CLOCK + script
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert done.returncode == 0, done.stderr
    assert all((tmp_path / place).is_file() for place in LEAVES[name])
