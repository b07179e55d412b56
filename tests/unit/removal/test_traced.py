"""Checkpoints that another tool pruned: their weights say what left, or a line says what to give instead."""

import shutil

import pytest
from safetensors.torch import load_file, save_file
from sets import small_set
from tiny import TINY, ranking

from evop.errors import EvopError
from evop.files.names import CORRECTIONS, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.reference import model_dir
from evop.removal.opened import open_pattern
from evop.removal.pattern_file import PatternFile
from evop.removal.space import pattern_space
from evop.stages.prune import prune
from evop.stages.refit import refit

WEIGHTS = "model.safetensors"


def pruned(model, folder, grain, removed, levels=None, **space):
    """What another tool leaves: the folder of a smaller model that does not say what it was pruned by."""
    found = pattern_space(Checkpoint.find(model), grain, "any", (), **space)
    pattern = found.pattern(removed, levels)
    file, cut = folder.with_suffix(".json"), ranking(found).cut_of(found, pattern)
    PatternFile.describe(Checkpoint.find(model), found, pattern, cut, remove=0.1, cost="params", **space).write(file)
    prune(model, file, folder, parity=False)
    for name in (PATTERN, "SHA256SUMS"):
        (folder / name).unlink()
    return cut


def traced(folder, model):
    return open_pattern(folder, Checkpoint.find(model))


def change(folder, edit):
    weights = load_file(folder / WEIGHTS)
    edit(weights)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


@pytest.mark.parametrize("name", TINY)
def test_every_family_is_traced(tiny_folder, tmp_path, name):
    model = tiny_folder(name)
    config, family = Checkpoint.find(model).resolved, family_of(Checkpoint.find(model).model_type)
    asked = {"layer": (["layers.1"], None), "subblock": (["layers.0.mlp", "layers.2.attn"], None)}
    asked["mixed"] = (["layers.3.mlp"], {"layers.0.attn": 1, "layers.1.mlp": 5, "layers.2.mlp": 3})
    for grain, (removed, levels) in asked.items():
        if family.refusal(config, grain, "any") is None:
            cut = pruned(model, tmp_path / grain, grain, removed, levels)
            found = traced(tmp_path / grain, model)
            assert (found.cut.gone, found.cut.kept) == (cut.gone, cut.kept)
            assert found.file.grain == grain


@pytest.mark.parametrize(("kind", "grain"), [("attn", "head"), ("mlp", "channel")])
def test_units_in_another_order_and_dtype_are_the_same_units(tiny_folder, tmp_path, kind, grain):
    model = tiny_folder("llama")
    cut = pruned(model, tmp_path / "out", grain, [], {f"layers.1.{kind}": 1})

    def edit(weights):
        names = [name for name in weights if "mlp" in name and ".1." in name]
        for name in names:
            weights[name] = weights[name].flip(1 if "down" in name else 0)
        weights |= {name: weight.half().contiguous() for name, weight in weights.items()}

    change(tmp_path / "out", edit)
    found = traced(tmp_path / "out", model)
    assert (found.cut.kept, found.file.grain) == (cut.kept, grain)


def test_a_width_of_no_ladder_of_the_model_has_a_step_of_its_own(tiny_folder, tmp_path):
    model = tiny_folder("llama")
    cut = pruned(model, tmp_path / "out", "channel", [], {f"layers.{n}.mlp": 2 for n in range(4)}, width_step=11)
    found = traced(tmp_path / "out", model)
    assert found.cut.kept == cut.kept
    assert len(found.cut.kept["mlp", 0]) == found.file.width_step == 33


def test_units_and_blocks_that_were_set_to_zero_have_left(tiny_folder, tmp_path):
    model = tiny_folder("llama")
    shutil.copytree(model, tmp_path / "out")

    def edit(weights):
        weights["model.layers.1.mlp.down_proj.weight"][:, [1, 2, 5]] = 0
        weights["model.layers.2.self_attn.o_proj.weight"].zero_()

    change(tmp_path / "out", edit)
    found = traced(tmp_path / "out", model)
    assert found.cut.gone == {("attn", 2)}
    assert found.cut.kept == {("mlp", 1): tuple(n for n in range(48) if n not in (1, 2, 5))}


def _trained(weights):
    weights["model.layers.1.mlp.up_proj.weight"] += 1e-3


def _swapped(weights):
    for name in [name for name in weights if ".layers.0." in name]:
        other = name.replace(".0.", ".1.")
        weights[name], weights[other] = weights[other], weights[name]


def _thinned_unevenly(weights):
    for name in ("gate_proj", "up_proj"):
        key = f"model.layers.0.mlp.{name}.weight"
        weights[key] = weights[key][:-1].contiguous()


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (_trained, "its layers.1.mlp is no block of .*trained since, or pruned from another model; give the pattern"),
        (_swapped, "comes behind one that follows it there"),
        (_thinned_unevenly, "the weights of layers.0.mlp lack different units"),
        (lambda weights: None, "its weights hold every block and unit of "),
        (lambda weights: weights.pop("model.layers.0.mlp.down_proj.weight"), "it has no model.layers.0.mlp.down_proj"),
    ],
)
def test_what_cannot_be_known_is_one_line(tiny_folder, tmp_path, edit, match):
    model = tiny_folder("llama")
    shutil.copytree(model, tmp_path / "out")
    change(tmp_path / "out", edit)
    with pytest.raises(EvopError, match=match) as error:
        traced(tmp_path / "out", model)
    assert "a layer_drop_config.txt, or a pattern.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_width_that_no_step_gives(tiny_folder, tmp_path):
    model = tiny_folder("llama")
    shutil.copytree(model, tmp_path / "out")

    def edit(weights):
        for layer, zeros in enumerate((1, 4)):
            weights[f"model.layers.{layer}.mlp.down_proj.weight"][:, :zeros] = 0

    change(tmp_path / "out", edit)
    with pytest.raises(EvopError, match=r"its MLPs have 2 widths \(44, 47, …\) that are no multiples of one step"):
        traced(tmp_path / "out", model)


def test_it_is_refitted_as_its_pattern_would_be(tmp_path):
    """Whatever the other tool made of the last projections: the refit begins from the dense model's."""
    folder, how = tmp_path / "other", {"refit": "single", "ridge": 0.1, "anchor": 0.0, "max_tokens": 64}
    pruned(model_dir(), folder, "layer", ["layers.2", "layers.6"])

    def edit(weights):
        weights["model.layers.1.mlp.down_proj.weight"] *= 2

    change(folder, edit)
    lines, learning = [], small_set(train_tokens=600)
    one = refit(model_dir(), folder, learning, tmp_path / "one", report=lines.append, **how)
    two = refit(model_dir(), folder.with_suffix(".json"), learning, tmp_path / "two", **how)
    assert any("its weights say what left: layers.2, layers.6" in line for line in lines)
    assert (one.folder / CORRECTIONS).read_bytes() == (two.folder / CORRECTIONS).read_bytes()
    assert PatternFile.find(one.folder).removed == ["layers.2", "layers.6"]
    written = prune(model_dir(), folder, tmp_path / "again")
    assert written.parity.holds
    assert traced(tmp_path / "again", model_dir()).cut.gone == traced(folder, model_dir()).cut.gone
