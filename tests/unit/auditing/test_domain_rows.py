"""What an audit says of every domain: its worst group, and intervals that hold for all domains at once."""

import numpy as np
import pytest

from evop.auditing.domains import domain_rows
from evop.auditing.split_losses import SplitLosses
from evop.auditing.summary import worst_groups
from evop.losses.table import LossTable
from evop.tokens.passages import TokenPassages

LOST = {"code/0": 0.1, "code/1": 0.5, "law/0": 0.3, "law/1": 0.2, "talk/0": 0.2}


def split_of(lost=LOST, documents=12, split="audit"):
    """Groups of as many one-passage documents, under two patterns, of which the second loses twice as much."""
    rng = np.random.default_rng(1)
    groups = tuple(group for group in lost for _ in range(documents))
    counts = np.full(len(groups), 100)
    dense = rng.normal(3, 0.5, len(groups)) * counts
    extra = (np.array([lost[group] for group in groups]) + rng.normal(0, 0.05, len(groups))) * counts
    tables = {name: LossTable(groups, dense + times * extra, counts) for name, times in (("one", 1), ("two", 2))}
    names = tuple(f"d{i}" for i in range(len(groups)))
    passages = TokenPassages(((0,) * 101,) * len(groups), groups, names, (False,) * len(groups))
    return SplitLosses(split, passages, LossTable(groups, dense, counts), tables)


def test_a_domain_is_its_group_that_loses_most():
    split = split_of()
    rows = domain_rows([split, split_of({"law/2": 0.1}, split="unseen")])
    assert [(row.pattern, row.split, row.domain, row.groups) for row in rows] == [
        *(("one", "audit", domain, groups) for domain, groups in (("code", 2), ("law", 2), ("talk", 1))),
        *(("two", "audit", domain, groups) for domain, groups in (("code", 2), ("law", 2), ("talk", 1))),
        ("one", "unseen", "law", 1), ("two", "unseen", "law", 1),
    ]  # fmt: skip
    code, law, talk = rows[:3]
    assert (code.worst_group, law.worst_group, talk.worst_group) == ("code/1", "law/0", "talk/0")
    assert code.worst_measured == pytest.approx(split.excess("one")[1])
    assert all(row.low < row.worst < row.high for row in rows)
    assert rows[3].worst == pytest.approx(2 * code.worst, rel=0.05)


def test_the_more_domains_hold_at_once_the_wider_is_each():
    alone = domain_rows([split_of({"code/0": 0.1, "code/1": 0.5})])[0]
    many = {**{f"d{i}/0": 0.1 for i in range(10)}, "code/0": 0.1, "code/1": 0.5}
    among = next(row for row in domain_rows([split_of(many)]) if row.domain == "code")
    worst = worst_groups(split_of({"code/0": 0.1, "code/1": 0.5}), 2000)["one"]
    assert (alone.low, alone.high) == pytest.approx((worst.low, worst.high), abs=0.003)
    assert among.high - among.low > 1.25 * (alone.high - alone.low)


def test_of_single_documents_there_is_no_interval():
    assert {(row.low, row.high) for row in domain_rows([split_of(documents=1)])} == {(None, None)}
