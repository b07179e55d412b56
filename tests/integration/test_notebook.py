"""The notebook's cells run, one after the other, in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "first_pruning.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in cells)
    script = "\n".join("".join(cell["source"]) for cell in cells)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first_pruning" / "pruned" / "model.safetensors").is_file()
