"""What stages keep for themselves to go on with, and what lies beside a checkpoint: no content ends in a traceback."""

import os
from hashlib import sha256

import pytest
import torch
from safetensors.torch import save_file

from evop.errors import EvopError
from evop.export.gguf.tokenizer import _read as read_settings
from evop.files.tensors import ENTRY, read_tensors
from evop.model.sums import SUMS, refuse_changed
from evop.recovery.healing.folder import RECIPE, HealingFolder
from evop.recovery.refit_folder import IDENTITY, RefitFolder
from evop.stages.compare import _header

ODD = ("[" * 100_000, '{"a":' * 100_000, "[]", "7", "null", '"x"', "{", "", "\0", '{"a": 1}')


def is_total(call):
    """Call what reads, or refuses on one line."""
    try:
        call()
    except EvopError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either is right)


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_what_a_stage_keeps(tmp_path, content):
    healing, refit, settings = HealingFolder(tmp_path / "a"), RefitFolder.name(tmp_path / "b"), tmp_path / "c.json"
    for path in (healing.folder / RECIPE, refit / IDENTITY, settings):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    is_total(lambda: healing.open({"b": 1}))
    is_total(lambda: RefitFolder.beside(tmp_path / "b", {"b": 1}))
    is_total(lambda: read_settings(settings))
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={ENTRY: content})
    with pytest.raises(ValueError, match=r"checksum|JSON|nested|Expecting|control"):
        read_tensors(tmp_path / "a.safetensors")


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "trials.jsonl")
    with pytest.raises(EvopError, match="it is missing, a folder or a pipe"):
        _header(tmp_path)


def test_checksums_of_another_tool(tmp_path):
    """As ``sha256sum -b`` writes them, of files too that nothing is computed with and that were not copied along."""
    (tmp_path / "config.json").write_text("{}")
    ours = sha256(b"{}").hexdigest()
    (tmp_path / SUMS).write_text(f"{ours} *config.json\n{'0' * 64}  pytorch_model.bin\n")
    refuse_changed(tmp_path)
    (tmp_path / SUMS).write_text(f"{'0' * 64} *config.json\n")
    with pytest.raises(EvopError, match=r"config\.json was changed since"):
        refuse_changed(tmp_path)
    (tmp_path / SUMS).write_text(f"SHA256 (config.json) = {ours}\n")
    with pytest.raises(EvopError, match=f"or, if {SUMS} is not evop's, take it away"):
        refuse_changed(tmp_path)
