"""What was asked of the dense model is what is learned from later, within the room there is."""

from contextlib import nullcontext

import pytest
import torch

from evop.errors import EvopError
from evop.recovery.healing.distillation import Target, target_of
from evop.recovery.healing.folder import HealingFolder
from evop.recovery.healing.target_cache import TargetCache
from evop.tokens.passages import TokenPassages

SIZES = (5, 9, 3, 7)
PASSAGES = TokenPassages(
    tuple(tuple(range(size)) for size in SIZES), ("a/0",) * 4, tuple(map(str, range(4))), (False,) * 4
)


def cache_of(folder, limit=10**6, words=6, rest=True, room=nullcontext):
    return TargetCache(folder / "targets.bin", PASSAGES, words, rest, limit, room)


def targets(k=6):
    """One per passage, over a vocabulary of 20."""
    generator = torch.Generator().manual_seed(0)
    return [target_of(torch.randn(size - 1, 20, generator=generator), k) for size in SIZES]


def joined(several):
    return Target(*(torch.cat([getattr(one, name) for one in several]) for name in ("words", "chances")))


def same(one, other):
    return torch.equal(one.words, other.words) and torch.equal(one.chances, other.chances)


@pytest.mark.parametrize("k", [6, 20])
def test_what_is_kept_is_read_whatever_passages_are_together(k, tmp_path):
    cache, asked = cache_of(tmp_path, words=k, rest=k < 20), targets(k)
    assert cache.read([2]) is None
    cache.write([3, 1], joined([asked[3], asked[1]]))
    cache.write([0, 2], joined([asked[0], asked[2]]))
    assert same(cache.read([2, 3]), joined([asked[2], asked[3]]))
    assert same(cache.read([0, 1, 2]), joined(asked[:3]))


def test_one_unknown_passage_and_all_are_asked_again_but_what_is_known_stays(tmp_path):
    cache, asked = cache_of(tmp_path), targets()
    cache.write([1], asked[1])
    assert cache.read([0, 1]) is None
    other = Target(asked[1].words, asked[1].chances / 2)
    cache.write([0, 1], joined([asked[0], other]))
    assert same(cache.read([1]), asked[1])


def test_no_more_room_than_was_given(tmp_path):
    record = 4 * (6 + 7)
    cache, asked = cache_of(tmp_path, limit=record * (4 + 8)), targets()
    for i in range(4):
        cache.write([i], asked[i])
    assert (cache.known > 0).tolist() == [True, True, False, False]
    assert (tmp_path / "targets.bin").stat().st_size == record * (4 + 8)


def test_a_full_disk_is_said_on_one_line(tmp_path):
    folder = HealingFolder(tmp_path / "out")
    with pytest.raises(EvopError, match="disk is full"), folder.room():
        raise OSError(28, "No space left on device")
    with pytest.raises(EvopError, match="cannot be written"):
        cache_of(tmp_path / "nowhere", room=folder.room).write([0], targets()[0])
