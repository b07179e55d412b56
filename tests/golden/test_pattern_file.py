"""Pattern files of this schema are read, fit the embedded model, and mean what they meant."""

from pathlib import Path

import numpy as np
import pytest

from evop.model.checkpoint import Checkpoint
from evop.reference import model_dir
from evop.removal.pattern_file import PatternFile
from patterns import Budget

GOLDEN = Path(__file__).with_name("pattern.json")
THINNED = Path(__file__).with_name("thinned.json")
EXPECTED = ("layers.3.attn", "layers.3.mlp", "layers.9.attn", "layers.9.mlp", "layers.10.attn", "layers.10.mlp")
REMOVED = ["layers.2.attn", "layers.2.mlp", "layers.6.mlp", "layers.7.attn", "layers.9.mlp", "layers.10.attn"]
GONE = ["layers.4.attn", "layers.6.attn"]
LESS = {
    "layers.1.mlp": 64,
    "layers.2.mlp": 384,
    "layers.3.mlp": 256,
    "layers.4.mlp": 128,
    "layers.8.mlp": 384,
    "layers.10.mlp": 192,
    "layers.11.mlp": 320,
}
PARAMETERS = 1_192_320
"""Of the pattern of thinned parts: what is gone, how many units are gone of others, all parameters."""


def test_an_old_pattern_file_still_means_the_same():
    file = PatternFile.find(GOLDEN)
    checkpoint = Checkpoint.find(model_dir())
    space, pattern = file.on(checkpoint)
    assert list(space.names(pattern)) == file.removed == REMOVED
    assert space.removed(pattern).params == file.removed_params == 1_180_800
    assert space.fingerprint == file.space
    assert Budget(space, file.remove, file.cost).met(pattern)


def test_an_old_pattern_of_thinned_parts_still_means_the_same():
    file = PatternFile.find(THINNED)
    space, pattern = file.on(Checkpoint.find(model_dir()))
    assert list(space.names(pattern)) == file.removed == GONE
    assert space.thinned(pattern) == LESS
    assert space.removed(pattern).params == file.removed_params == PARAMETERS
    assert Budget(space, file.remove, file.cost).met(pattern)
    cut = file.cut()
    assert cut.gone == {("attn", 4), ("attn", 6)}
    assert {f"layers.{layer}.{kind}": len(units) for (kind, layer), units in cut.kept.items()} == {
        name: (2 if name.endswith("attn") else 512) - gone for name, gone in LESS.items()
    }
    assert cut.kept["mlp", 2][:12] == (2, 7, 11, 13, 15, 19, 28, 30, 34, 39, 46, 51)


def test_the_first_random_pattern_of_the_audit_is_the_same_on_every_machine():
    """Every audit shows this row; a numpy that draws otherwise would change old audits, and should be noticed."""
    space, _ = PatternFile.find(GOLDEN).on(Checkpoint.find(model_dir()))
    drawn = Budget(space, 0.25).draw(np.random.default_rng(0))
    assert space.names(drawn) == EXPECTED


@pytest.mark.parametrize("golden", [GOLDEN, THINNED], ids=lambda path: path.stem)
def test_writing_it_again_gives_the_same_bytes(golden, tmp_path):
    PatternFile.find(golden).write(tmp_path / "pattern.json")
    assert (tmp_path / "pattern.json").read_bytes() == golden.read_bytes()
