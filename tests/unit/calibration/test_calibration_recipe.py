"""The recipe of a calibration set: what it refuses, and which column names the documents."""

import pytest

from calibration import DomainSource, Recipe


def test_unknown_recipe_key():
    with pytest.raises(ValueError, match="extra"):
        Recipe(domains=[DomainSource(name="a", source="b")], cluster=3)
    for clusters in (0, "9" * 5000):
        with pytest.raises(ValueError, match="a number from 1 on"):
            Recipe(domains=[DomainSource(name="a", source="b")], clusters=clusters)


def test_a_domain_may_have_a_column_of_its_own_or_none():
    follows, none, own = (DomainSource(name="a", source="b", group_by=column) for column in (None, "", "book"))
    recipe = Recipe(domains=[follows, none, own], group_by="x")
    assert [recipe.group_by_of(domain) for domain in recipe.domains] == ["x", None, "book"]
