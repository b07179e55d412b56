"""What leaves a stage is an ``evop.EvopError``, whatever room it began in."""

import pytest
from sets import small_set

import evop
from calibration import DomainSource, Recipe
from evop.reference import model_dir


def test_the_error_is_public():
    assert issubclass(evop.EvopError, ValueError)


def test_what_calibration_refuses(tmp_path):
    recipe = Recipe(domains=[DomainSource(name="law", source=str(tmp_path / "none.jsonl"))])
    with pytest.raises(evop.EvopError, match=r"none\.jsonl"):
        evop.build_calibration_set(recipe)


def test_what_patterns_refuse(tmp_path):
    with pytest.raises(evop.EvopError, match="strategy 'anneal' is unknown"):
        evop.search(model_dir(), small_set(), tmp_path / "run", strategy="anneal")
    with pytest.raises(evop.EvopError, match="remove must lie between 0 and 1"):
        evop.search(model_dir(), small_set(), tmp_path / "run", remove=1.5)


@pytest.mark.parametrize("stage", ["search", "audit"])
def test_a_set_that_is_not_there(stage, tmp_path):
    options = {"patterns": tmp_path} if stage == "audit" else {}
    with pytest.raises(evop.EvopError, match="nothing"):
        getattr(evop, stage)(model_dir(), tmp_path / "nothing", out=tmp_path / "out", **options)
