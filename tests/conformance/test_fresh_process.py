"""Law 1 across processes: what one process wrote, another one computes, with evop and without it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import transformers
from runtimes import HEALED, KINDS
from tiny import TINY, load, logits, random_ids, ranking, removing, write_pattern

import evop
import evop.hf
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.reference import model_dir
from evop.removal.masking import masked
from evop.stages.export import export
from evop.stages.prune import prune
from patterns import Pattern

OTHER = os.environ.get("EVOP_OTHER_PYTHON")
"""A python with another transformers, such as the newest that vLLM takes; ``make test-transformers`` makes one."""
PYTHONS = [
    pytest.param(sys.executable, id="this transformers"),
    pytest.param(
        OTHER,
        id="another transformers",
        marks=pytest.mark.skipif(not OTHER, reason="EVOP_OTHER_PYTHON names no python: make test-transformers"),
    ),
]
WITHOUT_EVOP = """
import sys
sys.modules["evop"] = None  # any import of evop now fails
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

torch.set_num_threads(1)
ids, *folders = sys.argv[1:]
ids = torch.load(ids, weights_only=True)
for folder in folders:
    how = dict(dtype=torch.float32, trust_remote_code=True)
    if getattr(AutoConfig.from_pretrained(folder, trust_remote_code=True), "attn_logit_softcapping", None):
        how["attn_implementation"] = "eager"  # transformers 5.20 leaves the bound out otherwise, of a dense model too
    model = AutoModelForCausalLM.from_pretrained(folder, **how).eval()
    base = AutoModel.from_pretrained(folder, **how).eval()
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits
        hidden = base(input_ids=ids, use_cache=False).last_hidden_state
        head, cap = model.lm_head(hidden), getattr(model.config, "final_logit_softcapping", None)
        assert torch.equal(cap * torch.tanh(head / cap) if cap else head, logits), folder
        how = dict(max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0)
        assert torch.equal(model.generate(ids, **how), model.generate(ids, use_cache=False, **how)), folder
    torch.save(logits, folder + ".pt")
assert {"patterns", "calibration"}.isdisjoint(sys.modules)
print(transformers.__version__)
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


@pytest.mark.parametrize("python", PYTHONS)
def test_hetero_loads_without_evop(python, tiny_folder, tmp_path):
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
    assert_computed_without_evop(python, ids, expected, tmp_path)


@pytest.mark.parametrize("python", PYTHONS[1:])
def test_every_kind_of_pattern_loads_there(python, tiny_folder, tmp_path):
    """Those of the table of what runs where, as they are pruned and with zeros."""
    ids, expected = random_ids(), {}
    for number, kind in enumerate(KINDS):
        (made := tmp_path / f"made-{number}").mkdir()
        pattern = KINDS[kind](tiny_folder("llama"), made)
        if kind == HEALED:
            pattern.rename(tmp_path / f"hf-{number}")
        else:
            export(tiny_folder("llama"), tmp_path / f"hf-{number}", pattern, check=False)
        expected[f"hf-{number}"] = logits(load(tmp_path / f"hf-{number}"), ids)
        if "compensate" not in kind and kind != HEALED:
            export(tiny_folder("llama"), tmp_path / f"masked-{number}", pattern, format="masked", check=False)
            expected[f"masked-{number}"] = expected[f"hf-{number}"]
    assert_computed_without_evop(python, ids, expected, tmp_path)


def assert_computed_without_evop(python, ids, expected, folder):
    """A fresh process computes the same of checkpoints in a folder: name -> logits."""
    torch.save(ids, folder / "ids.pt")
    environment = {**os.environ, "HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1"}
    if python == OTHER:
        environment.pop("PYTHONPATH", None)
    command = [python, "-c", WITHOUT_EVOP, str(folder / "ids.pt"), *(str(folder / name) for name in expected)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip() == transformers.__version__) == (python == sys.executable)
    found = {name: torch.load(folder / f"{name}.pt", weights_only=True) for name in expected}
    apart = {name: float((found[name] - wanted).abs().max() / wanted.std()) for name, wanted in expected.items()}
    assert max(apart.values()) <= 1e-4, apart


PLUGIN = """
import sys
from importlib.metadata import entry_points

from transformers import AutoConfig, AutoModelForCausalLM

decilm, hetero, metadata = sys.argv[1:]
sys.path.insert(0, metadata)
(plugin,) = (point for point in entry_points(group="vllm.general_plugins") if point.name == "evop")
for _ in range(2):  # vLLM does so in every process, and in some of them twice
    plugin.load()()
assert AutoConfig.from_pretrained(decilm).block_configs[1].attention.no_op
AutoModelForCausalLM.from_pretrained(hetero)
"""


def test_the_plugin_of_vllm_is_registered(tiny_folder, tmp_path):
    """What vLLM does with the entry point; vLLM itself is not here. Neither folder asks to trust its code then."""
    project = tomllib.loads((Path(evop.__file__).parent.parent / "pyproject.toml").read_text())["project"]
    (metadata := tmp_path / "evop-0.dist-info").mkdir()
    points = project["entry-points"]["vllm.general_plugins"].items()
    lines = ["[vllm.general_plugins]", *(f"{name} = {target}" for name, target in points)]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: evop\nVersion: 0\n")
    model = tiny_folder("llama")
    pattern = write_pattern(tmp_path / "p.json", *removing(model, "layers.1.attn"), model)
    for way in ("decilm", "hf"):
        export(model, tmp_path / way, pattern, format=way, check=False)
    command = [sys.executable, "-c", PLUGIN, *(str(tmp_path / name) for name in ("decilm", "hf")), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
