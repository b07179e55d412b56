"""What lm-evaluation-harness logs of a task, broken down by group: a row per metric and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calibration import EMBEDDERS, Group, Passage
from calibration.clustering.cluster import cluster_domain, given_clusters
from calibration.clustering.names import names_of
from evop.auditing.audit_rows import HarnessRow
from evop.losses.means import document_means
from evop.losses.significance import mcnemar, worse

SEED = 0
ALL = "all"
"""The group of every sample of a task."""

Sample = dict[str, Any]
"""One document of a task as the harness logs it."""


def harness_rows(
    pattern: str, task: str, dense: Sequence[Sample], pruned: Sequence[Sample], column: str | None
) -> list[HarnessRow]:
    """Compare the samples of the dense and of a pruned model: the whole task first, then its groups.

    Args:
        pattern: the name of the pattern.
        task: the name of the task.
        dense: samples of the dense model, in the order of the documents.
        pruned: samples of the pruned model, likewise.
        column: the column of the documents that names their group; None to cluster them by their words.

    Returns:
        One row per metric and group; a task that reads an answer in several ways has a metric for each.
    """
    dense_logs, pruned_logs = _by_filter(dense), _by_filter(pruned)
    groups = _groups(task, next(iter(dense_logs.values())), column)
    rows = []
    for filter_name, metric in [(name, metric) for name, log in dense_logs.items() for metric in _metrics(log)]:
        both = (dense_logs[filter_name], pruned_logs[filter_name])
        before, after = (np.array([float(sample[metric]) for sample in log]) for log in both)
        shown = metric if len(dense_logs) == 1 else f"{metric}, {filter_name}"
        whole, *parts = [
            _row((pattern, task, shown), group, label, before[members], after[members])
            for group, (label, members) in groups.items()
        ]
        verdicts = iter(worse([(row.lost, row.won) for row in parts if row.lost is not None and row.won is not None]))
        rows.append(whole)
        for row in parts:
            p_holm, is_worse = (None, None) if row.p is None else next(verdicts)
            rows.append(row.model_copy(update={"p_holm": p_holm, "worse": is_worse}))
    return rows


def _by_filter(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Separate the ways in which a task reads an answer: it logs every document once per filter."""
    logs: dict[str, list[Sample]] = {}
    for sample in samples:
        logs.setdefault(str(sample.get("filter", "none")), []).append(sample)
    return logs


def _metrics(samples: Sequence[Sample]) -> list[str]:
    """Name the metrics that are a share per sample; one that only has a meaning over all, as a perplexity, is none."""

    def is_share(value: Any) -> bool:
        return isinstance(value, int | float) and 0 <= value <= 1

    return [name for name in samples[0].get("metrics", []) if all(is_share(sample.get(name)) for sample in samples)]


def _row(key: tuple[str, str, str], group: str, label: str, before: np.ndarray, after: np.ndarray) -> HarnessRow:
    pattern, task, metric = key
    each, ones = np.arange(len(before)), np.ones(len(before))
    low, high = document_means(after - before, ones, each, np.zeros(len(before), dtype=int)).interval()[:, 0].tolist()
    binary = bool(np.isin(np.concatenate([before, after]), (0.0, 1.0)).all())
    lost, won = (int(((before == 1) & (after == 0)).sum()), int(((before == 0) & (after == 1)).sum()))
    return HarnessRow(
        pattern=pattern,
        task=task,
        metric=metric,
        group=group,
        label=label,
        n=len(before),
        dense=float(before.mean()),
        pruned=float(after.mean()),
        low=low if len(before) > 1 else None,
        high=high if len(before) > 1 else None,
        lost=lost if binary else None,
        won=won if binary else None,
        p=mcnemar(lost, won) if binary else None,
    )


def _groups(task: str, samples: Sequence[Sample], column: str | None) -> dict[str, tuple[str, list[int]]]:
    """Find the groups: key -> what a person reads, and the places of its samples; all samples first."""
    groups = {ALL: (task, list(range(len(samples))))}
    passages = [Passage.of(task, f"{i}", text=_words(sample["doc"])) for i, sample in enumerate(samples)]
    vectors = EMBEDDERS["lexical"]("", SEED).embed(passages)
    if column is None:
        clustering = cluster_domain(task, vectors, "auto", SEED)
    else:
        clustering = given_clusters(vectors, [str(sample["doc"][column]) for sample in samples])
    for cluster, name in enumerate(names_of(clustering, [passage.plain for passage in passages])):
        members = np.flatnonzero(clustering.labels == cluster).tolist()
        group = Group(task, cluster, name, unseen=False)
        groups[group.key] = (group.label, members)
    return groups


def _words(doc: Mapping[str, Any]) -> str:
    """Join the texts of a document, field after field."""
    return " ".join(str(value) for value in doc.values() if isinstance(value, str)) or str(dict(doc))
