"""How many weights of a row leave, and which; what is no such thing is refused."""

import math

import pytest
import torch

from evop.errors import EvopError
from evop.removal.sparsity import Sparsity


def test_so_many_of_every_row_leave_and_of_equals_the_first():
    scores = torch.tensor([[3.0, 1, 2, 4, -math.inf, 9], [1, 1, 1, 1, 1, 1]])
    assert Sparsity.read(0.5).stays(scores, 0).tolist() == [
        [True, False, False, True, False, True],
        [False, False, False, True, True, True],
    ]
    assert Sparsity.read("0.34").stays(scores, 0).sum(1).tolist() == [4, 4]  # two and a bit
    assert Sparsity.read(0.3).stays(torch.rand(1, 10), 0).sum() == 7  # 10 * 0.3 is a little less than 3


def test_of_neighbours_so_many_stay():
    four = torch.tensor([[3.0, 1, 2, 4, 8, 7, 5, 6]])
    assert Sparsity.read("2:4").stays(four, 0).tolist() == [[True, False, False, True, True, True, False, False]]
    assert Sparsity.read("4:8").stays(four, 0).tolist() == [[False, False, False, False, True, True, True, True]]
    with pytest.raises(EvopError, match=r"sparsity 2:4: fc has rows of 6, which is no multiple of 4"):
        Sparsity.read("2:4").stays(torch.rand(2, 6), 0, "fc")


def test_layers_may_lose_shares_of_their_own():
    three = Sparsity.read("0.4,0.5,0")
    assert [three.share(layer) for layer in range(3)] == [0.4, 0.5, 0]
    assert str(three) == "0.4,0.5,0"
    three.refuse_layers(3)
    with pytest.raises(EvopError, match="3 shares for 4 layers; give one, or one a layer"):
        three.refuse_layers(4)
    for one in ("0.5", "2:4"):
        Sparsity.read(one).refuse_layers(4)


@pytest.mark.parametrize("asked", ["1", "-0.1", "half", "0.5,", "nan", ""])
def test_what_is_no_share_is_refused(asked):
    with pytest.raises(EvopError, match="expected a share from 0 to less than 1"):
        Sparsity.read(asked)


@pytest.mark.parametrize("asked", ["4:4", "0:4", "5:4"])
def test_some_but_not_all_neighbours_stay(asked):
    with pytest.raises(EvopError, match="so many of so many stay"):
        Sparsity.read(asked)


def test_bytes_if_packed_by_hand():
    """16 weights of two bytes: half of them and a bit for each place; of 2:4, two bits for each that stays."""
    assert Sparsity.read(0.5).packed_bytes(16, 8, 2) == 16 + 2
    assert Sparsity.read("2:4").packed_bytes(16, 8, 2) == 16 + 2
    assert Sparsity.read("4:8").packed_bytes(16, 8, 2) == 16 + 3
    assert Sparsity.read(0.25).packed_bytes(16, 4, 4) == 48 + 2
