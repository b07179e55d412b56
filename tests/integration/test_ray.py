"""Rounds spread over a real Ray on this machine: the same bytes as in one process, whoever is killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sets import small_set

from evop.errors import EvopError
from evop.reference import model_dir
from evop.stages.search import search

ray = pytest.importorskip("ray", reason="Ray is not installed; pip install 'evop[ray]'")

PLAIN = {"max_tokens": 32, "min_group_tokens": 20, "device": "cpu", "dtype": "float32"}
ROUNDS = {**PLAIN, "strategy": "greedy", "evaluations": 40}
"""Two rounds, and each is logged in parts; what it answers was completed."""
THIN = {
    **{**PLAIN, "max_tokens": 16, "min_group_tokens": 10},
    **{"grain": "mixed", "deploy": "any", "strategy": "swap", "evaluations": 100},
    **{"scale": "random", "compensate": "bias"},
}
"""Units leave, patterns are cut and gone on with, at two fidelities."""
RAY = {"engine": "ray", "workers": 2}
WRITTEN = ("trials.jsonl", "pattern.json")


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


@pytest.fixture(scope="module")
def serial(calibration, tmp_path_factory):
    """The folder of the serial search that the others are held against."""
    return run(calibration, tmp_path_factory.mktemp("serial") / "run", **ROUNDS)


@pytest.fixture(scope="module")
def cluster():
    """A Ray that runs already, which a search joins; workers take seconds to start."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def run(calibration, out, model=None, **options):
    search(model or model_dir(), calibration, out, **options)
    return out


def same(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in WRITTEN)


def descendants(root):
    """Processes that come from one, with their titles."""
    parents, titles = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(place.name)] = (place / "cmdline").read_bytes().decode().replace("\0", " ").strip()
        except OSError:  # it has ended meanwhile
            continue
    found, new = set(), {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new} - found
        found |= new
    return {pid: titles[pid] for pid in found if pid in titles}


def lines(out):
    return (out / "trials.jsonl").read_bytes().count(b"\n") if (out / "trials.jsonl").exists() else 0


def test_two_workers_write_the_bytes_of_one_process(cluster, calibration, tmp_path):
    store = tmp_path / "store"
    alone = run(calibration, tmp_path / "alone", **THIN)
    assert same(alone, run(calibration, tmp_path / "run", **THIN, **RAY, store=str(store)))
    trials = [json.loads(line) for line in (alone / "trials.jsonl").read_text().splitlines()[1:]]
    assert len({trial["fidelity"] for trial in trials}) == 2
    (file,) = store.iterdir()
    before = file.read_bytes()
    assert same(alone, run(calibration, tmp_path / "again", **THIN, store=str(store)))
    assert file.read_bytes() == before  # one process finds everything that two workers found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker in /proc")
def test_a_killed_worker_is_replaced(cluster, calibration, serial, tmp_path):
    out, killed, said = tmp_path / "run", [], []

    def kill():
        while not killed and not (out / "pattern.json").exists():
            busy = [pid for pid, title in descendants(os.getpid()).items() if title.startswith("ray::Worker.measure")]
            if busy and lines(out) > 1:
                os.kill(busy[0], signal.SIGKILL)
                killed.append(busy[0])
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    search(model_dir(), calibration, out, report=said.append, **ROUNDS, **RAY)
    killer.join()
    assert killed
    assert not Path("/proc", str(killed[0])).exists()
    assert len([line for line in said if line.startswith("a worker was lost (")]) == 1
    assert same(serial, out)


@pytest.mark.slow
def test_a_killed_driver_goes_on_with_any_engine(cluster, calibration, serial, tmp_path):
    """The driver starts a Ray of its own, which goes with it."""
    out = tmp_path / "run"
    options = {**ROUNDS, **RAY, "calibration": calibration, "model": model_dir(), "out": out}
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "evop", "search", *words]
    driver = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while driver.poll() is None and lines(out) < 2:
        time.sleep(0.01)
    its = {
        pid: title for pid, title in descendants(driver.pid).items() if "ray::Worker" in title or "/raylet " in title
    }
    driver.kill()
    output, _ = driver.communicate()
    assert driver.returncode == -signal.SIGKILL, output
    assert len(its) == 3 or not Path("/proc").is_dir()
    assert not (out / "pattern.json").exists()
    shutil.copytree(out, tmp_path / "copy")
    assert same(serial, run(calibration, out, **ROUNDS))
    assert same(serial, run(calibration, tmp_path / "copy", **ROUNDS, **RAY))
    assert not [title for pid, title in its.items() if Path("/proc", str(pid)).exists()]


def test_what_a_worker_refuses_is_one_line(cluster, calibration, tmp_path):
    """Such as a model whose folder is not where the worker is."""
    model = shutil.copytree(model_dir(), tmp_path / "model")

    def watch(progress):
        if progress.stage == "dense":  # the driver has loaded it
            (model / "model.safetensors").rename(tmp_path / "model.safetensors")

    with pytest.raises(EvopError, match=r"holds no weights; expected \*\.safetensors beside config\.json$") as refused:
        search(model, calibration, tmp_path / "run", watch=watch, **ROUNDS, **RAY)
    assert "\n" not in str(refused.value)


def test_more_workers_than_there_is_room_for_are_refused(cluster, calibration, tmp_path):
    with pytest.raises(EvopError, match=r"^--workers 3: each takes 1 CPU, and Ray has 2 CPU; give fewer$"):
        run(calibration, tmp_path / "run", **ROUNDS, engine="ray", workers=3)


def test_a_ray_that_does_not_answer_is_one_line(calibration, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for there in (address, "nowhere", "127.0.0.1:99999"):
        monkeypatch.setenv("RAY_ADDRESS", there)
        with pytest.raises(EvopError, match=rf"^--engine ray: RAY_ADDRESS={there}: no Ray .* unset RAY_ADDRESS$"):
            run(calibration, tmp_path / "run", **ROUNDS, **RAY)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--engine", "ray"], "--engine ray: Ray is not installed; pip install 'evop[ray]', or use --engine serial"),
        (["--workers", "2"], "--workers 2: the serial engine has none; give --engine ray too, or leave it out"),
    ],
)
def test_without_ray_it_is_said_what_to_install(calibration, tmp_path, words, says):
    blocked = "import sys; sys.modules['ray'] = None; from evop.cli import main; main()"
    place = ["--model", str(model_dir()), "--calibration", str(calibration), "--out", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-c", blocked, "search", *place, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"evop: {says}\n")
