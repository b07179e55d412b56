"""What export refuses, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from types import SimpleNamespace

import pytest
from runtimes import HEALED, KINDS
from safetensors import safe_open
from tiny import TINY, build, load, logits, random_ids, removing, write_pattern

from evop.errors import EvopError
from evop.export.draft import drafted_file
from evop.export.gguf import ggml
from evop.export.gguf.runtime import LlamaCpp
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.masking import masked
from evop.removal.opened import open_pattern
from evop.stages.export import export

gguf = pytest.importorskip("gguf", reason="gguf is not installed: pip install 'evop[gguf]'")


@pytest.fixture
def model(tiny_folder):
    return tiny_folder("llama")


@pytest.fixture
def pattern(model, tmp_path):
    return write_pattern(tmp_path / "pattern.json", *removing(model, "layers.1.mlp", "layers.2.attn"), model)


@pytest.fixture
def out(tmp_path):
    (tmp_path / "there").mkdir()
    return tmp_path / "there" / "out"


def refused(words, model, out, pattern=None, **options):
    with pytest.raises(EvopError, match=words) as caught:
        export(model, out, pattern, **{"check": False, **options})
    assert "\n" not in str(caught.value)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("way", ["gguf", "mergekit"])
def test_a_file_that_is_there_is_left_alone(way, model, out):
    out.write_text("mine")
    with pytest.raises(EvopError, match="is there already"):
        export(model, out, removed_layer(model, out.parent.parent), format=way, check=False)
    assert out.read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def removed_layer(model, folder):
    """A pattern without one whole layer."""
    return write_pattern(folder / "layer.json", *removing(model, "layers.1", grain="layer"), model)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
@pytest.mark.parametrize("way", ["hf", "gguf", "decilm", "masked"])
def test_a_name_that_no_file_can_have(way, name, model, pattern, out):
    refused(r"no file can be there|cannot write there", model, out.with_name(name), pattern, format=way)


def test_a_name_that_is_taken_meanwhile(tmp_path):
    draft = drafted_file(tmp_path / "out", 1)
    draft.__enter__().write_text("ours")
    (tmp_path / "out").write_text("theirs")
    with pytest.raises(EvopError, match="is there already"):
        draft.__exit__(None, None, None)
    assert (tmp_path / "out").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("way", ["gguf", "decilm", "masked"])
def test_a_disk_that_is_too_small(way, model, pattern, out, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    refused("MB free", model, out, pattern, format=way)


@pytest.mark.parametrize("way", ["gguf", "decilm", "masked"])
def test_a_disk_that_fills_up_while_writing(way, model, pattern, out):
    """A limit on the size of files stands for the full disk: the same system call fails in the same place."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        refused("the disk filled up while writing", model, out, pattern, format=way)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_formats_that_cannot_hold_a_pattern(model, pattern, out, tmp_path, tiny_folder):
    refused("takes whole layers, and the pattern leaves half of layer 1", model, out, pattern, format="mergekit")
    first = write_pattern(tmp_path / "first.json", *removing(model, "layers.0.attn"), model)
    refused("no first layer without attention", model, out, first, format="decilm")
    refused("this is a qwen3", tiny_folder("qwen3"), out, format="decilm")
    refused("a pruned model; give --pattern", model, out, format="hf")
    refused("give --pattern", model, out, format="masked")
    refused("--bits is for --format gguf", model, out, pattern, format="decilm", bits="q8_0")


PLAIN = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
"""What else ``tokenizer.json`` says of a token."""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"type": "WordPiece"}}, "a tokenizer of type 'WordPiece', and BPE alone"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "--format gguf"),
        (
            {"added_tokens": [{"id": 5000, "content": "<far>", "special": True, **PLAIN}]},
            "a token 5000, and embeddings for",
        ),
        ({"model": "BPE"}, "a tokenizer of type None"),
        ({"model": {"type": "BPE", "vocab": {}}}, "tokenizer.json cannot be read"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}, "tokenizer.json cannot be read"),
        ({"added_tokens": [{"content": "<far>"}]}, "tokenizer.json cannot be read"),
        (None, "no tokenizer.json"),
    ],
)
def test_tokenizers_that_cannot_be_written(change, words, out, tmp_path):
    folder = build("llama", tmp_path / "model")
    file = folder / "tokenizer.json"
    if change is None:
        file.unlink()
    else:
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    refused(words, folder, out, format="gguf")


