"""What is asked, as it is typed, written in recipes, and named."""

import pytest

from evop.errors import EvopError
from evop.recipes.search import SearchRecipe
from evop.removal.size import bytes_words


@pytest.mark.parametrize(
    ("written", "remove"),
    [
        ("0.3", 0.3),
        (0.3, 0.3),
        (["0.3"], 0.3),
        ("flops=0.2", {"flops": 0.2}),
        ("kv=0.2,params=0.3", {"kv": 0.2, "params": 0.3}),
        (["kv=0.2", "params=0.3"], {"kv": 0.2, "params": 0.3}),
        ({"kv": 0.2, "params": "0.3"}, {"kv": 0.2, "params": 0.3}),
        (None, 0.25),
        ([], 0.25),
    ],
)
def test_one_fraction_or_several_however_they_are_written(written, remove):
    recipe = SearchRecipe.of(remove=written)
    assert recipe.remove == remove
    assert SearchRecipe.of(**recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("much", "expected a fraction such as 0.25, or COST=FRACTION such as flops=0.2"),
        ("kv=much", "expected a fraction"),
        ({"kv": None}, "expected a fraction"),
        (["0.2", "kv=0.2"], "several fractions need the names of their costs, such as params=0.2"),
        ("kv=0.2,kv=0.3", "kv stands there twice; leave one out"),
    ],
)
def test_what_is_no_fraction_is_refused(written, said):
    with pytest.raises(EvopError, match=f"option remove: {said}"):
        SearchRecipe.of(remove=written)


def test_a_cost_is_named_once():
    assert SearchRecipe.of(remove="kv=0.2,latency=0.1", cost="kv").costs == "kv+latency"
    with pytest.raises(EvopError, match=r"--cost flops is what a bare --remove counts, but --remove names its costs"):
        SearchRecipe.of(remove="kv=0.2,params=0.1", cost="flops")


@pytest.mark.parametrize(
    ("options", "name", "costs"),
    [
        ({}, "0.25", "params"),
        ({"remove": 0.1, "cost": "kv"}, "0.1", "kv"),
        ({"remove": {"kv": 0.2, "params": 0.3}}, "params=0.3,kv=0.2", "params+kv"),
        ({"fit_in": "4GiB"}, "fit=4GiB", "memory"),
        ({"fit_in": "18.5MiB", "remove": 0.1}, "0.1,fit=18944KiB", "params"),
        ({"tolerate": "0.1", "cost": "latency"}, "tolerated", "latency"),
        ({"tolerate": "0.1", "fit_in": 1000}, "fit=1000B", "memory"),
    ],
)
def test_a_budget_has_a_name(options, name, costs):
    recipe = SearchRecipe.of(**options)
    assert (recipe.budget_name, recipe.costs) == (name, costs)
    assert recipe.seeks_largest == (name == "tolerated")
    assert recipe.counts_time == (costs == "latency")


@pytest.mark.parametrize(
    ("written", "count"), [("4GiB", 2**32), ("1.5 gb", 1_500_000_000), ("512MiB", 2**29), ("77", 77), (77, 77)]
)
def test_bytes_are_read(written, count):
    assert SearchRecipe.of(fit_in=written).fit_in == count


@pytest.mark.parametrize("written", ["much", "4 TB", "-1", "", 0, "9" * 5000 + "GiB"])
def test_what_is_no_number_of_bytes_is_refused(written):
    with pytest.raises(EvopError, match="option fit_in: "):
        SearchRecipe.of(fit_in=written)


def test_bytes_are_written_for_a_person():
    assert (bytes_words(2**32), bytes_words(3 * 2**19)) == ("4.00 GiB", "1.50 MiB")


def test_the_way_to_a_number_that_is_none_holds_no_words_of_pydantics():
    for asked in (float("nan"), float("inf")):
        with pytest.raises(EvopError, match=rf"^option remove: Input should be a finite number \(found '{asked}'\)$"):
            SearchRecipe.of(remove=asked)
