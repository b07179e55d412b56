"""A run that exports its checkpoints: once, anew where what they are made of changed, refused before hours."""

import pytest
import yaml
from sets import small_set

from evop.errors import EvopError
from evop.files.json_file import sha256
from evop.recipes.run import RunRecipe
from evop.reference import model_dir
from evop.stages.run import run

SEARCH = {"strategy": "oneshot", "max_tokens": 32, "min_group_tokens": 20}


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    small_set().save(folder)
    return folder


def recipe(out, calibration, **changes):
    asked = {"model": str(model_dir()), "out": out, "dtype": "float32", "calibration": str(calibration)}
    return RunRecipe.of(**{**asked, "search": SEARCH, "audit": False, **changes})


def told(asked):
    lines = []
    return run(asked, report=lines.append), [line for line in lines if line.startswith("export")]


@pytest.mark.parametrize("format", ["gguf", "decilm", "mergekit"])
def test_every_format_is_written_beside_the_checkpoint_and_not_again(format, tmp_path, calibration):
    pytest.importorskip("gguf")
    search = {**SEARCH, "grain": "layer"}
    result, said = told(recipe(tmp_path / "out", calibration, search=search, export=format))
    (place,) = result.exported
    assert place.exists()
    assert place.name.startswith("pruned-0.25")
    assert said == [f"export 1 of 1: {place.name}"]
    at = place.stat().st_mtime_ns
    _, said = told(recipe(tmp_path / "out", calibration, search=search, export=format))
    assert said == [f"export 1 of 1: {place.name}: done before, unchanged"]
    assert place.stat().st_mtime_ns == at


def test_what_is_asked_otherwise_or_made_of_another_checkpoint_is_made_anew(tmp_path, calibration):
    first, _ = told(recipe(tmp_path / "out", calibration, export="masked"))
    weights = sha256(first.exported[0] / "model.safetensors")
    another = {"search": {**SEARCH, "strategy": ["oneshot", "greedy"]}}
    second, said = told(recipe(tmp_path / "out", calibration, **another, export="masked"))
    assert second.exported == first.exported
    assert not said[0].endswith("unchanged")
    assert sha256(first.exported[0] / "model.safetensors") != weights
    sizes = []
    for bits in ("f16", "q8_0"):
        asked = recipe(tmp_path / "out", calibration, **another, export={"format": "gguf", "bits": bits})
        written, said = told(asked)
        sizes.append(written.exported[0].stat().st_size)
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("export: prune is none", {"export": "gguf", "prune": "none"}),
        ("export.format: prune writes hf already", {"export": "hf"}),
        ("export.format: prune writes hf already", {"export": {}}),
        ("export.format: Input should be", {"export": "onnx"}),
        ("export: --bits is for --format gguf", {"export": {"format": "masked", "bits": "q8_0"}}),
        (
            "export.format: mergekit takes the dense model's weights; leave refit out",
            {"export": "mergekit", "refit": {}},
        ),
        ("export.device: belongs at the top", {"export": {"format": "gguf", "device": "cpu"}}),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_recipe(words, changes, tmp_path, calibration):
    with pytest.raises(EvopError, match=f"^recipe: {words}"):
        recipe(tmp_path / "out", calibration, **changes)


def test_a_model_that_the_format_cannot_hold_is_refused_before_the_search(tmp_path, calibration, tiny_folder):
    with pytest.raises(EvopError, match=r"^export: --format gguf: opt cannot be written yet"):
        run(recipe(tmp_path / "out", calibration, model=str(tiny_folder("opt")), export="gguf"))
    assert not (tmp_path / "out" / "runs").exists()


def test_the_resolved_recipe_is_a_recipe(tmp_path, calibration):
    whole = recipe(tmp_path / "out", calibration, export="gguf")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(whole.resolved()))
    assert RunRecipe.read(tmp_path / "again.yaml") == whole
