"""EvoP's search asks the same patterns on every machine: at whole layers, under ``any``, with nothing protected."""

import hashlib

from toys import Landscape, layer_space

from patterns import Budget, make_strategy

ASKED = "61d8c4005a63d8c51918a2e20394272662508710ff4a47a5f186b95a65eefd3e"
"""Sha256 of all the levels asked. It tells of change, not of error: that selection, crossover and mutation are those of
the paper's code is counted, operator by operator, in ``tests/unit/patterns/test_genetic.py``."""


def test_a_whole_search_asks_what_it_asked():
    """TinyLlama's 22 layers, 5 of them removed, seed 31 as in the paper's code: 100 generations of 50."""
    budget = Budget(layer_space(22), 5 / 22)
    land = Landscape(budget.space)
    strategy, digest, generations = make_strategy("genetic", budget, 31), hashlib.sha256(), 0
    while asked := strategy.ask():
        generations += 1
        digest.update(bytes(level for pattern in asked for level in pattern.levels))
        strategy.tell({pattern: land.value(pattern) for pattern in asked})
    assert generations == 100
    assert digest.hexdigest() == ASKED
