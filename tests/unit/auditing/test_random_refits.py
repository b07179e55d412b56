"""Random patterns refitted as the audited one was: rows of their own, beside random ones as they are."""

import pytest
from sets import small_set
from tiny import build, removing, write_pattern

from evop.auditing.audit_rows import REFITTED
from evop.recipes.audit import AuditRecipe
from evop.report.audit_sheets import summary_sheet
from evop.report.verdict import verdict
from evop.stages.audit import audit
from evop.stages.refit import refit

HOW = {"device": "cpu", "dtype": "float32"}
QUIET = {"needs": False, "speed": False, "max_tokens": 32, "random_patterns": 3, **HOW}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refits")
    model = build("llama", folder / "model")
    write_pattern(folder / "masked.json", *removing(model, "layers.1.mlp"), model)
    quick = {"refit": "chain", "anchor": 0.0, "max_tokens": 32, **HOW}
    for name, ridge in {"refitted": 0.1, "other": 1.0}.items():
        refit(model, folder / "masked.json", small_set(train_tokens=300), folder / name, ridge=ridge, **quick)
    return folder


def audited(place, patterns, learning, lines=None, **how):
    given = [place / name for name in patterns]
    report = [].append if lines is None else lines.append
    return audit(place / "model", learning, given, place / "audit", report=report, **QUIET, **how).file


def test_a_refitted_pattern_is_held_against_refitted_random_ones(place):
    lines, learning = [], small_set(train_tokens=300)
    file = audited(place, ["masked.json", "refitted"], learning, lines, random_refitted=2)
    assert file.randoms == ["random", REFITTED]
    assert [pattern.random for pattern in file.patterns] == ["random", REFITTED]
    plain, refitted = (file.random_of(name, "audit", "text") for name in file.randoms)
    assert (plain.patterns, refitted.patterns) == (3, 2)
    assert plain.mean != refitted.mean
    assert any("random refitted: the first 2 of random (seeds 0 to 1), by chain, ridge 0.1" in line for line in lines)
    shown = [row.cells[1].text for row in summary_sheet(file, "text").rows]
    assert "random refitted (median of 2) [range]" in shown
    again = audited(place, ["refitted"], learning, random_refitted=2)
    assert again.random_of(REFITTED, "audit", "text") == refitted  # the same seeds are the same patterns
    assert any("Of 2 random patterns of this size, refitted as it is" in line for line in verdict(again))


def test_each_way_to_refit_has_its_own(place):
    file = audited(place, ["refitted", "other"], small_set(train_tokens=300), random_refitted=1)
    assert [pattern.random for pattern in file.patterns] == [REFITTED, f"{REFITTED} as other"]


def test_they_are_left_out_where_they_cannot_be_or_are_not_wanted(place):
    lines = []
    assert audited(place, ["refitted"], small_set(train_tokens=300), random_refitted=0).randoms == ["random"]
    assert audited(place, ["masked.json"], small_set(train_tokens=300)).randoms == ["random"]
    assert audited(place, ["refitted"], small_set(), lines).randoms == ["random"]
    assert any("no random patterns are refitted beside refitted: the calibration set has no split" in x for x in lines)
    assert AuditRecipe().random_refitted == 3
