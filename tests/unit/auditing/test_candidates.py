"""The patterns under audit, and what they are called."""

from tiny import removing, write_pattern

from evop.auditing.candidates import candidates_of
from evop.model.checkpoint import Checkpoint


def test_no_two_patterns_have_one_name(tiny_folder, tmp_path):
    """A folder may be called what a second pattern of another name would be."""
    model = tiny_folder("llama")
    folders = [tmp_path / "a" / "x (3)", tmp_path / "b" / "x", tmp_path / "c" / "x"]
    for folder in folders:
        folder.mkdir(parents=True)
        write_pattern(folder / "pattern.json", *removing(model, "layers.1.mlp"), model)
    candidates = candidates_of(Checkpoint.find(model), folders)
    names = [candidate.name for candidate in candidates]
    assert names[:3] == ["x (3)", "x", "x (4)"]
    assert len(set(names)) == len(names)
