"""Weights of levels: one object for one level while it is in use, within a bound; and the file of what makes them."""

from __future__ import annotations

import gc
import pickle
from collections import namedtuple

import numpy as np
import pytest
import torch
from tiny import build, ranking

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.removal import moments_file
from evop.removal.cut import Cut
from evop.removal.least_squares import least_squares
from evop.removal.level_weights import LevelWeights
from evop.removal.moments_file import MomentsFile, refuse_short_disk, write_moments
from evop.removal.ranking import Ranking
from evop.removal.space import pattern_space

KEPT = {("mlp", 0): tuple(range(1, 40)), ("attn", 1): (1,)}
"""Of 48 channels and 2 groups of heads of 16 numbers each."""


def moments(scale=1.0):
    rng, made = np.random.default_rng(0), {}
    for name, size in (("layers.0.mlp", 48), ("layers.1.attn", 32)):
        inputs = rng.normal(size=(100, size)).astype(np.float32)
        made[name] = scale * (inputs.T @ inputs / 100)
    return made


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def loaded(request, tmp_path):
    return load_model(Checkpoint.find(build("llama", tmp_path / "model", dtype=request.param)), "cpu", "float32")


def test_a_thinned_block_gets_the_weight_of_its_level_in_the_dtype_it_is_stored_in(loaded):
    stored = {"F32": torch.float32, "BF16": torch.bfloat16}[next(iter(loaded.checkpoint.tensors.values())).dtype]
    ranked, levels = Ranking(moments=moments()), LevelWeights(loaded)
    cut = levels.reweighted(Cut(frozenset({("mlp", 3)}), KEPT), ranked)
    assert cut.weights.keys() == KEPT.keys()
    weight = loaded.model.model.layers[1].self_attn.o_proj.weight.double()
    stays = torch.arange(32) >= 16
    wanted = least_squares(weight, torch.from_numpy(moments()["layers.1.attn"]).double(), stays).to(stored)
    assert torch.equal(cut.weights["attn", 1].values, wanted)
    assert not torch.equal(wanted, weight[:, stays].to(stored))
    assert cut.weights["mlp", 0].values.shape == (32, 39)


def test_without_moments_a_cut_stays_as_it_is(loaded):
    cut = Cut(kept=KEPT)
    assert LevelWeights(loaded).reweighted(cut, Ranking()) is cut


def test_one_level_has_one_weight_while_it_is_in_use(loaded):
    ranked, levels = Ranking(moments=moments()), LevelWeights(loaded, most=1)
    first = levels.reweighted(Cut(kept=KEPT), ranked)
    again = levels.reweighted(Cut(kept=KEPT), ranked)  # no room for both, but the first cut holds them
    assert all(first.weights[place] is again.weights[place] for place in KEPT)
    other = levels.reweighted(Cut(kept=KEPT), Ranking(moments=moments(scale=2.0)))
    assert all(first.weights[place] is not other.weights[place] for place in KEPT)
    values = {place: weight.values for place, weight in first.weights.items()}
    del first, again, other
    gc.collect()
    assert len(levels._there) == len(levels._kept) == 1
    made = levels.reweighted(Cut(kept=KEPT), ranked)
    assert all(torch.equal(made.weights[place].values, values[place]) for place in KEPT)
    roomy = LevelWeights(loaded)
    roomy.reweighted(Cut(kept=KEPT), ranked)
    gc.collect()
    assert len(roomy._there) == len(KEPT)


def test_a_weight_that_its_dtype_cannot_hold_is_refused(tmp_path):
    half = load_model(Checkpoint.find(build("llama", tmp_path / "model", dtype=torch.float16)), "cpu", "float32")
    half.model.model.layers[0].mlp.down_proj.weight.data.mul_(1e6)
    with pytest.raises(EvopError, match=r"layers\.0\.mlp: its least-squares weight is not finite as torch\.float16"):
        LevelWeights(half).reweighted(Cut(kept=KEPT), Ranking(moments=moments()))


def test_moments_are_part_of_what_a_ranking_is(tiny_folder):
    space = pattern_space(Checkpoint.find(tiny_folder("llama")), "mixed")
    plain = ranking(space)
    prints = {plain.fingerprint}
    for scale in (1.0, 2.0):
        prints.add(Ranking(plain.importance, moments=moments(scale)).fingerprint)
    assert len(prints) == 3


def test_the_file_gives_back_what_was_written(tmp_path):
    path = tmp_path / "run" / "moments.npz"
    write_moments(path, iter(moments().items()))
    file = pickle.loads(pickle.dumps(MomentsFile(path)))
    assert list(file) == list(moments())
    assert len(file) == 2
    assert all(np.array_equal(file[name], made) for name, made in moments().items())
    assert Ranking(moments=file).fingerprint == Ranking(moments=moments()).fingerprint
    assert "layers.7.mlp" not in file
    first = path.read_bytes()
    write_moments(path, moments().items())
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == ["moments.npz"]


def test_a_file_that_is_torn_or_gone_is_refused(tmp_path):
    path = tmp_path / "moments.npz"
    write_moments(path, moments().items())
    file, content = MomentsFile(path), bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with pytest.raises(EvopError, match=r"moments\.npz holds no moments \(Bad CRC"):
        file["layers.0.mlp"]
    for torn in (b"torn", b""):
        path.write_bytes(torn)
        with pytest.raises(EvopError, match=r"moments\.npz holds no moments"):
            MomentsFile(path)
    path.unlink()
    with pytest.raises(EvopError, match=r"moments\.npz holds no moments"):
        MomentsFile(path)


def test_a_disk_without_room_is_refused_in_time_and_leaves_nothing(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(moments_file.shutil, "disk_usage", lambda place: usage(20_000_000))
    refuse_short_disk(tmp_path / "run", [1000], 0)
    with pytest.raises(EvopError, match=r"has 0\.02 GB free, what --compensate obs keeps there takes 1\.60 GB"):
        refuse_short_disk(tmp_path / "run", [10_000] * 2, 2)
    assert not (tmp_path / "run").exists()

    def filling():
        yield "layers.0.mlp", np.eye(3, dtype=np.float32)
        raise OSError(28, "No space left on device")

    with pytest.raises(EvopError, match="No space left on device"):
        write_moments(tmp_path / "run" / "moments.npz", filling())
    assert not list((tmp_path / "run").iterdir())
