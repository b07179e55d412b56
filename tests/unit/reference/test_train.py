"""Training: it learns, it can be killed and resumed, and what it writes loads."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from evop.reference.making.checkpoint import CheckpointError
from evop.reference.making.text import encode, read_documents, take, train_tokenizer
from evop.reference.making.train import main
from evop.reference.making.training import Shape, Training, TrainingError, TrainingRecipe, TrainingStep, run

SHAPE = Shape(layers=2, hidden=32, heads=4, kv_heads=2, mlp=48, vocabulary=300, positions=64)
RECIPE = TrainingRecipe(SHAPE, batch=4, length=32)
SIZES = {**vars(SHAPE), "batch": RECIPE.batch, "length": RECIPE.length}
OPTIONS = [part for name, size in SIZES.items() for part in (f"--{name.replace('_', '-')}", str(size))]
OPTIONS += ["--device", "cpu"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> dict[str, Path]:
    """Two tiny domains, one of them compressed."""
    import lzma

    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    sentences = {"sea": "the ship sails over a grey wave", "law": "no person shall enter the premises"}
    files = {}
    for domain, sentence in sentences.items():
        documents = [" ".join(rng.choices(sentence.split(), k=60)) for _ in range(30)]
        text = "\n<|endoftext|>\n".join(documents)
        files[domain] = folder / (f"{domain}.txt.xz" if domain == "law" else f"{domain}.txt")
        files[domain].write_bytes(lzma.compress(text.encode()) if domain == "law" else text.encode())
    return files


@pytest.fixture(scope="module")
def streams(texts) -> dict[str, np.ndarray]:
    documents = {domain: read_documents(file) for domain, file in texts.items()}
    tokenizer = train_tokenizer(list(documents.values()), SHAPE.vocabulary)
    return {domain: encode(tokenizer, read) for domain, read in documents.items()}


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}


def command(texts: dict[str, Path], out: Path, *more: str) -> list[str]:
    pairs = [part for domain, file in texts.items() for part in ("--text", f"{domain}={file}")]
    held = [part for domain, file in texts.items() for part in ("--held-out", f"{domain}={file}")]
    return [*pairs, *held, "--out", str(out), *OPTIONS, *more]


def test_training_lowers_the_loss(streams, tmp_path):
    losses: list[float] = []
    training = Training(RECIPE, streams, "cpu")
    run(training, tmp_path / "c", steps=40, report=lambda progress: losses.append(progress.loss))
    assert losses[0] == pytest.approx(np.log(300), abs=0.3)
    assert np.mean(losses[-5:]) < losses[0] - 2


def test_a_run_killed_and_resumed_ends_in_the_same_weights(streams, tmp_path):
    whole = Training(RECIPE, streams, "cpu")
    run(whole, tmp_path / "whole", steps=12, save_every=5)

    def kill(progress: TrainingStep) -> None:
        if progress.step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Training(RECIPE, streams, "cpu"), tmp_path / "cut", steps=12, save_every=5, report=kill)
    seen: list[int] = []
    resumed = Training(RECIPE, streams, "cpu")
    run(resumed, tmp_path / "cut", steps=12, save_every=5, report=lambda progress: seen.append(progress.step))
    assert seen == list(range(6, 13))
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_checkpoint_of_another_run_is_refused(streams, tmp_path):
    path = tmp_path / "c"
    run(Training(RECIPE, streams, "cpu"), path, steps=1)
    with pytest.raises(CheckpointError, match="its recipe is another"):
        Training(TrainingRecipe(SHAPE, batch=4, length=32, seed=1), streams, "cpu").load(path)
    other = {domain: stream[::-1].copy() for domain, stream in streams.items()}
    with pytest.raises(CheckpointError, match="its tokens_sha256 is another"):
        Training(RECIPE, other, "cpu").load(path)
    with pytest.raises(CheckpointError, match="another shape"):
        Training(TrainingRecipe(Shape(1, 32, 4, 2, 48, 300, 64), 4, 32), streams, "cpu").load(path)
    path.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="expected a training checkpoint"):
        Training(RECIPE, streams, "cpu").load(path)


def test_no_global_random_state_is_read_or_disturbed(streams):
    def state() -> tuple[object, ...]:
        return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002

    torch.manual_seed(1)
    before = state()
    first = Training(RECIPE, streams, "cpu")
    first.advance()
    assert state() == before
    torch.manual_seed(2)
    second = Training(RECIPE, streams, "cpu")
    second.advance()
    assert all(torch.equal(tensor, weights(first)[name]) for name, tensor in weights(second).items())


def test_every_domain_has_an_equal_part(streams):
    marked = {"a": np.full(100, 1, np.uint16), "b": np.full(100, 2, np.uint16), "c": np.full(100, 3, np.uint16)}
    training = Training(RECIPE, marked, "cpu")
    counts = dict.fromkeys((1, 2, 3), 0)
    for training.step in range(3):
        for row in training.batch():
            assert row.shape == (33,)
            counts[int(row[0])] += 1
    assert counts == {1: 4, 2: 4, 3: 4}


def test_learning_rate_is_constant_then_falls_in_a_line(streams):
    training = Training(RECIPE, streams, "cpu")
    assert training.decay() == 1.0
    training.steps = 10
    factors = []
    for training.step in range(10):
        factors.append(training.decay())
    assert factors == pytest.approx([1.0] * 7 + [0.75, 0.5, 0.25])


def test_minutes_are_turned_into_steps_once(streams, tmp_path):
    training = Training(RECIPE, streams, "cpu")
    run(training, tmp_path / "c", minutes=1e-6)
    assert training.step == training.steps == 13
    resumed = Training(RECIPE, streams, "cpu")
    run(resumed, tmp_path / "c", minutes=60)
    assert resumed.step == resumed.steps == 13


def test_command_writes_a_model_that_loads(texts, tmp_path, capsys):
    out = tmp_path / "model"
    assert main(command(texts, out, "--steps", "6", "--no-autocast")) == 0
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert model.dtype == torch.float16
    assert model.config.model_type == "llama"
    assert tokenizer.decode(tokenizer("a grey wave")["input_ids"]) == "a grey wave"
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"{model.num_parameters():,} parameters" in card
    assert "| sea | " in card
    assert "| law | " in capsys.readouterr().out
    assert main(command(texts, out, "--steps", "6")) == 2
    assert "holds a model already" in capsys.readouterr().err


def test_a_killed_process_resumes_to_the_same_file(texts, tmp_path):
    """SIGKILL while it trains; the same command with --resume; the same bytes as a run left alone."""
    out = tmp_path / "killed"
    arguments = command(texts, out, "--steps", "120", "--save-every", "10")
    process = subprocess.Popen(
        [sys.executable, "-m", "evop.reference.making.train", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    checkpoint = out / "training" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert checkpoint.exists()
    assert not (out / "config.json").exists()
    assert main(command(texts, out, "--steps", "120", "--save-every", "10")) == 2
    assert main([*arguments, "--resume"]) == 0
    whole = tmp_path / "whole"
    assert main(command(texts, whole, "--steps", "120", "--save-every", "1000")) == 0
    killed_weights, whole_weights = (load_file(folder / "model.safetensors") for folder in (out, whole))
    assert all(torch.equal(tensor, whole_weights[name]) for name, tensor in killed_weights.items())
    assert (out / "tokenizer.json").read_bytes() == (whole / "tokenizer.json").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--steps", "0"], "--steps: found 0; expected more than 0"),
        (["--steps", "1", "--length", "65"], "--length: found 65"),
        (["--steps", "1", "--vocabulary", "200"], "--vocabulary: found 200"),
        (["--steps", "1", "--heads", "5"], "heads 5"),
        (["--steps", "1", "--length", "64", "--chars", "10"], "expected more than one sequence"),
        (["--steps", "1", "--text", "sea=again.txt"], "each domain once"),
        (["--steps", "1", "--text", "more=missing.txt"], "missing.txt: no such file"),
        (["--steps", "1", "--held-out", "more=missing.txt"], "missing.txt: no such file"),
        (["--steps", "1", "--tokenizer", "missing.json"], "missing.json: no such file"),
    ],
)
def test_bad_input_is_one_line(texts, tmp_path, capsys, more, message):
    few = {"sea": texts["sea"]}
    assert main(command(few, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_documents_are_read_from_every_kind_of_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n\ntwo\n<|endoftext|>\nthree <|endoftext|> still\n<|endoftext|>\n", encoding="utf-8")
    assert read_documents(path) == ["one\n\ntwo", "three <|endoftext|> still"]
    assert take(["aa", "bb", "cc"], 3) == ["aa", "bb"]
    assert take(["aa", "bb"], None) == ["aa", "bb"]
    for content in (b"\xff\xfe\xff", b"", b"<|endoftext|>\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.txt: "):
            read_documents(path)


def test_text_shorter_than_a_sequence_is_refused():
    with pytest.raises(TrainingError, match="text of sea: 5 tokens"):
        Training(RECIPE, {"sea": np.zeros(5, np.uint16)}, "cpu")


@pytest.mark.gpu
def test_training_runs_on_a_gpu(texts, tmp_path):
    arguments = command(texts, tmp_path / "model", "--steps", "30")
    arguments[arguments.index("cpu")] = "cuda"
    assert main(arguments) == 0
    AutoModelForCausalLM.from_pretrained(tmp_path / "model")
