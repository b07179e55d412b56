"""What the harness logs of a task is counted once per document, whatever its filters and metrics."""

from evop.auditing.harness_rows import ALL, harness_rows


def samples(right, filters=("strict", "flexible"), **more):
    return [
        {"doc_id": i, "doc": {"query": f"number {i}", "kind": "odd" if i % 2 else "even"}, "filter": name,
         "metrics": ["exact_match", *more], "exact_match": float(i in right[name]), **more}
        for i in range(20) for name in filters
    ]  # fmt: skip


def test_every_filter_is_a_metric_of_its_own():
    dense = samples({"strict": range(20), "flexible": range(20)})
    pruned = samples({"strict": range(8, 20), "flexible": range(20)})
    found = {(row.metric, row.group): row for row in harness_rows("p", "task", dense, pruned, "kind")}
    assert {metric for metric, _ in found} == {"exact_match, strict", "exact_match, flexible"}
    whole = found["exact_match, strict", ALL]
    assert (whole.n, whole.lost, whole.won, whole.pruned) == (20, 8, 0, 0.6)
    assert found["exact_match, flexible", ALL].lost == 0
    assert [found["exact_match, strict", f"task/{i}"].n for i in (0, 1)] == [10, 10]


def test_what_is_no_share_of_a_sample_is_left_out():
    right = {"strict": range(20)}
    logged = samples(right, ("strict",), perplexity=-7.5)
    assert {row.metric for row in harness_rows("p", "task", logged, logged, "kind")} == {"exact_match"}