def test_a_chat_template_that_cannot_be_read(out, tmp_path):
    folder = build("llama", tmp_path / "model")
    (folder / "chat_template.jinja").write_bytes(b"\xff{{ messages }}")
    refused("chat_template.jinja is not UTF-8", folder, out, format="gguf")


@pytest.mark.parametrize(
    ("name", "way", "told", "words"),
    [
        ("llama", "gguf", {"hidden_act": "gelu"}, "the MLPs compute gelu, and llama.cpp silu in every llama"),
        ("llama", "decilm", {"hidden_act": "gelu"}, "vLLM's MLPs compute silu, and these gelu"),
        ("gemma2", "gguf", {"hidden_activation": "silu"}, "the MLPs compute silu, and llama.cpp gelu_pytorch_tanh"),
        ("gemma2", "gguf", {"attn_logit_softcapping": None}, "attn_logit_softcapping is not set"),
        ("gemma2", "gguf", {"final_logit_softcapping": None}, "final_logit_softcapping is not set"),
    ],
)
def test_what_a_runtime_takes_for_granted(name, way, told, words, tiny_folder, out, tmp_path):
    """It would load the file, and compute something else."""
    folder = shutil.copytree(tiny_folder(name), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **told}))
    refused(words, folder, out, format=way)


@pytest.mark.parametrize("name", ["qwen3", "olmo2", "gemma2"])
def test_biases_that_llama_cpp_has_no_place_for(name, out, tmp_path, monkeypatch):
    architecture, shape = TINY[name]
    monkeypatch.setitem(TINY, "biased", (architecture, {**shape, "attention_bias": True}))
    refused(
        f"this {name} has biases, and llama.cpp's {name} has none", build("biased", tmp_path / "m"), out, format="gguf"
    )


def test_zeros_of_a_healed_checkpoint_are_checked(model, out, tmp_path):
    """In a fresh process, in which transformers knows no layers that differ but by the code inside the checkpoint."""
    (made := tmp_path / "made").mkdir()
    export(model, out, KINDS[HEALED](model, made), format="masked")
    assert (out / "model.safetensors").is_file()


def test_code_of_evop_goes_only_where_it_is_needed(model, out, tmp_path):
    uneven = write_pattern(tmp_path / "uneven.json", *removing(model, "layers.1.attn"), model)
    export(model, tmp_path / "hf", uneven, check=False)
    assert (tmp_path / "hf" / "modeling_evop.py").is_file()
    export(model, out, tmp_path / "hf", format="decilm")
    assert sorted(path.name for path in out.glob("*.py")) == ["configuration_decilm.py"]


def test_what_is_not_installed_is_named_with_its_extra(model, out, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    refused(r"needs xllamacpp, which is not installed; pip install 'evop\[gguf\]'", model, out, **Q4)
    with pytest.raises(EvopError, match=r"llama.cpp is not installed; pip install 'evop\[gguf\]'"):
        LlamaCpp(tmp_path / "x.gguf")
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(r"needs gguf, which is not installed; pip install 'evop\[gguf\]'", model, out, format="gguf")


Q4 = {"format": "gguf", "quantise": "q4_k_m"}


def test_a_build_without_the_quantiser(model, out, monkeypatch):
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'evop[gguf]'")
    monkeypatch.setattr(ggml, "QUANTISER", "no_such_function")
    refused("this build of xllamacpp hides no_such_function; write --bits q8_0", model, out, **Q4)


@pytest.mark.parametrize("way", ["decilm", "masked"])
def test_weights_say_their_format(way, model, pattern, out):
    """Runtimes refuse files whose metadata does not say ``pt``."""
    export(model, out, pattern, format=way, check=False)
    with safe_open(out / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_masked_computes_what_was_searched(model, pattern, out):
    export(model, out, pattern, format="masked", check=False)
    dense, ids = load(model), random_ids()
    with masked(dense, family_of("llama"), open_pattern(pattern, Checkpoint.find(model)).cut):
        wanted = logits(dense, ids)
    found = load(out)
    assert found.config.num_hidden_layers == 4
    assert (logits(found, ids) - wanted).abs().max() <= 1e-4 * wanted.std()
