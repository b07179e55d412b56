"""EvoPress' drop lists: read where a pattern is, written by searches, the same both ways."""

import json

import pytest
from sets import small_set
from tiny import TINY, build, removing

from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.export.parity import check
from evop.files.json_file import sha256
from evop.files.names import DROP_LIST
from evop.model.checkpoint import Checkpoint
from evop.reference import model_dir
from evop.removal.drop_file import read_pattern, write_drop_file
from evop.removal.pattern_file import PatternFile
from evop.stages.audit import audit
from evop.stages.prune import prune
from evop.stages.search import search
from patterns import Cost, Part, PatternSpace

LINES = ["none", "none", "attn", "mlp", "none", "attn+mlp", "none", "none", "none", "mlp", "none", "none"]
REMOVED = ["layers.2.attn", "layers.3.mlp", "layers.5.attn", "layers.5.mlp", "layers.9.mlp"]


def written(folder, lines):
    path = folder / DROP_LIST
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_it_is_a_pattern_of_sub_blocks_without_a_claim(tmp_path):
    checkpoint = Checkpoint.find(model_dir())
    file = read_pattern(written(tmp_path, LINES), checkpoint)
    assert file.removed == REMOVED
    assert (file.grain, file.deploy, file.protected, file.claim, file.origin) == ("subblock", "any", [], None, None)
    assert file.remove == pytest.approx(file.reached.block_params, abs=1e-6)
    space, pattern = file.on(checkpoint)
    again = tmp_path / "again.txt"
    write_drop_file(again, space, pattern)
    assert again.read_bytes() == (tmp_path / DROP_LIST).read_bytes()


def test_without_a_last_newline_and_with_those_of_another_system(tmp_path):
    checkpoint = Checkpoint.find(model_dir())
    path = tmp_path / "drop.txt"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + "\r\n".join(LINES).encode())
        assert read_pattern(path, checkpoint).removed == REMOVED


def test_whole_layers_are_both_blocks(tmp_path):
    path = tmp_path / DROP_LIST
    write_drop_file(path, *removing(model_dir(), "layers.3", "layers.11", grain="layer"))
    lines = path.read_text().splitlines()
    assert [i for i, line in enumerate(lines) if line == "attn+mlp"] == [3, 11]
    assert lines.count("none") == 10


@pytest.mark.parametrize("content", ["[3, 11]", "3 11\n", "3,11", "11\n3\n", "(3, 11,)"])
def test_a_plain_list_of_layers_is_both_blocks_of_each(content, tmp_path):
    path = tmp_path / "layers.txt"
    path.write_text(content)
    found = read_pattern(path, Checkpoint.find(model_dir()))
    assert found.removed == ["layers.3.attn", "layers.3.mlp", "layers.11.attn", "layers.11.mlp"]


def test_a_list_for_a_deeper_model_is_refused(tmp_path):
    path = tmp_path / "layers.txt"
    path.write_text("[3, 12]")
    with pytest.raises(EvopError, match=r"lists layer 12, expected 0 to 11"):
        read_pattern(path, Checkpoint.find(model_dir()))


def test_a_pattern_that_thins_a_part_has_none(tmp_path):
    ladder = (Cost(), Cost(1), Cost(2))
    parts = (Part("layers.0.attn", 0, "attn", ladder[:2]), Part("layers.0.mlp", 0, "mlp", ladder))
    space = PatternSpace(parts, "mixed", Cost(3), Cost(9))
    path = tmp_path / DROP_LIST
    write_drop_file(path, space, space.pattern(["layers.0.mlp"]))
    assert path.read_text() == "mlp\n"
    write_drop_file(path, space, space.dense.with_level(1, 1))
    assert not path.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (LINES[:-1], "has 11 lines, expected 12, one per layer of"),
        ([*LINES, "none"], "has 13 lines, expected 12"),
        ([], "has 0 lines, expected 12"),
        ([*LINES[:4], "atn", *LINES[5:]], "line 5: found 'atn', expected one of none, attn, mlp, attn+mlp"),
        ([*LINES[:4], "", *LINES[5:]], "line 5: found ''"),
        (["none"] * 12, "removes nothing"),
        (["attn+mlp"] * 12, "removes every block"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, lines, said):
    path = written(tmp_path, lines)
    with pytest.raises(EvopError) as refused:
        read_pattern(path, Checkpoint.find(model_dir()))
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_a_missing_or_binary_one_is_one_line(tmp_path):
    checkpoint = Checkpoint.find(model_dir())
    with pytest.raises(EvopError, match=r"--pattern .*none\.txt: no such file"):
        read_pattern(tmp_path / "none.txt", checkpoint)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EvopError, match="is not UTF-8 text"):
        read_pattern(tmp_path / "binary.txt", checkpoint)


