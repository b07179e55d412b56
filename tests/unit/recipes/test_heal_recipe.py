"""What is asked of a healing, as it is typed and as it is read."""

import pytest

from evop.errors import EvopError
from evop.recipes.heal import HealRecipe


@pytest.mark.parametrize(
    ("typed", "tokens"),
    [("2M", 2_000_000), ("1.5k", 1500), ("0.5B", 500_000_000), ("1200", 1200), ("2K", 2000), ("1m", 1_000_000), (7, 7)],
)
def test_tokens_are_typed_as_people_say_them(typed, tokens):
    assert HealRecipe.of(tokens=typed).tokens == tokens
    assert HealRecipe.of(look_every=typed).every == tokens


@pytest.mark.parametrize("typed", ["2X", "many", "", "-5", "0", 0, -1, "9" * 5000 + "M"])
@pytest.mark.parametrize("option", ["tokens", "look_every"])
def test_what_is_no_number_of_tokens_is_refused(option, typed):
    with pytest.raises(EvopError, match=option):
        HealRecipe.of(**{option: typed})


def test_groups_are_looked_at_twenty_times_unless_somebody_says():
    assert HealRecipe.of(tokens="2M").every == HealRecipe.of(tokens="2M", look_every="auto").every == 100_000


def test_wider_models_learn_more_slowly_unless_somebody_says():
    recipe = HealRecipe.of(train="full")
    assert recipe.rate(4096) == pytest.approx(recipe.rate(192) * 192 / 4096)
    assert HealRecipe.of(learning_rate=1e-4).rate(4096) == 1e-4
