"""The patterns under audit, and what they are called."""

from tiny import removing, write_pattern

from evop.auditing.candidates import candidates_of
from evop.model.checkpoint import Checkpoint


def test_no_two_patterns_have_one_name(tiny_folder, tmp_path):
    """A folder may be called what a second pattern of another name would be."""
    model = tiny_folder("llama")
    folders = [tmp_path / "a" / "x (5)", *(tmp_path / name / "x" for name in ("b", "c", "d/c", "e/c"))]
    for folder in folders:
        folder.mkdir(parents=True)
        write_pattern(folder / "pattern.json", *removing(model, "layers.1.mlp"), model)
    candidates, _ = candidates_of(Checkpoint.find(model), folders, 1)
    assert [candidate.name for candidate in candidates] == ["x (5)", "x", "c/x", "x (4)", "x (6)"]


def test_random_patterns_are_drawn_once_per_budget(tiny_folder, tmp_path):
    model, paths = tiny_folder("llama"), []
    for name, part in {"a": "layers.1.mlp", "b": "layers.2.mlp"}.items():
        paths.append(tmp_path / f"{name}.json")
        write_pattern(paths[-1], *removing(model, part), model)
    candidates, randoms = candidates_of(Checkpoint.find(model), paths, 8)
    assert [(patterns.name, len(patterns.cuts)) for patterns in randoms] == [("random", 8)]
    assert [candidate.beside for candidate in candidates] == ["random", "random"]
    assert len({repr(cut) for cut in randoms[0].cuts}) > 1
    again = candidates_of(Checkpoint.find(model), paths, 4)[1][0]
    assert repr(again.cuts) == repr(randoms[0].cuts[:4])  # fewer are the first of more
    candidates, randoms = candidates_of(Checkpoint.find(model), paths, 0)
    assert (randoms, candidates[0].beside) == ([], None)


def test_a_point_of_a_search_is_named_as_it_is_pruned(tiny_folder, tmp_path):
    model = tiny_folder("llama")
    point = tmp_path / "mine" / "points" / "0.20"
    (point / "healed").mkdir(parents=True)
    for folder in (point, point / "healed"):
        write_pattern(folder / "pattern.json", *removing(model, "layers.1.mlp"), model)
    given = [tmp_path / "mine@0.20", point / "healed"]
    candidates, _ = candidates_of(Checkpoint.find(model), given, 0)
    assert [candidate.name for candidate in candidates] == ["mine@0.20", "mine@0.20, healed"]
    (candidate,), _ = candidates_of(Checkpoint.find(model), [tmp_path / "mine@0.2"], 0)  # one number, written otherwise
    assert candidate.opened.place == point / "pattern.json"
