"""A group that the sampler gave no search passages: absent from the objective, judged all the same."""

import io

import pytest
from sets import small_set

from calibration import SAMPLERS, CalibrationSet
from evop.console.audit import print_audit
from evop.console.calibration_set import print_set
from evop.console.plain import PlainConsole
from evop.console.search import print_search
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.recipes.search import SearchRecipe
from evop.reference import model_dir
from evop.searching.passages import objective_passages
from evop.stages.audit import audit
from evop.stages.prune import prune
from evop.stages.search import SearchResult, search
from evop.tokens.passages import tokenize

QUICK = {"device": "cpu", "dtype": "float32", "max_tokens": 32, "min_group_tokens": 10}


def printed(show, value):
    console = PlainConsole(file=io.StringIO(), width=200)
    show(console, value)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A set drawn with EvoP's counter, saved and read again, and a short search on it."""
    place = tmp_path_factory.mktemp("road")
    small_set(sampler="evop", passages=3, seed=2).save(place / "set")
    search(model_dir(), place / "set", place / "run", evaluations=2, strategy="random", **QUICK)
    return place


@pytest.fixture(scope="module")
def absent(road):
    """The groups without search passages; at least one."""
    entries = CalibrationSet.load(road / "set").manifest.groups
    found = [g.key for g in entries if not g.unseen and not g.passages["search"]]
    assert found
    return found


def test_the_set_prints_and_names_them(road, absent):
    calibration = CalibrationSet.load(road / "set")
    said = printed(print_set, calibration)
    assert "note: no search passages (sampler evop" in said
    for key in absent:
        (row,) = [line.split() for line in said.splitlines() if line.strip().startswith(key)]
        assert row[-5:-1] == ["·", "3", "4", "·"]


def test_the_search_leaves_them_out_and_says_so(road, absent):
    found = SearchResult.read(road / "run")
    assert set(absent) <= set(found.account.left_out)
    assert not set(absent) & set(found.account.groups)
    assert set(found.pattern.claim.excess) == set(found.account.groups)
    said = printed(print_search, found)
    for key in absent:
        assert f"left out of the objective: {key} (no search passages in the calibration set)" in said


def test_the_audit_judges_and_marks_them(road, absent, tmp_path):
    how = {"device": "cpu", "dtype": "float32", "speed": False, "random_patterns": 2}
    done = audit(model_dir(), road / "set", road / "run", tmp_path / "audit", **how)
    audited = {row.group: row.label for row in done.file.groups if row.split == "audit"}
    assert set(absent) < set(audited)
    assert {key for key, label in audited.items() if label.endswith("(no search passages)")} == set(absent)
    assert not any("no search passages" in row.label for row in done.file.groups if row.split == "unseen")
    assert "(no search passages)" in printed(print_audit, done.file)
    assert (tmp_path / "audit" / "audit.png").stat().st_size > 10_000
    prune(model_dir(), road / "run", tmp_path / "pruned", audit=tmp_path / "audit", parity=False)
    rows = (tmp_path / "pruned" / "README.md").read_text().splitlines()
    assert sum("(no search passages)" in row for row in rows) == len(absent)


def test_a_group_short_in_both_splits_is_left_out_for_both():
    built, tokenizer = small_set(passages=4), load_tokenizer(Checkpoint.find(model_dir()))
    search_tokens, select_tokens = (
        tokenize(built.split(split), tokenizer, 512).tokens_by_group for split in ("search", "select")
    )
    least = max(min(search_tokens[group], select_tokens[group]) for group in search_tokens)
    left_out = objective_passages(built, tokenizer, SearchRecipe.of(min_group_tokens=least)).left_out
    assert len(left_out) == len(search_tokens) - 1
    both = [group for group in left_out if max(search_tokens[group], select_tokens[group]) < least]
    assert both
    for group in both:
        found = f"{search_tokens[group]} tokens in search and {select_tokens[group]} tokens in select"
        assert left_out[group] == f"{found}, fewer than {least}"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_makes_a_set_that_can_be_searched(sampler, tmp_path):
    built = small_set(sampler=sampler, passages=4)
    found = search(model_dir(), built, tmp_path / "run", evaluations=1, strategy="random", **QUICK)
    sampled = {passage.group for passage in built.split("search")}
    assert set(found.account.groups) == sampled
