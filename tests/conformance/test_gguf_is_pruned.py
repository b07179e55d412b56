"""Law 1 in llama.cpp: what a GGUF file predicts there is what was searched, within what float16 explains."""

from __future__ import annotations

import numpy as np
import pytest
from exported import SLACK, assert_same, differs, expected, read_by, written
from runtimes import MODELS
from tiny import TINY, build, removing, write_pattern

from evop.errors import EvopError
from evop.export.gguf.architecture import ARCHITECTURES
from evop.export.gguf.runtime import LlamaCpp
from evop.export.gguf.tensors import IDLE_WIDTH

pytest.importorskip("gguf", reason="gguf is not installed: pip install 'evop[gguf]'")
pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install 'evop[gguf]'")

SILENT = {
    "attention gone": ("layers.1.attn",),
    "first attention gone": ("layers.0.attn",),
    "last attention gone": ("layers.3.attn",),
    "mlp gone": ("layers.1.mlp",),
    "last mlp gone": ("layers.3.mlp",),
    "both gone": ("layers.1.attn", "layers.1.mlp", "layers.2.mlp"),
    "every attention gone": tuple(f"layers.{i}.attn" for i in range(4)),
}
"""Cases that llama.cpp gets wrong, or refuses, where a block is simply left out."""


@pytest.mark.parametrize("name", MODELS)
def test_dense_models(name, tiny_folder, tmp_path):
    model = tiny_folder(name)
    assert written(model, None, tmp_path / "x.gguf").architecture.name == ARCHITECTURES[TINY[name][0]].name
    assert_same(model, None, tmp_path / "x.gguf", read_by(name))


@pytest.mark.parametrize("case", SILENT)
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_blocks_that_are_gone(name, case, tiny_folder, tmp_path):
    model = tiny_folder(name)
    pattern = write_pattern(tmp_path / "p.json", *removing(model, *SILENT[case]), model)
    plan = written(model, pattern, tmp_path / "x.gguf")
    assert_same(model, pattern, tmp_path / "x.gguf", read_by(name))
    if case == "mlp gone":  # as wide as the blocks of most quantisations, and all of it zeros
        idle = {tensor.name: tensor for tensor in plan.tensors}["blk.1.ffn_down.weight"]
        assert idle.shape[1] == IDLE_WIDTH
        assert not idle.make().any()


def test_stretched_positions(tmp_path):
    """The frequencies of Llama 3."""
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    TINY["llama3"] = (
        "llama",
        {"rope_parameters": {"rope_theta": 1e4, "original_max_position_embeddings": 64, **scaling}},
    )
    try:
        model = build("llama3", tmp_path / "model")
    finally:
        del TINY["llama3"]
    pattern = write_pattern(tmp_path / "p.json", *removing(model, "layers.1.mlp"), model)
    for one in (None, pattern):
        written(model, one, tmp_path / "x.gguf")
        assert_same(model, one, tmp_path / "x.gguf", read_by("llama"))


@pytest.mark.parametrize("bits", ["bf16", "q8_0"])
def test_fewer_bits(bits, tiny_folder, tmp_path):
    model = tiny_folder("llama")
    pattern = write_pattern(tmp_path / "p.json", *removing(model, "layers.0.attn", "layers.3.mlp"), model)
    written(model, pattern, tmp_path / "x.gguf", bits)
    wanted, explained = expected(model, pattern, read_by("llama"))
    assert differs(tmp_path / "x.gguf", read_by("llama"), wanted) < 16 * explained


def test_a_wrong_order_of_rows_is_seen(tiny_folder, tmp_path, monkeypatch):
    """The comparison can fail: queries and keys that are not turned into pairs, or a missing idle head."""
    from evop.export.gguf import tensors

    model, ids = tiny_folder("llama"), read_by("llama")
    plain = tensors._plain
    monkeypatch.setattr(
        tensors, "_turned", lambda source, name, new, heads: plain(source, ARCHITECTURES["llama"], name, new)
    )
    written(model, None, tmp_path / "x.gguf")
    wanted, explained = expected(model, None, ids)
    assert differs(tmp_path / "x.gguf", ids, wanted) > 5 * SLACK * explained


@pytest.mark.parametrize(
    ("name", "parts", "words"),
    [
        ("gemma2", ("layers.1.mlp",), "layers that differ, and llama.cpp runs no such gemma2"),
        ("gemma2", ("layers.1.attn", "layers.1.mlp"), "full attention in every second layer"),
        ("qwen3_mixed", ("layers.1.mlp",), "openelm, which has no head of its own"),
        ("gpt2", ("layers.1.mlp",), "gpt2 cannot be written yet"),
    ],
)
def test_what_llama_cpp_cannot_hold(name, parts, words, tiny_folder, tmp_path):
    model = tiny_folder(name)
    grain = "layer" if name == "gpt_neox" else "subblock"
    pattern = write_pattern(tmp_path / "p.json", *removing(model, *parts, grain=grain), model)
    with pytest.raises(EvopError, match=words):
        written(model, pattern, tmp_path / "x.gguf")


def test_greedy_text_and_losses_are_those_of_transformers(tiny_folder, tmp_path):
    model, ids = tiny_folder("llama"), read_by("llama")
    written(model, None, tmp_path / "x.gguf")
    runtime = LlamaCpp(tmp_path / "x.gguf")
    wanted, explained = expected(model, None, ids)
    costs = -wanted[:-1].gather(1, ids[0, 1:, None])[:, 0].numpy()
    assert np.abs(runtime.losses(ids[0].tolist()) - costs).max() <= 3 * explained
    best, second = wanted[-1].topk(2).values
    if best - second > 2 * explained:
        assert runtime.continued(ids[0].tolist(), 1) == [int(wanted[-1].argmax())]
    reads, writes = runtime.speed(ids[0].tolist(), 4)
    assert reads > 0
    assert writes > 0
