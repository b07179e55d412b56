"""Hold-out, stratification, caps, merging, order."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from calibration import SAMPLERS, CalibrationError, DomainSource, Passage, Recipe, build_calibration_set
from calibration.choosing.order import balanced_order
from calibration.choosing.split import (
    SHARES,
    choose_held_out,
    held_out_count,
    refuse_empty_splits,
    share_out,
    split_passages,
)

CAPS = {"text": {"select": 1000, "audit": 1000, "unseen": 1000}}


def passages(table, domain="d"):
    """Passages from ``{document: {cluster: n}}``."""
    return [
        Passage.of(domain, document, f"{domain} {document} {cluster} {i}").placed(cluster=cluster)
        for document, clusters in table.items()
        for cluster, n in clusters.items()
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("clusters", "fraction", "expected"),
    [(8, 0.2, 2), (5, 0.2, 1), (3, 0.01, 1), (3, 0.9, 1), (8, 0.9, 6), (2, 0.5, 0), (1, 0.5, 0), (8, 0, 0)],
)
def test_held_out_count(clusters, fraction, expected):
    assert held_out_count(clusters, fraction) == expected


def test_held_out_choice_hangs_on_the_seed():
    some = passages({f"{c}-{i}": {c: 2} for c in range(5) for i in range(6)})
    chosen = {choose_held_out(some, 0.2, np.random.default_rng(seed)) for seed in range(20)}
    assert len(chosen) > 2
    assert all(len(clusters) == 1 for clusters in chosen)


def test_held_out_passes_over_what_costs_too_much():
    table = {f"0-{i}": {0: 2, 1: 4, 2: 4} for i in range(6)}  # holding 0 out costs 48 of 72
    table |= {f"3-{i}": {3: 2} for i in range(6)} | {f"1-{i}": {1: 1, 2: 1} for i in range(6)}
    some = passages(table)
    for seed in range(10):
        assert choose_held_out(some, 0.25, np.random.default_rng(seed)) == (3,)


def test_a_dear_cluster_is_held_out_for_want_of_a_cheaper_one():
    table = {f"{c}-{i}": {0: 1, 1: 1, 2: 1} for c in range(3) for i in range(4)} | {
        f"{i}": {1: 2, 2: 2} for i in range(3)
    }
    assert choose_held_out(passages(table), 0.3, np.random.default_rng(0)) == (0,)  # costs 24 of 36


def test_nothing_is_held_out_where_every_document_reaches_everywhere():
    some = passages({f"{i}": {0: 1, 1: 1, 2: 1} for i in range(20)})
    assert choose_held_out(some, 0.2, np.random.default_rng(0)) == ()


def test_documents_of_held_out_clusters_give_the_rest_up():
    table = {f"{c}-{i}": {c: 2} for c in range(3) for i in range(8)} | {"both": {0: 1, 1: 1, 2: 1}}
    some = passages(table)
    split = split_passages(some, hold_out=0.2, split_seed=0, caps=CAPS)
    (held,) = split.held_out["d"]
    where = {(p.document, p.cluster): s for p, s in zip(some, split.splits, strict=True)}
    assert {c: where["both", c] for c in range(3)} == {c: "unseen" if c == held else "" for c in range(3)}
    assert split.given_up == {"d": 2}
    assert all((s == "unseen") == (p.cluster == held) for p, s in zip(some, split.splits, strict=True) if s)


def test_a_document_of_two_domains_stays_in_one_split():
    table = {f"{c}-{i}": {c: 1} for c in range(4) for i in range(12)}
    some = passages(table, "a") + passages(table, "b")
    for seed in range(3):
        split = split_passages(some, hold_out=0.3, split_seed=seed, caps=CAPS)
        places = defaultdict(set)
        for p, s in zip(some, split.splits, strict=True):
            places[p.document].add(s)
        assert all(len(found - {""}) <= 1 for found in places.values())


def test_shares_are_met_in_every_group():
    rng = np.random.default_rng(0)
    documents = {f"doc{i}": Counter(f"g{c}" for c in rng.integers(0, 6, rng.integers(1, 6))) for i in range(600)}
    place = share_out(documents, SHARES, seed=3)
    totals, found = Counter(), Counter()
    for document, groups in documents.items():
        for group, n in groups.items():
            totals[group] += n
            found[group, place[document]] += n
    for group, total in totals.items():
        for split, share in SHARES.items():
            assert abs(found[group, split] / total - share) < 0.06


def test_three_documents_go_to_three_splits_in_any_sizes():
    for seed in range(20):
        documents = {name: {"g": n} for name, n in (("a", 100), ("b", 1), ("c", 10))}
        assert sorted(share_out(documents, SHARES, seed).values()) == ["audit", "search", "select"]


def test_another_domain_changes_nothing():
    mine = {f"doc{i}": {f"a/{i % 4}": 2} for i in range(40)}
    other = {f"other{i}": {f"b/{i % 3}": 1} for i in range(50)}
    together = share_out(other | mine, SHARES, 0)
    assert {d: together[d] for d in mine} == share_out(mine, SHARES, 0)


def test_caps_are_kept_and_counted():
    some = passages({f"{c}-{i}": {c: 3} for c in range(3) for i in range(20)})
    caps = {"text": {"select": 2, "audit": 5, "unseen": 7}}
    split = split_passages(some, hold_out=0.2, split_seed=0, caps=caps)
    counts = Counter((p.group, s) for p, s in zip(some, split.splits, strict=True))
    for cluster in range(3):
        held = cluster in split.held_out["d"]
        assert counts[f"d/{cluster}", "select"] == (0 if held else 2)
        assert counts[f"d/{cluster}", "audit"] == (0 if held else 5)
        assert counts[f"d/{cluster}", "unseen"] == (7 if held else 0)
    assert split.over_cap == {"d": sum(not s for s in split.splits)}


def test_prefixes_are_balanced_over_groups_and_stable():
    some = passages({f"{c}-{i}": {c: 1} for c in range(3) for i in range(5)}, "a")
    some += passages({f"{c}-{i}": {c: 1} for c in range(2) for i in range(9)}, "b")
    order = balanced_order(some, ["a", "b"], 0)
    assert [p.domain for p in order[:4]] == ["a", "b", "a", "b"]
    for n in range(1, 26):
        counts = Counter(p.group for p in order[:n])
        assert max(counts.values()) - min(counts.get(g, 0) for g in ("a/0", "a/1", "a/2", "b/0", "b/1")) <= 1
    assert balanced_order(some[::-1], ["a", "b"], 0) == order
    assert balanced_order(some, ["a", "b"], 1) != order


def test_select_audit_and_unseen_do_not_hang_on_the_sample(recipe):
    def kept_apart(**changes):
        built = build_calibration_set(recipe.model_copy(update=changes))
        return [p.id for p in built.passages if p.split != "search"], [p.id for p in built.split("search")]

    apart, search = kept_apart()
    others = [{"sampler": name} for name in SAMPLERS if name != recipe.sampler]
    assert len(others) >= 3
    for changes in ({"seed": 1}, {"passages": 9}, *others):
        other_apart, other_search = kept_apart(**changes)
        assert other_apart == apart
        assert other_search != search
    assert kept_apart(split_seed=1)[0] != apart


def test_small_clusters_are_merged_and_it_is_said(recipe):
    plain = build_calibration_set(recipe)
    assert not any(entry.merges for entry in plain.manifest.domains)
    # 160 passages of about 110 tokens; eight clusters of 20, so select (15%) holds about 300 tokens of each.
    built = build_calibration_set(recipe.model_copy(update={"clusters": 8, "min_group_tokens": 500}))
    for entry in built.manifest.domains:
        assert entry.merges
        assert entry.clusters == 8 - len(entry.merges)
        assert sum(f"cluster {merge.name!r}" in note for merge in entry.merges for note in built.manifest.notes) >= 1
    for group in built.manifest.groups:
        assert all(group.tokens[s] >= 500 for s in (("unseen",) if group.unseen else ("select", "audit")))


def test_hold_out_zero_and_two_clusters_say_so(recipe):
    none = build_calibration_set(recipe.model_copy(update={"hold_out": 0.0}))
    two = build_calibration_set(recipe.model_copy(update={"clusters": 2}))
    assert not none.split("unseen")
    assert not two.split("unseen")
    assert "no cluster is held out (hold_out 0), so nothing is unseen" in none.manifest.notes
    said = "fewer than 3 clusters, so none is held out and nothing is unseen: "
    assert said + ", ".join(domain.name for domain in two.manifest.domains) in two.manifest.notes


def test_too_little_text_is_one_cluster_and_a_note(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "this is line {i} about thing{i} and thing{i + 1}"}}\n' for i in range(9)))
    built = build_calibration_set(Recipe(domains=[DomainSource(name="d", source=str(path))]))
    assert len(built.groups) == 1
    assert all(built.split(s) for s in ("search", "select", "audit"))
    assert any(
        "fewer than the 512 estimated tokens a group needs to be judged" in note for note in built.manifest.notes
    )
    assert any("search passages instead of 64" in note for note in built.manifest.notes)


def test_empty_split_is_an_error():
    some = passages({"x": {0: 1}, "y": {0: 1}})
    split = split_passages(some, hold_out=0.0, split_seed=0, caps=CAPS)
    with pytest.raises(CalibrationError, match=r"domain d: its 2 documents leave .* empty"):
        refuse_empty_splits(some, split)


def test_no_cluster_is_held_out_that_would_empty_another():
    table = {f"0-{i}": {0: 10} for i in range(10)} | {f"1-{i}": {1: 5} for i in range(10)}
    some = passages(table | {f"2-{i}": {2: 1, 3: 1} for i in range(6)})  # 2 and 3 live in the same documents
    assert {choose_held_out(some, 0.2, np.random.default_rng(seed)) for seed in range(20)} == {(0,), (1,)}


def test_a_cluster_of_one_document_is_never_held_out(tmp_path, write_rows):
    """Ten documents of each of three topics, and one long document of its own."""
    rows = write_rows.make(["sail mast harbour", "bread flour oven", "court judge verdict"], 30, 2, 0)
    rows += [{**row, "book": "alone"} for row in write_rows.make(["violin cello sonata"], 12, 1, 1)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    recipe = Recipe(
        domains=[DomainSource(name="d", source=str(path))], group_by="book", clusters=4, min_group_tokens=50
    )
    for split_seed in range(8):
        built = build_calibration_set(recipe.model_copy(update={"split_seed": split_seed}))
        (entry,) = built.manifest.domains
        assert any("violin" in f"{merge.name}" for merge in entry.merges)
        documents = {p.document for p in built.split("unseen")}
        assert len(documents) >= 3


def test_a_domain_that_another_leaves_empty_is_an_error(tmp_path, write_rows):
    """Column b lives only in the documents of one topic of column a; with that topic held out nothing is left."""
    rows = write_rows.make(["sail mast harbour", "bread flour oven", "court judge verdict"], 30, 1, 0)
    other = write_rows.make(["violin cello sonata"], 30, 1, 1)
    pairs = [{"a": row["text"], "b": other[i]["text"] if i % 3 == 0 else None} for i, row in enumerate(rows)]
    path = write_rows(tmp_path / "a.jsonl", pairs)
    domains = [DomainSource(name=column, source=f"{path}:{column}") for column in "ab"]
    said = []
    for split_seed in range(8, 12):
        try:
            build_calibration_set(Recipe(domains=domains, clusters=3, min_group_tokens=50, split_seed=split_seed))
        except CalibrationError as error:
            said.append(str(error))
    assert 0 < len(said) < 4
    assert all(line.startswith("domain b: its 10 documents leave search and select and audit empty") for line in said)
