"""The model card: what the hub reads, and what a person reads."""

from __future__ import annotations

import dataclasses

import pytest
import yaml
from tiny import build, removing, write_pattern

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow, SummaryRow
from evop.errors import EvopError
from evop.export.parity import Beside, ParityReport
from evop.export.plan import planned
from evop.files.json_file import sha256
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.removal.pattern_facts import Claim, ModelName, Origin, RefitNote
from evop.removal.pattern_file import PatternFile
from evop.removal.ranking import Ranking
from evop.report.card import CardFacts, model_card
from evop.stages.prune import prune

PARITY = ParityReport(
    dtype="float32",
    device="cpu",
    tokens=256,
    difference=1e-6,
    ratio=2.5e-7,
    greedy_agrees=True,
    parameters=Beside(dense=100, pruned=60),
    bytes=Beside(dense=200, pruned=120),
    tokens_per_second=Beside(dense=1000, pruned=1500),
)
CLAIM = Claim(search=0.4, select=0.5, pooled=0.45, worst_group="law/1", excess={"code/0": 0.1, "law/1": 0.5})
ORIGIN = Origin(
    strategy="cma",
    objective="worst",
    tail=0.5,
    loss="nll",
    scale="none",
    importance="none",
    importance_over="mean",
    fitness_on="all",
    held_out=[],
    seed=3,
    evaluations=400,
    tokens=123456,
    stopped="evaluations",
    max_tokens=512,
    calibration="c" * 64,
    trials_sha256="t" * 64,
)


@pytest.fixture
def folder(tmp_path):
    return build("llama", tmp_path / "model")


def facts(folder, *names, name=None, **changes):
    space, pattern = removing(folder, *names)
    checkpoint = Checkpoint(folder, name or str(folder))
    path = write_pattern(folder.parent / "p.json", space, pattern, folder)
    file = PatternFile.read(path).model_copy(update={"claim": CLAIM, "origin": ORIGIN})
    plan = planned(checkpoint, family_of(checkpoint.model_type), Ranking().cut_of(space, pattern))
    return dataclasses.replace(CardFacts(checkpoint, file, plan, (100, 60), (200, 120), PARITY), **changes)


def front(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_front_matter_of_a_local_model(folder):
    found = front(model_card(facts(folder, "layers.0.attn"), "p"))
    assert found == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["pruned", "evop", "structured-pruning"],
    }


def test_front_matter_inherits_from_a_hub_model(folder):
    said = "license: other\nlicense_name: mine\nlicense_link: LICENSE\nlanguage: [en, de]\ndatasets: [x/y]"
    (folder / "README.md").write_text(f"---\n{said}\n---\n# Base")
    found = front(model_card(facts(folder, "layers.0.attn", name="who/what"), "p"))
    assert found["base_model"] == "who/what"
    assert "base_model_relation" not in found
    assert (found["license"], found["license_name"], found["license_link"]) == ("other", "mine", "LICENSE")
    assert found["language"] == ["en", "de"]
    assert "datasets" not in found


MERGED = "a0: &a0 {b: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{f'*a{i - 1},' * 9}]}}\n" for i in range(1, 12))
DEEP = "license: " + "[" * 3000


@pytest.mark.parametrize(
    "text", ["no front matter", *(f"---\n{front}\n---\n" for front in (": [", "- a", DEEP, MERGED + "license: mit"))]
)
def test_a_base_card_that_cannot_be_read_is_no_obstacle(text, folder):
    (folder / "README.md").write_text(text)
    assert "license" not in front(model_card(facts(folder, "layers.0.attn"), "p"))


def test_body_says_what_was_removed_how_it_was_found_and_how_to_do_it_again(folder):
    card = model_card(facts(folder, "layers.1.mlp", "layers.2.attn", name="who/what"), "p")
    assert "`layers.1.mlp`, `layers.2.attn` (4 layers became 3)" in card
    assert "| 1 | 1 | 2 |" in card
    assert "decoder blocks' parameters | 25.0%" in card
    assert "KV-cache bytes per token at 2,048 tokens of context | 25.0%" in card
    assert "c" * 64 in card
    assert "2.5e-07 of the logits' standard deviation" in card
    assert "evop prune --model who/what --pattern pattern.json --out DIR" in card
    assert "stock `llama`" in card
    assert "trust_remote_code" not in card


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("chain", "The last projections of blocks that stay were solved anew"),
        ("both", "The matrices of blocks that stay were solved anew"),
        ("darwin", "The last projections of blocks that stay learned from the dense model"),
    ],
)
def test_body_says_which_weights_are_new(method, words, folder):
    given = facts(folder, "layers.1.mlp")
    note = RefitNote(method=method, ridge=0.1, through=3, calibration="c", tokens=4_000, anchor=0.0)
    card = model_card(dataclasses.replace(given, pattern=given.pattern.model_copy(update={"refit": note})), "p")
    assert words in card
    assert f"(`{method}`, 4,000 tokens)" in card


