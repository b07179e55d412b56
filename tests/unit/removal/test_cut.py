"""What leaves a model, in words a person can read and edit."""

import random

import pytest

from evop.errors import EvopError
from evop.removal.cut import from_ranges, place_of, places, to_ranges
from patterns import Cost, Part


def test_ranges_there_and_back():
    rng = random.Random(0)
    assert to_ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    for _ in range(200):
        numbers = tuple(sorted(rng.sample(range(60), rng.randint(1, 50))))
        assert from_ranges(to_ranges(numbers)) == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "1, 2", "1-2-3", "0x1", "1.5", "²"])
def test_what_is_no_list_of_numbers_is_refused(text):
    with pytest.raises(EvopError, match="expected ascending numbers and ranges, such as 0-2,5,7-8"):
        from_ranges(text)


@pytest.mark.parametrize("text", ["3-1", "1,1", "2,1", "0-5,5", "0-5,3-7", "4,9-8"])
def test_what_does_not_ascend_is_refused(text):
    with pytest.raises(EvopError, match="do not ascend"):
        from_ranges(text)


def test_places():
    assert places(Part("layers.3", 3, "layer", (Cost(), Cost(1)))) == (("attn", 3), ("mlp", 3))
    assert places(Part("layers.3.mlp", 3, "mlp", (Cost(), Cost(1)))) == (("mlp", 3),)
    assert place_of("layers.12.attn") == ("attn", 12)


@pytest.mark.parametrize("name", ["layers.3", "layers.3.norm", "layer.3.attn", "layers.x.attn", "layers.-1.mlp", "mlp"])
def test_names_of_no_place_are_refused(name):
    with pytest.raises(EvopError, match=r"is unknown; expected such as layers\.3\.attn"):
        place_of(name)
