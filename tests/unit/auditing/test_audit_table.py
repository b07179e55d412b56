import numpy as np
import pytest

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import OF_QUESTIONS
from evop.auditing.split_losses import SplitLosses
from evop.auditing.split_losses import split_losses as split_losses_of
from evop.auditing.summary import random_rows, summary_rows
from evop.auditing.table import group_rows
from evop.losses.significance import wilson
from evop.losses.table import LossTable
from evop.removal.pattern_facts import ModelName
from evop.tokens.items import TokenItem
from evop.tokens.passages import TokenPassages


def split_losses(name="audit", passages=40, tokens=100, seed=0, gap=0.1):
    """Two groups: ``a`` with the given number of one-passage documents, ``b`` with one document of two passages."""
    rng = np.random.default_rng(seed)
    groups = ("toy/0",) * passages + ("toy/1",) * 2
    documents = (*(f"d{i}" for i in range(passages)), "single", "single")
    counts = np.array([tokens] * passages + [tokens // 2] * 2)
    ids = tuple((0,) * (int(count) + 1) for count in counts)
    whole = (False,) * len(ids)
    dense = rng.normal(3.0, 0.5, passages + 2) * counts
    extra = rng.normal(gap, 0.05, passages + 2) * counts
    tables = {
        "good": LossTable(groups, dense + extra, counts),
        "same": LossTable(groups, dense + extra + rng.normal(0, 0.02, passages + 2) * counts, counts),
        "bad": LossTable(groups, dense + extra + 0.5 * counts, counts),
    }
    return SplitLosses(name, TokenPassages(ids, groups, documents, whole), LossTable(groups, dense, counts), tables)


LABELS = {"toy/0": "toy/0 many", "toy/1": "toy/1 single"}


def row_of(split, pattern, group):
    (row,) = [row for row in group_rows([split], LABELS) if (row.pattern, row.group) == (pattern, group)]
    return row


def summary_of(split):
    return {row.pattern: row for row in summary_rows([split], group_rows([split], dict.fromkeys(split.groups, "")))}


def test_group_rows_hold_the_means_by_hand():
    split = split_losses()
    row = row_of(split, "good", "toy/0")
    assert (row.passages, row.documents, row.tokens) == (40, 40, 4000)
    dense, pruned = split.dense.loss[:40].sum() / 4000, split.pruned["good"].loss[:40].sum() / 4000
    assert row.dense_loss == pytest.approx(dense)
    assert row.excess == pytest.approx(pruned - dense)
    assert row.perplexity == pytest.approx(np.exp(pruned))
    assert row.low < row.excess < row.high


def test_a_group_of_one_document_has_no_interval():
    row = row_of(split_losses(), "good", "toy/1")
    assert (row.low, row.high) == (None, None)


def test_a_gap_inside_its_spread_is_a_tie_and_a_clear_one_is_not():
    summary = summary_of(split_losses())
    best = summary["good"].against
    other = {"good": "same", "same": "good"}[best]
    assert {name: row.tie for name, row in summary.items()} == {other: True, "bad": False, best: False}
    assert summary["bad"].gap == pytest.approx(0.5, abs=0.05)


def test_worst_at_equal_tokens_judges_every_group_on_as_many():
    split = split_losses()
    equal, tokens = split.at_equal_counts("good")
    assert tokens == 100
    first = (split.pruned["good"].loss[0] - split.dense.loss[0]) / 100
    single = (split.pruned["good"].loss[40:] - split.dense.loss[40:]).sum() / 100
    assert equal == pytest.approx({"toy/0": first, "toy/1": single})


def items(groups):
    """Two choices each: ``(dense costs, pruned costs)`` of every item of every group; the first choice is right."""
    names = [name for name, pairs in groups.items() for _ in pairs]
    made = tuple(TokenItem((1,), ((2,), (3,)), 0, (1, 1), len(names)) for _ in names)
    lines = np.array([[cost for pairs in groups.values() for pair in pairs for cost in pair[at]] for at in (0, 1)])
    documents = tuple(f"d{i}" for i in range(len(names)))
    passages = TokenPassages(tuple(i.ids for i in made), tuple(names), documents, (False,) * len(names), made)
    (found,) = split_losses_of("audit", passages, lines.astype(float), ["p"], "accuracy")
    return found


RIGHT, WRONG = (1, 2), (2, 1)
GROUPS = {
    "t/0": [(RIGHT, RIGHT)] * 30 + [(RIGHT, WRONG)] * 12 + [(WRONG, WRONG)] * 8,
    "t/1": [(RIGHT, RIGHT)] * 30 + [(RIGHT, WRONG)] * 3 + [(WRONG, RIGHT)] * 2,
    "t/2": [(RIGHT, WRONG)] * 5,
}


def test_items_are_counted_and_their_change_is_tested():
    rows = {row.group: row for row in group_rows([items(GROUPS)], {name: name for name in GROUPS})}
    first = rows["t/0"]
    assert (first.passages, first.lost, first.won, first.worse) == (50, 12, 0, True)
    assert (first.dense_accuracy, first.accuracy) == (0.84, 0.60)
    assert first.excess == pytest.approx(0.24)
    assert first.low < 0.24 < first.high
    assert (first.accuracy_low, first.accuracy_high) == pytest.approx(wilson(30, 50))
    assert first.p == pytest.approx(1 / 2**12)
    assert first.p_holm == pytest.approx(2 / 2**12)  # of the two that have enough items
    second = rows["t/1"]
    assert (second.lost, second.won, second.worse) == (3, 2, False)
    assert second.p == 0.5


def test_a_handful_of_items_is_listed_and_is_not_the_worst_group():
    split = items(GROUPS)
    row = summary_of(split)["p"]
    assert (row.worst_group, row.kind, row.worse, row.groups) == ("t/0", "item", 1, 3)
    assert row.worst_measured == pytest.approx(0.24)
    equal, count = split.at_equal_counts("p")
    assert (set(equal), count) == ({"t/0", "t/1"}, 35)
    (small,) = [row for row in group_rows([split], {name: name for name in GROUPS}) if row.group == "t/2"]
    assert (small.worse, small.p_holm, small.above, small.detectable) == (False, None, None, None)
    alone = items({"t/2": GROUPS["t/2"]})
    assert summary_of(alone)["p"].worst_group == "t/2"  # where there is nothing else to judge by


def test_draws_are_seeded_and_leave_the_global_state_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert summary_of(split_losses()) == summary_of(split_losses())
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_group_that_leads_is_told_from_one_that_merely_loses():
    """With a quarter of a model gone every group loses; the question is which loses more than the others."""
    rows = {row.group: row for row in group_rows([lead([0.3, 0.3, 0.3, 0.6])], dict.fromkeys("abcd", ""))}
    assert {group: row.above for group, row in rows.items()} == {"a": False, "b": False, "c": False, "d": True}
    assert all(row.low > 0 for row in rows.values())
    assert rows["d"].ahead == pytest.approx(0.3, abs=0.05)
    assert 0 < rows["d"].detectable < 0.1


def test_the_groups_that_may_be_the_worst_are_named_with_how_sure_it_is():
    clear, close = (summary_of(lead(losses))["p"] for losses in ([0.2, 0.2, 0.2, 0.6], [0.2, 0.3, 0.3, 0.3]))
    assert (clear.worst_among, clear.above) == (["d"], 1)
    assert clear.worst_sure > 0.99
    assert len(close.worst_among) > 1
    assert set(close.worst_among) <= set("bcd")
    assert close.worst_sure < 0.9
    assert close.worst < close.worst_measured
    assert close.worst_low < 0.3 < close.worst_high


def lead(losses, documents=24):
    """Groups a, b, … that lose so much, in documents that vary by 0.1 nats."""
    rng = np.random.default_rng(3)
    groups = tuple(name for name in "abcdefgh"[: len(losses)] for _ in range(documents))
    counts = np.full(len(groups), 50)
    extra = (np.repeat(losses, documents) + rng.normal(0, 0.1, len(groups))) * counts
    names = tuple(f"d{i}" for i in range(len(groups)))
    passages = TokenPassages(((0,) * 51,) * len(groups), groups, names, (False,) * len(groups))
    dense = LossTable(groups, 3.0 * counts, counts)
    return SplitLosses("audit", passages, dense, {"p": LossTable(groups, dense.loss + extra, counts)})


def test_random_patterns_are_a_median_and_a_range():
    split = split_losses()
    (row,) = random_rows({"random": [split]})
    worst = sorted(summary.worst for summary in summary_of(split).values())
    assert (row.name, row.patterns, row.worse) == ("random", 3, None)
    assert [row.worst.least, row.worst.median, row.worst.most] == pytest.approx(worst, abs=0.02)
    lost = sorted(split.excess(pattern)[0] for pattern in split.pruned)
    assert [row.groups["toy/0"].least, row.groups["toy/0"].median, row.groups["toy/0"].most] == pytest.approx(lost)
    (row,) = random_rows({"random": [items(GROUPS)]})
    assert row.worse.median == 1


def test_the_frame_has_the_columns_of_questions_where_there_are_some():
    text, questions = (
        audit_file(groups=group_rows([split], dict.fromkeys(split.groups, ""))).group_frame()
        for split in (split_losses(), items(GROUPS))
    )
    assert list(text)[:3] == ["pattern", "split", "kind"]
    assert set(questions) - set(text) == OF_QUESTIONS
    assert np.isnan(text.set_index("group").low["toy/1"]).all()
    assert questions.set_index("group").worse.to_dict() == {"t/0": True, "t/1": False, "t/2": False}


def audit_file(**rows):
    model = ModelName(name="m", revision=None, fingerprint="f")
    known = {"version": "0", "model": model, "calibration": "c", "max_tokens": 9, "dtype": "float32"}
    return AuditFile(**known, metric="accuracy", interval="", patterns=[], summary=[], **rows)
