"""Law 3: a search killed anywhere and run again writes the same bytes as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.reference import model_dir
from evop.stages.search import search
from patterns import STRATEGIES

OPTIONS = {"max_tokens": 96, "min_group_tokens": 50, "device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


def run(calibration, out, **options):
    return search(model_dir(), calibration, out, **{**OPTIONS, **options})


def command(calibration, out, *more):
    return [
        sys.executable,
        "-m",
        "evop",
        "search",
        "--model",
        str(model_dir()),
        "--calibration",
        str(calibration),
        "--out",
        str(out),
        "--max-tokens",
        "96",
        "--min-group-tokens",
        "50",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--evaluations",
        "30",
        *more,
    ]


def process(arguments):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_lines(path, lines, running):
    while running.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > lines:
            return
        time.sleep(0.01)


def test_a_killed_search_goes_on_and_writes_the_same_bytes(calibration, tmp_path):
    whole = process(command(calibration, tmp_path / "whole"))
    output, _ = whole.communicate()
    assert whole.returncode == 0, output
    killed = tmp_path / "killed"
    for lines in (1, 9):
        running = process(command(calibration, killed))
        wait_for_lines(killed / "trials.jsonl", lines, running)
        running.kill()
        running.communicate()
        assert running.returncode == -signal.SIGKILL
    assert not (killed / "pattern.json").exists()
    again = process(command(calibration, killed))
    output, _ = again.communicate()
    assert again.returncode == 0, output
    for name in ("trials.jsonl", "pattern.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_answers_with_the_best_so_far_and_the_run_goes_on(calibration, tmp_path):
    out = tmp_path / "run"
    running = process(command(calibration, out))
    wait_for_lines(out / "trials.jsonl", 9, running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate()
    assert running.returncode == 0, output
    account = json.loads((out / "search.json").read_text())
    assert account["stopped"] == "interrupted"
    assert account["evaluations"] < 30
    assert "removed:" in output
    found = run(calibration, out, evaluations=30)
    assert found.account.stopped == "evaluations"
    assert found.account.evaluations == 30


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_longer_search_extends_a_shorter_one(calibration, tmp_path, strategy):
    run(calibration, tmp_path / "parts", strategy=strategy, evaluations=5)
    short = (tmp_path / "parts" / "trials.jsonl").read_bytes()
    run(calibration, tmp_path / "parts", strategy=strategy, evaluations=12)
    run(calibration, tmp_path / "whole", strategy=strategy, evaluations=12)
    long = (tmp_path / "whole" / "trials.jsonl").read_bytes()
    assert (tmp_path / "parts" / "trials.jsonl").read_bytes() == long
    assert long.startswith(short)


def test_stop_and_batch_size_are_not_identity_but_everything_else_is(calibration, tmp_path):
    out = tmp_path / "run"
    run(calibration, out, evaluations=4)
    run(calibration, out, evaluations=5, batch_size=3)
    run(calibration, out, tokens=200_000, evaluations=6)
    for change in (
        {"remove": 0.3},
        {"seed": 1},
        {"strategy": "random"},
        {"objective": "mean"},
        {"deploy": "any"},
        {"protect": ("layers.3.mlp",)},
        {"max_tokens": 64},
        {"grain": "layer"},
        {"cost": "flops"},
    ):
        with pytest.raises(EvopError, match=r"holds another search: its \w+ is"):
            run(calibration, out, evaluations=6, **change)
    other = tmp_path / "other"
    small_set(seed=1).save(other)
    with pytest.raises(EvopError, match="holds another search: its calibration is"):
        run(other, out, evaluations=6)


def test_the_header_holds_no_times_and_no_limits(calibration, tmp_path):
    run(calibration, tmp_path / "run", evaluations=3)
    header = json.loads((tmp_path / "run" / "trials.jsonl").read_text().splitlines()[0])
    assert not {"evaluations", "tokens", "minutes", "seconds", "device", "batch_size"} & set(header)
    assert header["dtype"] == "float32"
    assert json.loads((tmp_path / "run" / "timings.jsonl").read_text().splitlines()[0]).keys() == {"trial", "seconds"}


def test_a_foreign_folder_is_left_alone(calibration, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(EvopError, match="is not empty and holds no search"):
        run(calibration, tmp_path, evaluations=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]