def test_a_search_writes_it_and_audit_and_prune_take_it(tmp_path):
    calibration = small_set()
    run = tmp_path / "run"
    quick = {"max_tokens": 32, "min_group_tokens": 20, "dtype": "float32"}
    found = search(model_dir(), calibration, run, evaluations=2, **quick).pattern
    dropped = read_pattern(run / DROP_LIST, Checkpoint.find(model_dir()))
    assert (dropped.removed, dropped.removed_params) == (found.removed, found.removed_params)

    audited = audit(
        model_dir(),
        calibration,
        [run, run / DROP_LIST],
        tmp_path / "audit",
        max_tokens=32,
        speed=False,
        needs=False,
        random_patterns=2,
    ).file
    both = audited.patterns
    assert [pattern.name for pattern in both] == ["run", "run (2)"]
    assert [pattern.sha256 for pattern in both] == [sha256(run / "pattern.json"), sha256(run / DROP_LIST)]
    one, other = ([row.loss for row in audited.groups if row.pattern == pattern.name] for pattern in both)
    assert one == other

    prune(model_dir(), run / DROP_LIST, tmp_path / "pruned", audit=tmp_path / "audit", parity=False)
    assert check(model_dir(), tmp_path / "pruned", tmp_path / "pruned" / "pattern.json").holds
    assert (tmp_path / "pruned" / DROP_LIST).read_bytes() == (run / DROP_LIST).read_bytes()
    assert PatternFile.find(tmp_path / "pruned").removed == found.removed
    assert AuditFile.find(tmp_path / "pruned").groups == audited.groups
    assert "## Group by group" in (tmp_path / "pruned" / "README.md").read_text()
    before, after = (json.loads((place / "config.json").read_text()) for place in (model_dir(), tmp_path / "pruned"))
    assert after["num_hidden_layers"] == before["num_hidden_layers"] - 3
    with pytest.raises(EvopError, match="did not measure"):
        prune(model_dir(), written(tmp_path, LINES), tmp_path / "other", audit=tmp_path / "audit")


def test_one_that_removes_next_to_nothing_has_no_random_pattern_beside_it(tmp_path, monkeypatch):
    """An attention of 0.2% of the blocks: below the tolerance of a budget."""
    monkeypatch.setitem(TINY, "wide", ("llama", {"intermediate_size": 4096}))
    model = build("wide", tmp_path / "model")
    path = written(tmp_path, ["attn", "none", "none", "none"])
    audited = audit(
        model, small_set(), path, tmp_path / "audit", max_tokens=32, dtype="float32", speed=False, needs=False
    ).file
    ((name, random),) = ((pattern.name, pattern.random) for pattern in audited.patterns)
    assert (name, random) == (tmp_path.name, None)
    assert {row.pattern for row in audited.groups} == {name}
    assert prune(model, path, tmp_path / "pruned", audit=tmp_path / "audit", parity=False).kind == "hetero"


def test_a_list_is_written_under_its_own_name_whatever_it_was_called(tiny_folder, tmp_path):
    """A list called as a tokenizer's file would take that file's place."""
    model, listed = tiny_folder("llama"), tmp_path / "merges.txt"
    listed.write_text("1")
    prune(model, listed, tmp_path / "pruned", parity=False)
    assert (tmp_path / "pruned" / DROP_LIST).read_text() == "1"
    assert not (tmp_path / "pruned" / "merges.txt").exists()
