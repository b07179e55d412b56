"""A bias in place of removed units: against plain sums, and the file that carries it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import build, ranking

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.files.names import CORRECTIONS
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal.compensation import compensated
from evop.removal.corrections import read_corrections, write_corrections
from evop.removal.cut import Cut, Weight
from evop.removal.space import pattern_space
from patterns import Pattern

OUT = {
    "llama": ("model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp.down_proj", False, 2),
    "llama_biased": ("model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp.down_proj", False, 4),
    "gpt2": ("transformer.h.{}.attn.c_proj", "transformer.h.{}.mlp.c_proj", True, 4),
}
"""Names of the last projections, whether they are stored [in, out], key/value groups."""


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_bias_is_the_weights_of_what_leaves_times_what_they_read(name, stored, tmp_path):
    attn, mlp, turned, groups = OUT[name]
    loaded = load_model(Checkpoint.find(build(name, tmp_path / "model", dtype=stored)), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, "mixed")
    pattern = Pattern(tuple(part.top if part.layer == 3 else (i % 2) for i, part in enumerate(space.parts, start=1)))
    rng, tensors = np.random.default_rng(0), load_file(tmp_path / "model" / "model.safetensors")
    inputs = 0 if turned else 1
    width = {"attn": 32, "mlp": tensors[f"{mlp.format(0)}.weight"].shape[inputs]}
    fill = {part.name: rng.normal(0.5, 0.3, width[part.kind]).astype(np.float32) for part in space.parts}
    cut = compensated(ranking(space).cut_of(space, pattern), loaded, fill)
    assert set(cut.bias) == set(cut.kept) == {("attn", layer) for layer in range(3)}
    for (kind, layer), kept in cut.kept.items():
        path = {"attn": attn, "mlp": mlp}[kind].format(layer)
        weight = tensors[f"{path}.weight"].double()
        weight = weight.T if turned else weight
        size = width[kind] // groups
        gone = [column for column in range(width[kind]) if column // size not in kept]
        added = weight[:, gone] @ torch.from_numpy(fill[f"layers.{layer}.{kind}"]).double()[gone]
        own = tensors.get(f"{path}.bias", torch.zeros(len(added))).double()
        wanted = (own + added).to(stored).double()
        found = torch.from_numpy(cut.bias[kind, layer]).double() + own
        # Sums in another order may round the other way: one step of what it is stored in.
        assert cut.bias[kind, layer].dtype == np.float32
        torch.testing.assert_close(found, wanted, rtol=2 * torch.finfo(stored).eps, atol=1e-6)
        assert torch.equal(found.float().to(stored).float(), found.float())


def test_nothing_is_corrected_where_nothing_is_known(tiny_folder):
    loaded = load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")
    space = pattern_space(loaded.checkpoint, "mixed")
    cut = ranking(space).cut_of(space, Pattern((1,) * len(space.parts)))
    assert compensated(cut, loaded, {}) is cut


CUT = Cut(kept={("mlp", 1): (0, 2), ("attn", 0): (1,)})
BIAS = {("mlp", 1): np.array([0.5, -1.5], dtype=np.float32), ("attn", 0): np.array([3.0, 0.1], dtype=np.float32)}


READS = {"mlp.up_proj": Weight(torch.full((3, 2), 7.0)), "mlp.gate_proj": Weight(torch.full((3, 2), 5.0))}
WEIGHTS = {
    ("mlp", 1): Weight(torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)),
    ("mlp", 3): Weight(torch.ones(2, 3), READS),
}


@pytest.mark.parametrize("weights", [WEIGHTS, {}], ids=["weights", "no-weights"])
@pytest.mark.parametrize("bias", [BIAS, {}], ids=["biases", "no-biases"])
def test_the_file_gives_back_what_was_written(bias, weights, tmp_path):
    cut = replace(CUT, bias=bias, weights=weights)
    digest = write_corrections(cut, tmp_path / CORRECTIONS)
    assert digest == sha256(tmp_path / CORRECTIONS) == write_corrections(cut, tmp_path / "again.safetensors")
    found, reweighted, matrices = read_corrections(tmp_path / CORRECTIONS, digest)
    assert not matrices
    assert found.keys() == bias.keys()
    assert all(np.array_equal(found[place], bias[place]) and found[place].dtype == np.float32 for place in bias)
    assert reweighted.keys() == weights.keys()
    for place, weight in weights.items():
        assert torch.equal(reweighted[place].values, weight.values)
        assert reweighted[place].values.dtype == weight.values.dtype
        assert reweighted[place].reads.keys() == weight.reads.keys()
        assert all(torch.equal(reweighted[place].reads[name].values, read.values) for name, read in READS.items()
                   if name in weight.reads)  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.safetensors", CORRECTIONS]


def test_missing_and_foreign_files_are_refused(tmp_path):
    digest = write_corrections(replace(CUT, bias=BIAS), tmp_path / CORRECTIONS)
    for path in (None, tmp_path / "none", tmp_path):
        with pytest.raises(EvopError, match=r"the pattern has corrections, but .* is missing; keep it beside pattern"):
            read_corrections(path, digest)
    write_corrections(replace(CUT, bias={**BIAS, ("attn", 0): BIAS["attn", 0] + 1}), tmp_path / CORRECTIONS)
    with pytest.raises(EvopError, match=f"belongs to another pattern: its sha256 is not {digest[:12]}…; copy both"):
        read_corrections(tmp_path / CORRECTIONS, digest)
