"""Whether a sample is large enough: on a toy whose variances are known, and in a search."""

import json

import numpy as np
import pytest
from sets import small_set

from calibration import Recipe
from evop.losses.table import LossTable
from evop.recipes.search import SearchRecipe
from evop.searching.sample_size import note_on, sample_size_of
from evop.searching.search_file import SampleSize
from evop.stages.search import search

ASKED = Recipe(domains=[{"name": "law", "source": "law.txt"}], passages=12)


def toy(*, spread, noise, passages, tokens=10, groups=400, twice=False):
    """Passages of groups whose true means differ by ``spread``, and each passage from its group's by ``noise``."""
    rng = np.random.default_rng(0)
    means = rng.normal(0.3, spread, (groups, 1)) + rng.normal(0, noise, (groups, passages))
    if twice:
        means = np.repeat(means, 2, axis=1)
    names = tuple(f"law/{group}" for group in range(groups) for _ in range(means.shape[1]))
    documents = tuple(f"{group}-{i}" for group in range(groups) for i in np.repeat(range(passages), 1 + twice))
    table = LossTable(names, means.ravel() * tokens, np.full(means.size, tokens))
    return sample_size_of([table], documents)


def test_noise_and_spread_of_a_toy_are_found():
    """With noise 0.12 and spread 0.05: an error of 0.06 at 4 passages, and 23 are needed for half the spread."""
    size = toy(spread=0.05, noise=0.12, passages=4)
    assert size.error == pytest.approx(0.06, rel=0.05)
    assert size.spread == pytest.approx(0.05, rel=0.15)
    assert size.passages == 4
    assert size.enough == pytest.approx(23, abs=6)


def test_a_document_is_one_draw_however_many_passages_it_has():
    once, twice = (toy(spread=0.05, noise=0.12, passages=4, twice=twice) for twice in (False, True))
    assert twice.error == pytest.approx(once.error)
    assert twice.enough == pytest.approx(2 * once.enough, abs=1)


def test_groups_that_differ_by_less_than_the_noise_have_no_spread():
    """Every group's passages lose 0.2 and 0.4: the means are equal, whatever the noise."""
    table = LossTable(tuple(f"law/{i // 2}" for i in range(20)), np.array([2.0, 4.0] * 10), np.full(20, 10))
    size = sample_size_of([table], tuple(map(str, range(20))))
    assert (size.error, size.spread, size.enough) == (pytest.approx(0.1), 0, None)


def test_groups_of_one_document_say_nothing():
    table = LossTable(("law/0", "law/0", "law/1"), np.array([1.0, 2.0, 3.0]), np.array([1, 1, 1]))
    assert sample_size_of([table], ("a", "b", "c")) is None


def size_of(error, spread, enough=12):
    return SampleSize(patterns=2, error=error, spread=spread, passages=3, enough=enough)


def test_the_note_says_what_would_do():
    note = note_on(size_of(0.04, 0.03), SearchRecipe.of(), ASKED)
    assert note == (
        "the sample is small: a group's mean excess is known to 0.040 nats per token, and groups differ by 0.030; "
        "about 12 passages per group would do (now 3.0): calibrate with --passages 48 instead of 12"
    )
    assert "than can be seen" in note_on(size_of(0.04, 0, None), SearchRecipe.of(), ASKED)


def test_the_worst_group_needs_a_larger_sample():
    between = size_of(0.02, 0.03)
    assert note_on(between, SearchRecipe.of(), ASKED) == ""
    assert note_on(between, SearchRecipe.of(objective="worst"), ASKED).endswith("follows the noise: use cvar")
    assert note_on(size_of(0.01, 0.03), SearchRecipe.of(objective="worst"), ASKED) == ""


def test_a_search_says_so_and_counts_what_it_took(tiny_folder, tmp_path):
    lines = []
    options = {
        "device": "cpu",
        "dtype": "float32",
        "grain": "layer",
        "deploy": "any",
        "objective": "worst",
        "max_tokens": 8,
        "min_group_tokens": 5,
    }
    for name, more in {"measured": {}, "short": {"evaluations": 3}, "again": {}}.items():
        out = tmp_path / ("again" if name == "short" else name)
        model, report = tiny_folder("llama"), lines.append
        account = search(model, small_set(), out, report=report, **options, **more).account
        assert (account.sample_size is None) == (name == "short")
        assert account.tokens["sample_size"] == (0 if name == "short" else 4 * account.tokens["dense"])
    assert any(line.startswith("the sample is small") for line in lines)
    logs = [(tmp_path / name / "trials.jsonl").read_bytes() for name in ("measured", "again")]
    assert logs[0] == logs[1]
    accounts = [json.loads((tmp_path / name / "search.json").read_text()) for name in ("measured", "again")]
    assert accounts[0]["sample_size"] == accounts[1]["sample_size"]
