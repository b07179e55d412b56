"""The samplers, by hand, and what a set says of what they left out."""

import random

import numpy as np
import pytest

from calibration import CalibrationError, CalibrationSet, Passage, build_calibration_set, describe
from calibration.choosing.sample import SAMPLERS, largest_remainders, water_fill


def pools(sizes):
    return {
        c: [Passage.of("d", f"{c}-{i}", f"cluster {c} text {i}", None) for i in range(n)] for c, n in enumerate(sizes)
    }


def counts(chosen, source):
    where = {p.id: c for c, some in source.items() for p in some}
    return [sum(where[p.id] == c for p in chosen) for c in source]


def test_the_table_of_samplers():
    assert list(SAMPLERS) == ["ccds", "proportional", "random", "evop"]


def test_water_fill_by_hand():
    assert water_fill([2, 10, 10], 13) == [2, 5, 6]
    assert water_fill([1, 1], 5) == [1, 1]
    assert water_fill([], 5) == []
    assert sorted(water_fill([5, 5, 5], 7)) == [2, 2, 3]


def test_largest_remainders_by_hand():
    assert largest_remainders([60, 25, 15], 10) == [6, 3, 1]  # 6, 2.5, 1.5: of equal remainders the first
    assert largest_remainders([60, 15, 25], 10) == [6, 2, 2]
    assert largest_remainders([97, 2, 1], 10) == [10, 0, 0]
    assert largest_remainders([1, 1], 5) == [1, 1]
    assert largest_remainders([], 5) == []


def test_ccds_shares_equally():
    source = pools([3, 50, 100])
    chosen = SAMPLERS["ccds"](source, 23, np.random.default_rng(0))
    assert counts(chosen, source) == [3, 10, 10]
    assert len({p.id for p in chosen}) == 23


def test_random_ignores_clusters():
    source = pools([20, 400])
    chosen = SAMPLERS["random"](source, 100, np.random.default_rng(0))
    assert counts(chosen, source)[0] < 20
    assert len({p.id for p in chosen}) == 100


def test_proportional_shares_by_size_and_draws_its_ties():
    source = pools([60, 25, 15])
    drawn = [SAMPLERS["proportional"](source, 10, np.random.default_rng(seed)) for seed in range(20)]
    assert {tuple(counts(chosen, source)) for chosen in drawn} == {(6, 3, 1), (6, 2, 2)}
    assert len({p.id for chosen in drawn for p in chosen if p.id in {q.id for q in source[0]}}) > 30


class Script(np.random.Generator):
    """Leaves every order as it is, and chooses what it was told to."""

    def __init__(self, choices):
        super().__init__(np.random.PCG64(0))
        self.choices = list(choices)

    def permutation(self, n):
        return np.arange(n)

    def integers(self, high):
        choice = self.choices.pop(0)
        assert choice < high
        return choice


@pytest.mark.parametrize(
    ("choices", "taken"),
    [
        ([0, 1, 1, 0], ["0-0", "1-1", "1-2", "0-3"]),  # one counter: neither 1-0 nor 0-1 is ever seen
        (
            [1, 0, 2, 1, 0],
            ["1-0", "0-1", "1-2", "0-3"],
        ),  # 2 has no text of number 2 and is dropped, never taken
        ([2, 2, 1, 1, 0], ["2-0", "1-1", "1-2", "0-3"]),
    ],
)
def test_evop_takes_the_number_of_its_one_counter(choices, taken):
    source = pools([5, 4, 1])
    script = Script(choices)
    assert [p.document for p in SAMPLERS["evop"](source, 4, script)] == taken
    assert script.choices == []


def test_evop_ends_when_every_cluster_is_dropped():
    source = pools([1, 3])
    script = Script([0, 0, 0, 0, 0])
    assert [p.document for p in SAMPLERS["evop"](source, 100, script)] == ["0-0", "1-1", "1-2"]
    assert script.choices == []


def test_evop_leaves_clusters_out_and_keeps_no_quota():
    source = pools([40, 40, 40, 40, 40])
    shapes = [counts(SAMPLERS["evop"](source, 7, np.random.default_rng(seed)), source) for seed in range(400)]
    absent = np.mean([0 in shape for shape in shapes])
    assert 0.70 < absent < 0.85  # exactly 1 - 5! S(7, 5) / 5**7 = 0.785
    assert max(map(max, shapes)) >= 5


def test_samplers_hang_on_their_generator_alone():
    source = pools([30, 30])
    for sampler in SAMPLERS.values():
        before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
        first, same, other = (sampler(source, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002
        assert first == same
        assert {p.id for p in first} != {p.id for p in other}


def test_unknown_sampler(recipe):
    with pytest.raises(CalibrationError, match="sampler 'best': expected one of ccds, proportional, random, evop"):
        build_calibration_set(recipe.model_copy(update={"sampler": "best"}))


def test_groups_without_search_passages_are_named_and_stay_to_be_judged(recipe, tmp_path):
    built = build_calibration_set(recipe.model_copy(update={"sampler": "evop", "passages": 2}))
    absent = [g for g in built.manifest.groups if not g.unseen and not g.passages["search"]]
    assert len(absent) >= 2  # of three searched clusters a domain, two passages reach two at most
    listed = ", ".join(f"{g.key} (pool {g.pool})" for g in absent)
    (said,) = [note for note in built.manifest.notes if note.startswith("no search passages (sampler evop")]
    assert said.endswith(f"absent from the objective, though still in select and audit: {listed}")
    assert all(g.pool and g.passages["select"] and g.passages["audit"] for g in absent)
    assert [row["search"] for row in describe(built)] == [g.passages["search"] for g in built.manifest.groups]
    few = [note for note in built.manifest.notes if "in search" in note]
    assert not any(f"{g.key} (0)" in note for g in absent for note in few)
    built.save(tmp_path / "set")
    assert (tmp_path / "set" / "clusters.png").stat().st_size > 10_000
    assert CalibrationSet.load(tmp_path / "set").manifest.notes == built.manifest.notes


def test_a_set_whose_groups_are_all_sampled_says_nothing_of_it(recipe):
    assert not any("no search passages" in note for note in build_calibration_set(recipe).manifest.notes)


def test_the_early_end_of_evop_is_said(recipe):
    built = build_calibration_set(recipe.model_copy(update={"sampler": "evop", "passages": 1000}))
    for entry in built.manifest.domains:
        pool = [g.pool for g in built.manifest.groups if g.domain == entry.name]
        assert entry.splits["search"] == max(pool) == sum(pool) - entry.not_sampled
        said = (
            f"{entry.name}: {max(pool)} search passages instead of 1000; sampler evop ends with as many as the "
            f"largest cluster has, and left {entry.not_sampled} of the pool unused"
        )
        assert said in built.manifest.notes
    all_of_it = build_calibration_set(recipe.model_copy(update={"passages": 1000}))
    assert sum("its pool has no more" in note for note in all_of_it.manifest.notes) == 2
