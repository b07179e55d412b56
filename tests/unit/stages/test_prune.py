"""What prune refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
from types import SimpleNamespace

import pytest
import torch
from by_hand import change_by_hand
from safetensors.torch import load_file, save_file
from tiny import build, removing, write_pattern
from tolerance import beyond

from evop.errors import EvopError
from evop.export import parity
from evop.export import write as writing
from evop.export.parity import Beside, ParityReport, check
from evop.export.source import Source
from evop.model.checkpoint import Checkpoint
from evop.removal.cut import Cut
from evop.stages import prune as stage
from evop.stages.prune import prune

STOCK, HETERO = ("layers.1.mlp", "layers.2.attn"), ("layers.0.attn",)


@pytest.fixture
def model(tiny_folder):
    return tiny_folder("llama")


@pytest.fixture
def pattern(model, tmp_path):
    return write_pattern(tmp_path / "pattern.json", *removing(model, *STOCK), model)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "there").mkdir()
    return tmp_path / "there" / "out"


def refused(words, model, pattern, out, **options):
    with pytest.raises(EvopError, match=words) as caught:
        prune(model, pattern, out, **{"parity": False, **options})
    assert "\n" not in str(caught.value)
    assert not list(out.parent.iterdir())


def test_a_run_folder_will_do_and_an_empty_out_too(model, pattern, out):
    out.mkdir()
    result = prune(model, pattern.parent, out, parity=False)
    assert result.kind == "stock"
    assert (out / "pattern.json").read_bytes() == pattern.read_bytes()
    assert not list(out.parent.glob(".*"))


def test_out_with_something_in_it_is_left_alone(model, pattern, out):
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(EvopError, match="not an empty folder"):
        prune(model, pattern, out, parity=False)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_out_that_cannot_be_made(model, pattern, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvopError, match="cannot write there"):
        prune(model, pattern, tmp_path / "file" / "out", parity=False)


def test_no_pattern(model, out, tmp_path):
    refused("no such file", model, tmp_path / "none.json", out)


def test_pattern_of_another_model(tiny_folder, pattern, out):
    refused("another model or revision", tiny_folder("llama_biased"), pattern, out)


def test_pattern_that_leaves_nothing(model, out, tmp_path):
    everything = [f"layers.{i}.{kind}" for i in range(4) for kind in ("attn", "mlp")]
    file = write_pattern(tmp_path / "all.json", *removing(model, *everything), model)
    refused("removes every decoder block", model, file, out)


def test_pattern_that_claims_too_much(model, pattern, out):
    change_by_hand(pattern, removed_params=json.loads(pattern.read_text())["removed_params"] + 1)
    refused("the pattern says it removes", model, pattern, out)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"vision_config": {}}, "multimodal"),
        ({"model_type": "mamba"}, "'mamba' is not supported"),
    ],
)
def test_models_that_cannot_be_pruned(change, words, tmp_path, pattern, out):
    folder = build("llama", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    refused(words, folder, pattern, out)


def test_adapters_and_pickles(tmp_path, pattern, out):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    refused("adapter", folder, pattern, out)
    folder = build("llama", tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused("safetensors", folder, pattern, out)


def test_a_disk_that_is_too_small(model, pattern, out, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    refused(r"0\.00 MB free, the checkpoint takes", model, pattern, out)


@pytest.mark.parametrize("which", ["weights", "companions"])
def test_a_disk_that_fills_up_while_writing(which, model, pattern, out):
    """A limit on the size of files stands for the full disk: the same system call fails in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000 if which == "weights" else 100_000, hard))
    try:
        refused("the disk filled up while writing", model, pattern, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_refusing_disk(model, pattern, out, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writing, "write_weights", broken)
    refused("Input/output error", model, pattern, out)


def test_an_interruption_leaves_nothing(model, pattern, out, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prune(model, pattern, out, parity=False)
    assert not list(out.parent.iterdir())


def report_of(ratio):
    both = Beside(dense=1, pruned=1)
    return ParityReport(
        dtype="float32", device="cpu", tokens=1, difference=ratio, ratio=ratio, greedy_agrees=True, parameters=both,
        bytes=both, tokens_per_second=both,
    )  # fmt: skip


def test_a_checkpoint_that_fails_parity_is_set_aside(model, pattern, out, monkeypatch):
    monkeypatch.setattr(stage, "check_in_fresh_process", lambda *_: report_of(2e-4))
    with pytest.raises(EvopError, match=r"does not compute what was searched.*set aside in .*out\.failed"):
        prune(model, pattern, out)
    assert [path.name for path in out.parent.iterdir()] == ["out.failed"]


def test_a_parity_check_that_dies_leaves_nothing(model, pattern, out, monkeypatch):
    """The fresh process gets a folder that is not there."""
    monkeypatch.setattr(stage, "_checked", lambda job, draft, _: stage.check_in_fresh_process(out, out, out))
    refused("the parity check did not finish", model, pattern, out, parity=True)


def test_parity_sees_one_wrong_tensor(model, pattern, out):
    folder = prune(model, pattern, out, parity=False).folder
    assert check(model, folder, pattern).holds
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.2.mlp.up_proj.weight"] *= 1.01
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    found = check(model, folder, pattern)
    assert found.ratio > beyond(1e-3)
    assert not found.holds


def test_companions_go_along(tmp_path, out):
    folder = build("llama", tmp_path / "model")
    along = {
        "chat_template.jinja": "{{ messages }}",
        "LICENSE": "free",
        "NOTICE.txt": "of whom",
        "vocab.json": "{}",
        "additional_chat_templates/tool.jinja": "{{ tools }}",
    }
    left = {
        "README.md": "---\nlicense: mit\n---\n",
        "pytorch_model.bin": "x",
        "training_args.bin": "x",
        ".gitattributes": "",
    }
    for name, text in {**along, **left}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    file = write_pattern(tmp_path / "p.json", *removing(folder, *HETERO), folder)
    prune(folder, file, out, parity=False)
    for name in (*along, "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        *along, "tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json", "pattern.json",
        "README.md", "model.safetensors", "modeling_evop.py", "SHA256SUMS",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cut", "dtype"), [(Cut(gone=frozenset({("mlp", 1)})), "bfloat16"), (Cut(kept={("mlp", 1): (0, 5)}), "float32")]
)
def test_sums_over_fewer_units_are_compared_in_float32(cut, dtype, tmp_path, monkeypatch):
    """On a machine too small for the weights in float32, a pattern of whole blocks is compared as stored."""
    checkpoint = Checkpoint.find(build("llama", tmp_path / "model", dtype=torch.bfloat16))
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    assert parity.dtype_of(Source.of_checkpoint(checkpoint), cut) == dtype
