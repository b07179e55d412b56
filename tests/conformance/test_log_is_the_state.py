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

OPTIONS = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32"}
THIN = {"grain": "mixed", "deploy": "any", "max_tokens": 16, "min_group_tokens": 10}
"""Units leave; short passages, so that a pattern takes milliseconds."""
EVALUATIONS = 60
"""Of a search that is killed on its way."""


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


def run(calibration, out, model=None, **options):
    return search(model or model_dir(), calibration, out, **{**OPTIONS, **options})


def process(calibration, out):
    """The search of so many evaluations as a command in a process of its own."""
    options = {**OPTIONS, "model": model_dir(), "calibration": calibration, "out": out, "evaluations": EVALUATIONS}
    words = [str(word) for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "evop", "search", *words]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_lines(path, lines, running):
    while running.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > lines:
            return
        time.sleep(0.01)


def test_a_killed_search_goes_on_and_writes_the_same_bytes(calibration, tmp_path):
    run(calibration, tmp_path / "whole", evaluations=EVALUATIONS)
    killed = tmp_path / "killed"
    for lines in (1, 9):
        running = process(calibration, killed)
        wait_for_lines(killed / "trials.jsonl", lines, running)
        running.kill()
        running.communicate()
        assert running.returncode == -signal.SIGKILL
    assert not (killed / "pattern.json").exists()
    run(calibration, killed, evaluations=EVALUATIONS)
    for name in ("trials.jsonl", "pattern.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_answers_with_the_best_so_far_and_the_run_goes_on(calibration, tmp_path):
    out = tmp_path / "run"
    running = process(calibration, out)
    wait_for_lines(out / "trials.jsonl", 9, running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate()
    assert running.returncode == 130, output
    account = json.loads((out / "search.json").read_text())
    assert account["stopped"] == "interrupted"
    assert account["evaluations"] < EVALUATIONS
    assert "removed:" in output
    found = run(calibration, out, evaluations=EVALUATIONS)
    assert found.account.stopped == "evaluations"
    assert found.account.evaluations == EVALUATIONS


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_longer_search_extends_a_shorter_one(calibration, tiny_folder, tmp_path, strategy):
    options = {**THIN, "width_step": 8, "strategy": strategy}
    model = tiny_folder("llama")
    if strategy == "darwin":  # it needs text to train on
        calibration = small_set(train_tokens=200)
    run(calibration, tmp_path / "parts", model, **options, evaluations=5)
    short = (tmp_path / "parts" / "trials.jsonl").read_bytes()
    run(calibration, tmp_path / "parts", model, **options, evaluations=12)
    run(calibration, tmp_path / "whole", model, **options, evaluations=12)
    long = (tmp_path / "whole" / "trials.jsonl").read_bytes()
    assert (tmp_path / "parts" / "trials.jsonl").read_bytes() == long
    assert long.startswith(short)


CUT = {
    "swap": {**THIN, "strategy": "swap", "scale": "random", "compensate": "bias", "evaluations": 100},
    "taylor": {
        **THIN,
        "strategy": "cma",
        "importance": "taylor",
        "importance_over": "worst",
        "evaluations": 12,
        "loss": "kl",
    },
    "held-out": {**THIN, "strategy": "cma", "fitness_on": "held-out", "evaluations": 12},
    "obs": {**THIN, "strategy": "cma", "compensate": "obs", "evaluations": 12},
    "obs-held-out": {**THIN, "strategy": "cma", "compensate": "obs", "fitness_on": "held-out", "evaluations": 12},
}
OBS, HELD_OUT = {"compensate": ("obs",)}, {"fitness_on": ("held-out",)}
NEEDS = {
    "trials.jsonl": {},
    "orders.npz": {},
    "orders-0.npz": HELD_OUT,
    "orders-1.npz": HELD_OUT,
    "moments.npz": OBS,
    "moments-0.npz": {**OBS, **HELD_OUT},
    "moments-1.npz": {**OBS, **HELD_OUT},
    "corrections.safetensors": {"compensate": ("bias", "obs")},
    "pattern.json": {},
}
"""What a search writes -> the options that it is written for."""


@pytest.mark.parametrize("options", CUT.values(), ids=CUT)
def test_a_search_cut_anywhere_goes_on_and_writes_the_same_bytes(calibration, tmp_path, options):
    """What a kill leaves: a ranking without a log, a log with a torn line alone, a round half written."""
    whole = tmp_path / "whole"
    run(calibration, whole, **options)
    log = (whole / "trials.jsonl").read_bytes()
    fidelities = [json.loads(line)["fidelity"] for line in log.splitlines()[1:]]
    assert len(set(fidelities)) == (2 if options["strategy"] == "swap" else 1)
    lines = log.splitlines(keepends=True)
    for name, left in {"orders": None, "torn": [lines[0], b'{"round"'], "middle": lines[:-3]}.items():
        cut = tmp_path / name
        cut.mkdir()
        for orders in (path for path in whole.iterdir() if path.suffix == ".npz"):
            (cut / orders.name).write_bytes(orders.read_bytes() if left else b"torn")
        if left:
            (cut / "trials.jsonl").write_bytes(b"".join(left))
        run(calibration, cut, **options)
        for file, needed in NEEDS.items():
            there = all(options.get(option) in values for option, values in needed.items())
            assert (cut / file).exists() == (whole / file).exists() == there
            assert not (whole / file).exists() or (cut / file).read_bytes() == (whole / file).read_bytes(), (name, file)


def test_another_ranking_is_another_search(calibration, tmp_path):
    """A run whose ranking was lost or swapped is not gone on with."""
    for seed in (0, 1):
        run(calibration, tmp_path / str(seed), **THIN, strategy="random", importance="random", seed=seed, evaluations=2)
    options = {**THIN, "strategy": "random", "importance": "random", "evaluations": 3}
    (tmp_path / "0" / "orders.npz").write_bytes((tmp_path / "1" / "orders.npz").read_bytes())
    with pytest.raises(EvopError, match="holds another search: its space is"):
        run(calibration, tmp_path / "0", **options)
    (tmp_path / "0" / "orders.npz").write_bytes(b"torn")
    with pytest.raises(EvopError, match=r"orders\.npz holds no ranking"):
        run(calibration, tmp_path / "0", **options)
    (tmp_path / "0" / "orders.npz").unlink()
    with pytest.raises(EvopError, match=r"orders\.npz holds no ranking"):
        run(calibration, tmp_path / "0", **options)


def test_other_moments_are_another_search(calibration, tmp_path):
    """A run whose moments were lost or swapped is not gone on with."""
    options = {**THIN, "strategy": "random", "compensate": "obs", "evaluations": 2}
    run(calibration, tmp_path / "run", **options)
    run(calibration, tmp_path / "other", **options, fitness_on="held-out")
    (tmp_path / "run" / "moments.npz").write_bytes((tmp_path / "other" / "moments-0.npz").read_bytes())
    with pytest.raises(EvopError, match="holds another search: its space is"):
        run(calibration, tmp_path / "run", **options)
    (tmp_path / "run" / "moments.npz").unlink()
    with pytest.raises(EvopError, match=r"moments\.npz holds no moments"):
        run(calibration, tmp_path / "run", **options)


def test_a_store_decides_nothing(calibration, tiny_folder, tmp_path):
    """Alone, with a store, with one that another search has filled: the same bytes."""
    options = {**THIN, "width_step": 8, "strategy": "swap", "evaluations": 100, "model": tiny_folder("llama")}
    store = tmp_path / "store"
    run(calibration, tmp_path / "alone", **options)
    run(calibration, tmp_path / "stored", **options, store=str(tmp_path / "own"))
    run(calibration, tmp_path / "other", **{**options, "strategy": "random", "evaluations": 12}, store=str(store))
    (file,) = store.iterdir()
    filled = len(file.read_text().splitlines())
    run(calibration, tmp_path / "shared", **options, store=str(store))
    for name in ("stored", "shared"):
        for written in ("trials.jsonl", "orders.npz", "pattern.json"):
            assert (tmp_path / name / written).read_bytes() == (tmp_path / "alone" / written).read_bytes()
    (own,) = (tmp_path / "own").iterdir()
    assert own.name == file.name
    added = len(file.read_text().splitlines()) - filled
    assert 0 < added < len(own.read_text().splitlines()) - 12  # the random patterns are the first of swap's


def test_the_header_holds_no_times_and_no_limits(calibration, tmp_path):
    run(calibration, tmp_path / "run", evaluations=3)
    header = json.loads((tmp_path / "run" / "trials.jsonl").read_text().splitlines()[0])
    assert not {"evaluations", "tokens", "minutes", "seconds", "device", "batch_size"} & set(header)
    assert header["dtype"] == "float32"
    assert json.loads((tmp_path / "run" / "timings.jsonl").read_text().splitlines()[0]).keys() == {
        "round",
        "patterns",
        "seconds",
        "at",
    }


def test_a_foreign_folder_is_left_alone(calibration, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(EvopError, match="is not empty and holds no search"):
        run(calibration, tmp_path, evaluations=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]
