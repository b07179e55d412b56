"""Which units leave first, and what that makes of a space."""

from itertools import pairwise

import numpy as np
import pytest

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.removal.cut import Cut
from evop.removal.ranking import COUNTED, Ranking
from evop.removal.space import pattern_space
from patterns import Pattern

UNITS = {"attn": 2, "mlp": 48}


@pytest.fixture
def space(tiny_folder):
    return pattern_space(Checkpoint.find(tiny_folder("llama")), "mixed")


def importance(space, seed=0):
    rng = np.random.default_rng(seed)
    return {part.name: rng.gamma(0.5, 1.0, UNITS[part.kind]) for part in space.parts}


def test_saved_and_loaded_they_are_the_same(space, tmp_path):
    fill = {"layers.0.mlp": np.arange(48, dtype=np.float32) / 7}
    ranking = Ranking(importance(space), fill)
    paths = tmp_path / "orders.npz", tmp_path / "again.npz"
    for path in paths:
        ranking.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "orders.npz"]
    loaded = Ranking.load(paths[0])
    assert loaded.fingerprint == ranking.fingerprint
    for name in ("importance", "fill"):
        before, after = getattr(ranking, name), getattr(loaded, name)
        assert before.keys() == after.keys()
        assert all(after[key].dtype == before[key].dtype and np.array_equal(after[key], before[key]) for key in before)


def test_every_number_counts_in_the_fingerprint(space):
    one = Ranking(importance(space), {"layers.0.mlp": np.zeros(48, dtype=np.float32)})
    changed = {**one.importance, "layers.1.mlp": one.importance["layers.1.mlp"] + 1e-9}
    filled = {"layers.0.mlp": np.full(48, 1e-9, dtype=np.float32)}
    others = [Ranking(changed, one.fill), Ranking(one.importance, filled), Ranking(one.importance)]
    assert len({ranking.fingerprint for ranking in (one, *others)}) == 4
    assert len({ranking.priced(space).fingerprint for ranking in (one, *others, Ranking())}) == 5


@pytest.mark.parametrize("content", [b"", b"torn", b"PK\x03\x04 torn", None])
def test_what_holds_no_orders_is_refused(content, tmp_path):
    path = tmp_path / "orders.npz"
    if content is None:
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(EvopError, match=r"orders\.npz holds no ranking \(.*move the run away and search again"):
        Ranking.load(path)
    with pytest.raises(EvopError, match="none holds no ranking"):
        Ranking.load(tmp_path / "none")


def test_pickles_are_not_read(tmp_path):
    np.savez(tmp_path / "orders.npz", **{"importance/layers.0.mlp": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(EvopError, match="allow_pickle"):
        Ranking.load(tmp_path / "orders.npz")


def test_what_matters_least_leaves_first_and_what_left_stays_away(space):
    ranking = Ranking(importance(space))
    for i, part in enumerate(space.parts):
        kept = [set(range(UNITS[part.kind]))]
        for level in range(1, part.top):
            cut = ranking.cut_of(space, space.dense.with_level(i, level))
            assert (cut.gone, set(cut.kept)) == (frozenset(), {(part.kind, part.layer)})
            stays = cut.kept[part.kind, part.layer]
            assert list(stays) == sorted(stays)
            assert len(stays) == part.units[-1] - part.units[level]
            assert set(stays) < kept[-1]
            kept.append(set(stays))
            values = ranking.importance[part.name]
            gone = [values[unit] for unit in range(len(values)) if unit not in stays]
            assert max(gone) <= min(values[list(stays)])
        assert ranking.cut_of(space, space.dense.with_level(i, part.top)) == Cut(frozenset({(part.kind, part.layer)}))


def test_equal_units_leave_in_their_own_order(space):
    ranking = Ranking({part.name: np.zeros(UNITS[part.kind]) for part in space.parts})
    assert list(ranking.units["layers.0.mlp"]) == list(range(48))


def test_a_price_is_the_share_of_importance_gone_half_way_through_its_level(space):
    ranking = Ranking(importance(space))
    priced = ranking.priced(space)
    for part in priced.parts:
        values = np.sort(ranking.importance[part.name])
        share = (1 - COUNTED) * values / values.sum() + COUNTED / len(values)
        for level in range(1, part.top + 1):
            before, after = share[: part.units[level - 1]].sum(), share[: part.units[level]].sum()
            assert part.price(level) == pytest.approx((before + after) / 2)
        prices = [0.0, *part.prices, 1.0]
        assert all(a < b for a, b in pairwise(prices))


def test_a_score_is_the_mean_standardised_importance_of_what_leaves(space):
    ranking = Ranking(importance(space))
    for part in ranking.priced(space).parts:
        values = np.sort(ranking.importance[part.name])
        standard = (values - values.mean()) / values.std(ddof=1)
        expected = [standard[a:b].mean() for a, b in pairwise(part.units)]
        assert part.scores == pytest.approx(expected)
        assert list(part.scores) == sorted(part.scores)


@pytest.mark.parametrize("values", [0.0, 3.0], ids=["nothing matters", "all matters alike"])
def test_units_that_matter_alike_are_counted(space, values):
    ranking = Ranking({part.name: np.full(UNITS[part.kind], values) for part in space.parts})
    for part in ranking.priced(space).parts:
        units = np.array(part.units) / part.units[-1]
        assert part.prices == pytest.approx((units[1:] + units[:-1]) / 2)
        assert part.scores == pytest.approx([0.0] * part.top, abs=1e-9)


def test_units_that_do_not_matter_at_all_still_have_ascending_prices(space):
    some = importance(space)
    some = {name: np.where(np.arange(len(values)) < len(values) // 2, 0.0, values) for name, values in some.items()}
    for part in Ranking(some).priced(space).parts:
        assert all(a < b for a, b in pairwise((0.0, *part.prices)))


def test_whole_parts_get_a_score_and_no_price(tiny_folder):
    space = pattern_space(Checkpoint.find(tiny_folder("llama")), "subblock")
    priced = Ranking({part.name: np.array([float(i)]) for i, part in enumerate(space.parts)}).priced(space)
    assert [part.scores for part in priced.parts] == [(float(i),) for i in range(8)]
    assert {part.prices for part in priced.parts} == {()}
    assert [part.removed for part in priced.parts] == [part.removed for part in space.parts]
    assert Ranking().priced(space) is space
    assert Ranking().cut_of(space, Pattern((1,) + (0,) * 7)) == Cut(frozenset({("attn", 0)}))


def test_random_orders_are_of_their_seed_alone(space):
    one, same, other = (Ranking.random(space, seed) for seed in (3, 3, 4))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert len({tuple(units) for name, units in one.units.items() if "mlp" in name}) == 4
