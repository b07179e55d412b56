"""Where a comparison looks for audits."""

from evop.stages.compare_audits import audits_beside


def test_beside_a_run_beside_a_recipe_and_beside_a_search_by_tolerances(tmp_path):
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "runs" / "cell", tmp_path / "c" / "mine" / "points" / "0.20"]
    audits = [tmp_path / name / "audit" for name in "abc"]
    for folder in (*runs, *audits, tmp_path / "a" / "pruned"):
        folder.mkdir(parents=True)
    for folder in (*audits, tmp_path / "a" / "pruned"):
        (folder / "audit.json").touch()
    (tmp_path / "a" / "pruned" / "config.json").touch()  # a checkpoint has a copy
    assert audits_beside(runs) == audits