def test_hetero_says_how_to_load_it_and_where_it_does_not(folder):
    card = model_card(facts(folder, "layers.0.attn"), "p")
    for words in ("import evop.hf", "trust_remote_code=True", "`evop_llama`", "vLLM", "| 0 | - | 0 |"):
        assert words in card


def test_a_claim_is_not_called_an_audit(folder):
    card = model_card(facts(folder, "layers.0.attn", labels={"law/1": "law/1 tax, revenue"}), "p")
    assert "**not an audit**" in card
    assert (
        "| group | lost on search and select |\n| --- | --: |\n| law/1 tax, revenue | +0.500 |\n| code/0 | +0.100 |"
        in card
    )


def summary_of(name, split):
    return SummaryRow(
        pattern=name, split=split, kind="text", groups=1, worse=None, above=0, detectable=0.1, tokens=1234, worst=0.5,
        worst_low=0.4, worst_high=0.6, worst_measured=0.5, worst_group="law/1", worst_sure=1.0, worst_among=["law/1"],
        p90=0.5, mean=0.5, equal_worst=0.5, equal_worst_group="law/1", equal_count=1234, against="mine", gap=0.0,
        gap_low=None, gap_high=None, tie=None,
    )  # fmt: skip


def audit_of(path, folder, pattern_sha256):
    file = PatternFile.read(path)
    described = {
        "removed": file.removed,
        "thinned": {},
        "left": {},
        "reached": file.reached,
        "claim": None,
        "claimed_group_on_audit": None,
    }
    row = {
        "split": "audit", "group": "law/1", "label": "law/1 tax", "domain": "law", "passages": 7, "documents": 5,
        "tokens": 1234, "dense_loss": 3.0, "dense_perplexity": 20.1, "loss": 3.5, "perplexity": 33.1, "excess": 0.5,
        "low": 0.4, "high": 0.6, "kind": "text", "ahead": 0.2, "p_others": 0.01, "above": True, "detectable": 0.1,
    }  # fmt: skip
    return AuditFile(
        version="0",
        model=ModelName.of(Checkpoint.find(folder)),
        calibration="c",
        max_tokens=512,
        dtype="float32",
        metric="accuracy",
        interval="95% paired bootstrap",
        patterns=[
            AuditedPattern(name="mine", sha256=pattern_sha256, random="random", **described),
            AuditedPattern(name="other", sha256="o", random="random", **described),
        ],
        groups=[
            GroupRow(pattern="mine", **row),
            GroupRow(pattern="mine", **{**row, "split": "unseen", "low": None, "high": None}),
            GroupRow(pattern="other", **{**row, "excess": 9.0}),
            GroupRow(pattern="other", **{**row, "split": "unseen", "excess": 9.0}),
        ],
        summary=[summary_of(name, split) for name in ("mine", "other") for split in ("audit", "unseen")],
    )


def test_an_audit_of_this_pattern_becomes_the_table(folder, tmp_path):
    path = write_pattern(tmp_path / "p.json", *removing(folder, "layers.0.attn"), folder)
    (tmp_path / "audit").mkdir()
    audit_of(path, folder, sha256(path)).write(tmp_path / "audit" / "audit.json")
    out = prune(folder, path, tmp_path / "out", audit=tmp_path / "audit", parity=False).folder
    assert (out / "audit.json").read_bytes() == (tmp_path / "audit" / "audit.json").read_bytes()
    card = (out / "README.md").read_text()
    audited, unseen = card.split("### ")[1:]
    assert "| law/1 tax | 5 | 1,234 | 20.1 | 33.1 | 0.500 [0.400, 0.600] |" in audited
    assert "| law/1 tax | 5 | 1,234 | 20.1 | 33.1 | 0.500 [–] |" in unseen
    assert "| pruned: perplexity | pruned: excess [95%] |" in audited
    assert "9.000" not in card
    assert "Not checked" in card


def test_an_audit_of_another_pattern_is_refused(folder, tmp_path):
    path = write_pattern(tmp_path / "p.json", *removing(folder, "layers.0.attn"), folder)
    (tmp_path / "audit").mkdir()
    audit_of(path, folder, "another").write(tmp_path / "audit" / "audit.json")
    with pytest.raises(EvopError, match="did not measure"):
        prune(folder, path, tmp_path / "out", audit=tmp_path / "audit", parity=False)
    with pytest.raises(EvopError, match=r"no audit\.json there"):
        prune(folder, path, tmp_path / "out", audit=tmp_path / "none", parity=False)
    assert not (tmp_path / "out").exists()
