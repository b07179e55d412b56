"""Law 1 across processes: what one process wrote, another one computes, with evop and without it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from tiny import TINY, load, logits, random_ids, ranking, removing, write_pattern

from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.reference import model_dir
from evop.removal.masking import masked
from evop.stages.prune import prune
from patterns import Pattern

WITHOUT_EVOP = """
import sys
sys.modules["evop"] = None  # any import of evop now fails
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

torch.set_num_threads(1)
ids, *folders = sys.argv[1:]
ids = torch.load(ids, weights_only=True)
for folder in folders:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=True).eval()
    base = AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=True).eval()
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits
        hidden = base(input_ids=ids, use_cache=False).last_hidden_state
        head, cap = model.lm_head(hidden), getattr(model.config, "final_logit_softcapping", None)
        assert torch.equal(cap * torch.tanh(head / cap) if cap else head, logits), folder
        how = dict(max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
        assert torch.equal(model.generate(ids, **how), model.generate(ids, use_cache=False, **how)), folder
    torch.save(logits, folder + ".pt")
assert {"patterns", "calibration"}.isdisjoint(sys.modules)
"""


@pytest.mark.parametrize(
    ("parts", "kind"),
    [(("layers.3.mlp", "layers.4.attn"), "stock"), (("layers.0.attn", "layers.7.attn", "layers.11.mlp"), "hetero")],
    ids=["stock", "hetero"],
)
def test_prune_checks_itself_in_a_fresh_process(parts, kind, tmp_path):
    space, pattern = removing(model_dir(), *parts)
    lines: list[str] = []
    file = write_pattern(tmp_path / "p.json", space, pattern, model_dir())
    result = prune(model_dir(), file, tmp_path / "out", report=lines.append)
    assert result.kind == kind
    assert result.parity is not None
    assert result.parity.holds
    assert result.parity.parameters.dense == result.parameters[0]
    assert result.parity.parameters.pruned == result.parameters[1]
    assert result.parity.bytes.pruned == result.bytes[1] == (tmp_path / "out" / "model.safetensors").stat().st_size
    assert result.parity.tokens_per_second.pruned > 0
    assert f"{result.parity.ratio:.2g} of the logits" in (tmp_path / "out" / "README.md").read_text()
    assert len(lines) == 3


def test_hetero_loads_without_evop(tiny_folder, tmp_path):
    """Blocks that are gone and, where the model can hold it, others that are thinned."""
    parts = ("layers.0.attn", "layers.1.mlp", "layers.2.attn", "layers.2.mlp")
    ids, expected = random_ids(), {}
    for name, (model_type, _) in TINY.items():
        folder, family = tiny_folder(name), family_of(model_type)
        refused = family.refusal(Checkpoint.find(folder).resolved, "mixed", "any")
        space, pattern = removing(folder, *parts, grain="subblock" if refused else "mixed")
        if not refused:
            pattern = Pattern(tuple(level or 1 for level in pattern.levels))
        file = write_pattern(tmp_path / "p.json", space, pattern, folder)
        assert prune(folder, file, tmp_path / name, parity=False).kind == "hetero"
        with masked(load(folder), family, ranking(space).cut_of(space, pattern)) as dense:
            expected[name] = logits(dense, ids)
    torch.save(ids, tmp_path / "ids.pt")
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    folders = [str(tmp_path / name) for name in expected]
    command = [sys.executable, "-c", WITHOUT_EVOP, str(tmp_path / "ids.pt"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    for name, wanted in expected.items():
        found = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.std()))
