"""DarwinLM's strategy: switches within a kind, 16 offspring, 8, 4, 2 and 1 survivors."""

from itertools import pairwise

import pytest
from toys import SPACES, Landscape

from patterns import Fidelity, Stop, TrialLog, make_strategy, search
from patterns.strategies.darwin import STEPS

FIDELITIES = tuple(Fidelity(number, 100 * number) for number in (1, 2, 4, 8))


def rounds(budget, generations=3):
    """What a strategy asks for, and at which share, generation by generation."""
    strategy, land = make_strategy("darwin", budget, 0), Landscape(budget.space)
    for _ in range(1 + len(STEPS) * generations):
        asked = strategy.ask()
        yield asked, strategy.fidelity, strategy.survivors
        strategy.tell({pattern: land.value(pattern) for pattern in asked})


def test_the_steps_of_a_generation():
    (first, *_), *steps = rounds(SPACES["mixed any"])
    assert len(first) == 1
    assert [(share, survivors) for _, share, survivors in steps[:4]] == list(STEPS)
    assert [len(asked) for asked, *_ in steps[:4]] == [16, 8, 4, 3]  # two survivors, and the parent
    for (asked, *_), (after, share, _) in pairwise(steps[:4]):
        assert set(after) - set(asked) <= ({first[0]} if share == 1 else set())
    assert first[0] not in steps[0][0]


@pytest.mark.parametrize("space", ["mixed any", "subblock any"])
def test_a_switch_stays_within_a_kind(space):
    """Each offspring has as many levels of each kind gone as its parent, wherever the space holds such a switch."""
    budget = SPACES[space]
    (first, *_), (offspring, *_), *_ = rounds(budget)

    def gone(pattern):
        levels = dict.fromkeys({part.kind for part in budget.space.parts}, 0)
        for part, level in zip(budget.space.parts, pattern.levels, strict=True):
            levels[part.kind] += level
        return levels

    alike = [gone(child) == gone(first[0]) for child in offspring]
    assert sum(alike) >= 0.75 * len(alike)


def test_what_is_trained_is_charged_whole_at_every_fidelity(tmp_path):
    budget = SPACES["mixed any"]
    fidelities = tuple(Fidelity(number, 1000 * number, trained=900 * number) for number in (1, 2, 4, 8))
    log = TrialLog.create(tmp_path / "t.jsonl", {})
    strategy, land = make_strategy("darwin", budget, 0), Landscape(budget.space)
    search(strategy, budget, log, land, Stop(30), fidelities=fidelities, bounds=False)
    assert {trial.fidelity for trial in log.trials} == {1, 2, 4, 8}
    assert all(trial.measurement.tokens == 1000 * trial.fidelity for trial in log.trials)
