"""A pattern file written by version 0.1.0 is read, fits the embedded model, and means what it meant."""

from pathlib import Path

import numpy as np

from evop.checkpoint import Checkpoint
from evop.pattern_file import PatternFile
from evop.reference import model_dir
from patterns import Budget

GOLDEN = Path(__file__).with_name("pattern.json")
EXPECTED = ("layers.3.attn", "layers.3.mlp", "layers.9.attn", "layers.9.mlp", "layers.10.attn", "layers.10.mlp")
REMOVED = ["layers.2.attn", "layers.2.mlp", "layers.6.mlp", "layers.7.attn", "layers.9.mlp", "layers.10.attn"]


def test_an_old_pattern_file_still_means_the_same():
    file = PatternFile.find(GOLDEN)
    checkpoint = Checkpoint.find(model_dir())
    space, pattern = file.on(checkpoint)
    assert list(space.names(pattern)) == file.removed == REMOVED
    assert space.removed(pattern).params == file.removed_params == 1_180_800
    assert Budget(space, file.remove, file.cost).met(pattern)


def test_the_first_random_pattern_of_the_audit_is_the_same_on_every_machine():
    """Every audit shows this row; a numpy that draws otherwise would change old audits, and should be noticed."""
    space, _ = PatternFile.find(GOLDEN).on(Checkpoint.find(model_dir()))
    drawn = Budget(space, 0.25).draw(np.random.default_rng(0))
    assert space.names(drawn) == EXPECTED


def test_writing_it_again_gives_the_same_bytes(tmp_path):
    PatternFile.find(GOLDEN).write(tmp_path / "pattern.json")
    assert (tmp_path / "pattern.json").read_bytes() == GOLDEN.read_bytes()
