"""With a model and files that lie on this machine, no command opens a connection, whatever the environment says."""

import os
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from sets import DOMAINS

from evop.reference import corpus_files, model_dir

CLOSED = textwrap.dedent(
    """
    import socket
    import sys

    LOCAL = (socket.AF_UNIX,)


    def closed(event, words):
        if event == "socket.getaddrinfo" or (event == "socket.connect" and words[0].family not in LOCAL):
            with open({tried!r}, "a") as file:
                file.write(f"{{event}} {{words}}\\\\n")
            raise OSError(101, "Network is unreachable")


    sys.addaudithook(closed)
    """
).replace("\\\\n", "\\n")
"""What every process runs first: a look-up or a connection is written down and fails."""
STAGES = textwrap.dedent(
    """
    import sys
    from evop.cli import main

    for line in {lines!r}:
        sys.argv = ["evop", *line]
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
    """
)


@pytest.fixture
def environment(tmp_path):
    """The environment of a person who set nothing: no switch of the hub's is on."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOSED.format(tried=str(tmp_path / "tried")))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths), "HF_HOME": str(tmp_path / "hub")}


def test_the_guard_sees_a_connection(tmp_path, environment):
    code = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode
    assert "127.0.0.1" in (tmp_path / "tried").read_text()


def nobody_is_called(lines, tmp_path, environment):
    """Run commands one after the other in one process, and see that none looked for anybody."""
    code = STAGES.format(lines=[line.split() for line in lines])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert not done.returncode, done.stderr[-2000:]
    assert not (tmp_path / "tried").exists(), (tmp_path / "tried").read_text()


MODEL = f"--model {model_dir()}"
SMALL = "--passages 4 --limit 60 --passage-chars 300 --select-passages 2 --audit-passages 2 --min-group-tokens 32"
SHORT = "--max-tokens 32 --min-group-tokens 20 --dtype float32 --device cpu"


def test_local_files_and_a_local_model_call_nobody(tmp_path, environment):
    texts = pd.read_parquet(corpus_files()[DOMAINS[0]])["text"][:48].to_frame()
    texts[:12].to_parquet(tmp_path / "a.parquet")
    texts[12:24].to_csv(tmp_path / "b.csv", index=False)
    texts[24:36].to_json(tmp_path / "c.jsonl", orient="records", lines=True)
    (tmp_path / "d.txt").write_text("\n<|endoftext|>\n".join(texts["text"][36:]))
    domains = " ".join(f"--domain {name[0]}={name}" for name in ("a.parquet", "b.csv", "c.jsonl", "d.txt"))
    lines = [
        f"calibrate {domains} {SMALL} --clusters 1 --hold-out 0 --embedder lexical --out set",
        f"show set --text {MODEL}",
        f"search {MODEL} --calibration set {SHORT} --strategy random --evaluations 2 --out run",
        f"prune {MODEL} --pattern run --out pruned",
        f"prune {MODEL} --pattern drop.txt --out hetero",
    ]
    (tmp_path / "drop.txt").write_text("attn\n" + "none\n" * 11)
    nobody_is_called(lines, tmp_path, environment)
    assert "auto_map" in (tmp_path / "hetero" / "config.json").read_text()
    assert not (tmp_path / "hub" / "modules").exists()  # what it brings along is not kept after the check


@pytest.mark.slow
def test_no_stage_calls_anybody(tmp_path, environment):
    domains = " ".join(f"--domain {name}={corpus_files()[name]}" for name in DOMAINS)
    on = f"{MODEL} --calibration set"
    lines = [
        f"calibrate {domains} {SMALL} --clusters 2 --group-by document --train-tokens 4000 --out set",
        f"search {on} {SHORT} --strategy random --evaluations 2 --out run",
        f"metric {on} {SHORT} --evaluations 2 --out metric",
        f"refit {on} --pattern run --out refitted",
        f"audit {on} --pattern run --dtype float32 --random-patterns 1 --out audit",
        f"prune {MODEL} --pattern run --audit audit --out pruned",
        f"heal {on} --pattern run --tokens 2000 --max-tokens 32 --min-group-tokens 20 --out healed",
        f"speed {MODEL} --pruned pruned --batch 1 --context 32 --decode 4 --out speed.json",
        "compare run",
    ]
    nobody_is_called(lines, tmp_path, environment)
