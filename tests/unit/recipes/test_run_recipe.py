"""A recipe for a whole run: what it means, what it refuses and how it says so."""

from pathlib import Path

import pytest

from calibration import Recipe
from evop.errors import EvopError
from evop.recipes.execution import Execution
from evop.recipes.run import EXECUTION, SEARCHED, RunRecipe
from evop.recipes.search import SearchRecipe
from evop.recipes.yaml_file import write_yaml

EXAMPLES = Path(__file__).resolve().parents[3] / "notebooks"
GOOD = """\
model: my/model
out: runs/mine
dtype: float32
calibration:
  domains:
    law: statutes.parquet
    code: {source: src.jsonl, group_by: repository}
    two: [a.jsonl, {source: b.jsonl, group_by: ""}]
  passages: 32
search:
  strategy: [cma, greedy]
  remove: [0.10, 0.2]
  protect: [layers.0.attn]
  hold_out_domain: [law]
  evaluations: 9
audit:
prune: all
"""


def read(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(text)
    return RunRecipe.read(tmp_path / "recipe.yaml")


def test_every_combination_is_a_cell_and_gets_the_engine(tmp_path):
    recipe = read(tmp_path, GOOD)
    names = [cell.name for cell in recipe.cells]
    assert names == ["cma-0.1-seed0", "greedy-0.1-seed0", "cma-0.2-seed0", "greedy-0.2-seed0"]
    assert {remove: len(cells) for remove, cells in recipe.budgets.items()} == {"0.1": 2, "0.2": 2}
    wanted = SearchRecipe(
        strategy="greedy",
        remove=0.2,
        protect=["layers.0.attn"],
        evaluations=9,
        hold_out_domain=["law"],
        dtype="float32",
    )
    assert recipe.cells[-1].recipe == wanted


def test_a_name_stays_when_a_list_grows(tmp_path):
    names = {cell.name for cell in read(tmp_path, GOOD.replace("[0.10, 0.2]", "0.1")).cells}
    assert names < {cell.name for cell in read(tmp_path, GOOD).cells}


def test_domains_may_be_a_mapping(tmp_path):
    domains = read(tmp_path, GOOD).calibration.domains
    assert [(d.name, d.source, d.group_by) for d in domains] == [
        ("law", "statutes.parquet", None),
        ("code", "src.jsonl", "repository"),
        ("two", "a.jsonl", None),
        ("two", "b.jsonl", ""),
    ]


def test_the_resolved_recipe_says_every_field_and_means_the_same(tmp_path):
    recipe = read(tmp_path, GOOD)
    content = recipe.resolved()
    assert set(content["search"]) == set(SEARCHED) == set(SearchRecipe.model_fields) - set(Execution.model_fields)
    assert set(content["calibration"]) == set(Recipe.model_fields)
    assert set(content) >= {*EXECUTION, "audit", "prune"}
    write_yaml(tmp_path / "again.yaml", content, "as it was resolved")
    assert RunRecipe.read(tmp_path / "again.yaml") == recipe
    assert [path.name for path in tmp_path.glob("again*")] == ["again.yaml"]


def test_a_recipe_in_python_is_the_same(tmp_path):
    law = {"law": "statutes.parquet"}
    built = RunRecipe.of(model=Path("m"), out="runs/mine", calibration={"domains": law}, search={"seed": [0, 1]})
    text = "model: m\nout: runs/mine\ncalibration: {domains: {law: statutes.parquet}}\nsearch: {seed: [0, 1]}\n"
    assert built == read(tmp_path, text)
    with pytest.raises(EvopError, match=r"^recipe: search\.sed: unknown key; did you mean seed\?$"):
        RunRecipe.of(model="m", out="o", calibration="set", search={"sed": 1})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("strategy:", "stratgy:", "search.stratgy: unknown key; did you mean strategy?"),
        ("model:", "modle:", "modle: unknown key; did you mean model?"),
        ("passages:", "pasages:", "calibration.pasages: unknown key; did you mean passages?"),
        ("group_by: repo", "groupby: repo", "calibration.domains.code.groupby: unknown key; did you mean group_by?"),
        ("audit:", "audit: {max_token: 9}", "audit.max_token: unknown key; did you mean max_tokens?"),
        ("audit:", "audit: {dtype: float32}", "audit.dtype: belongs at the top of the recipe"),
        ("audit:", "audit: yes", "audit: found 'True', expected keys such as max_tokens"),
        ("evaluations:", "device: cpu\n  evaluations:", "search.device: belongs at the top of the recipe"),
        ("model: my/model\n", "", "model: is missing"),
        ("[0.10, 0.2]", "[0.1, 0.10]", "search.remove: 0.1 stands there twice"),
        ("[0.10, 0.2]", "[]", "search.remove: an empty list"),
        ("[0.10, 0.2]", "[0.1, much]", "search.remove: expected a fraction such as 0.25"),
        ("evaluations: 9", "evaluations: 0", "search.evaluations: Input should be greater than or equal to 1"),
        ("evaluations: 9", "evaluations: [8, 9]", "search.evaluations: Input should be a valid integer"),
        ("statutes.parquet", "[]", "calibration.domains.law: an empty list"),
        ("statutes.parquet", "{group_by: title}", "calibration.domains.law.source: is missing"),
        ("law:", "my law:", "calibration.domains.my law: String should match pattern"),
        ("prune: all", "prune: some", "prune: Input should be 'best', 'all' or 'none' (found 'some')"),
        ("dtype: float32", "dtype: int3", "dtype: Input should be 'auto', 'float32'"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_key(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(EvopError) as refused:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert str(refused.value).startswith(f"{tmp_path / 'recipe.yaml'}: {said}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: m\nout: [a\n", " line 3: not YAML: expected ',' or ']'"),
        ("model: m\n\tout: a\n", " line 2: not YAML: found character '\\t'"),
        ("model: m\nout: a\nmodel: n\n", " line 3: model: stands there twice"),
        ("model: m\nsearch:\n  seed: 0\n  seed: 1\n", " line 4: seed: stands there twice"),
        ("model: !!python/object/apply:os.getcwd []\n", " line 1: not YAML: could not determine a constructor"),
        ("day: 2026-02-30\n", ": not YAML: day"),
        ("a: &a [*a]\n", " line 1: an alias that stands for what it lies in"),
        ("- model\n", ": found \"['model']\", expected keys such as model, out, calibration"),
        ("", ": found 'None', expected keys such as model"),
    ],
)
def test_what_is_no_recipe_is_one_line_with_its_number(tmp_path, text, said):
    with pytest.raises(EvopError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'recipe.yaml'}{said}")
    assert "\n" not in str(refused.value)


def test_files_that_are_none_are_one_line(tmp_path):
    with pytest.raises(EvopError, match="no such file"):
        RunRecipe.read(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"model: caf\xe9\n")
    with pytest.raises(EvopError, match="is not UTF-8 text"):
        RunRecipe.read(tmp_path / "latin.yaml")


@pytest.mark.parametrize(("name", "cells"), [("recipe.yaml", 6), ("smollm2.yaml", 1)])
def test_the_examples_are_recipes_whose_files_are_there(name, cells):
    recipe = RunRecipe.read(EXAMPLES / name)
    root = EXAMPLES.parent
    assert recipe.model.startswith(".models/") or (root / recipe.model / "config.json").is_file()
    assert all((root / domain.source).is_file() for domain in recipe.calibration.domains)
    assert len(recipe.cells) == cells


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("none", ()),
        ("layers.0.attn", ("layers.0.attn",)),
        ("layers.0.attn,layers.1.mlp", ("layers.0.attn", "layers.1.mlp")),
    ],
)
def test_words_of_the_command_line_mean_the_same_in_a_recipe(tmp_path, typed, meant):
    text = GOOD.replace("[layers.0.attn]", typed).replace("dtype: float32", "batch_size: auto")
    assert {cell.recipe.protect for cell in read(tmp_path, text).cells} == {meant}
    assert {cell.recipe.batch_size for cell in read(tmp_path, text).cells} == {None}


def test_an_option_of_one_strategy_is_left_out_of_the_cells_of_others(tmp_path):
    text = GOOD.replace("[cma, greedy]", "[cma, genetic]").replace("evaluations: 9", "elitism: 2")
    options = {cell.recipe.strategy: cell.recipe.strategy_options for cell in read(tmp_path, text).cells}
    assert options == {"cma": {}, "genetic": {"elitism": 2}}
    alone = read(tmp_path, text.replace("[cma, genetic]", "cma"))
    assert alone.cells[0].recipe.strategy_options == {"elitism": 2}  # no cell takes it: the search refuses it
