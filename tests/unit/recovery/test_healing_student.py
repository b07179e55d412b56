"""What is trained of a pruned model, and that what is written is what was measured."""

import pytest
import torch
from tiny import build, load, logits, random_ids, removing, write_pattern

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.recovery.heal_file import HealFile
from evop.recovery.healing.student import Student
from evop.recovery.healing.write import write_healed
from evop.stages.prune import prune

STOCK, HETERO = ("layers.1.attn", "layers.1.mlp"), ("layers.0.attn", "layers.2.mlp")
MODELS = [
    ("llama", STOCK, torch.float32),
    ("llama", HETERO, torch.bfloat16),
    ("gpt2", HETERO, torch.float16),
    ("gemma2", STOCK, torch.bfloat16),
    ("opt", STOCK, torch.float32),
    ("gpt_neox", STOCK, torch.float32),
]


@pytest.fixture
def pruned(tmp_path):
    def make(name="llama", parts=STOCK, dtype=torch.float32, **saving):
        model = build(name, tmp_path / "model", dtype=dtype, **saving)
        grain = "layer" if name == "gpt_neox" else "subblock"
        parts = ("layers.1",) if grain == "layer" else parts
        file = write_pattern(tmp_path / "pattern.json", *removing(model, *parts, grain=grain), model)
        return Checkpoint.find(prune(model, file, tmp_path / "pruned", parity=False).folder)

    return make


def learn(student, seed=0):
    """Change all that is trained, by a little."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.trained.values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))


def written(pruned, weights, folder):
    folder.mkdir()
    fields = {"version": "1", "model": {"name": "m", "revision": None, "fingerprint": "f"}, "pattern_sha256": "p"}
    point = {"tokens": 0, "loss": None, "excess": {"a": 0.1}, "weights": {"a": 1.0}}
    file = HealFile(**fields, calibration="c", recipe={}, tokens=0, stopped="tokens", best_at=0, curve=[point])
    write_healed(pruned, weights, file, folder)
    return folder


@pytest.mark.parametrize("train", ["lora", "full", "outputs"])
@pytest.mark.parametrize(("name", "parts", "dtype"), MODELS, ids=lambda value: str(value)[:12])
def test_what_is_written_is_what_was_measured(name, parts, dtype, train, pruned, tmp_path):
    """To the bit: the weights are rounded before they are looked at, and adapters are merged then."""
    checkpoint, ids = pruned(name, parts, dtype), random_ids()
    student = Student.load(checkpoint, train, rank=4)
    torch.testing.assert_close(student.predict(ids), logits(load(checkpoint.folder), ids), rtol=0, atol=0)
    learn(student)
    weights = student.weights()
    with torch.no_grad(), student.holding(weights):
        measured = student.predict(ids)
    folder = written(checkpoint, weights, tmp_path / "healed")
    assert torch.equal(logits(load(folder), ids), measured)
    assert not torch.allclose(measured, logits(load(checkpoint.folder), ids), atol=0.1)
    assert Checkpoint.find(folder).tensors == checkpoint.tensors


@pytest.mark.parametrize("train", ["lora", "full", "outputs"])
def test_what_is_held_for_a_look_leaves_no_trace(train, pruned):
    student, ids = Student.load(pruned(dtype=torch.bfloat16), train, rank=4), random_ids()
    learn(student)
    before = student.predict(ids)
    trained = {name: value.detach().clone() for name, value in student.trained.items()}
    with pytest.raises(KeyError), student.holding(student.weights()):
        raise KeyError
    assert torch.equal(student.predict(ids), before)
    assert all(torch.equal(value, trained[name]) and value.requires_grad for name, value in student.trained.items())


def test_which_weights_change(pruned):
    checkpoint = pruned()
    names = {train: set(Student.load(checkpoint, train, rank=4).changed) for train in ("lora", "full", "outputs")}
    assert names["full"] == set(checkpoint.tensors)
    assert {name.split(".", 3)[3] for name in names["outputs"]} == {"self_attn.o_proj.weight", "mlp.down_proj.weight"}
    assert len(names["lora"]) == 3 * 7
    assert all(name.endswith("proj.weight") for name in names["lora"])


def test_low_rank_changes_begin_at_nothing_and_with_the_seed(pruned):
    checkpoint = pruned()
    one, same, other = (Student.load(checkpoint, "lora", 4, seed).trained for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert sum(value.numel() for value in one.values()) < sum(tensor.numel for tensor in checkpoint.tensors.values())


def test_no_global_random_state_is_touched(pruned):
    checkpoint, before = pruned(), torch.random.get_rng_state()
    Student.load(checkpoint, "lora", 4)
    assert torch.equal(before, torch.random.get_rng_state())


def test_shards_stay_shards(pruned, tmp_path):
    checkpoint = pruned(max_shard_size="60KB")
    assert len(checkpoint.shards) > 1
    student = Student.load(checkpoint, "lora", 4)
    learn(student)
    folder = written(checkpoint, student.weights(), tmp_path / "healed")
    assert Checkpoint.find(folder).shards == checkpoint.shards
    assert torch.equal(logits(load(folder), random_ids()), logits(load(folder), random_ids()))


def test_a_weight_that_its_dtype_cannot_hold_is_refused(pruned):
    student = Student.load(pruned(dtype=torch.float16), "full")
    with torch.no_grad():
        next(iter(student.trained.values())).fill_(1e6)
    with pytest.raises(EvopError, match=r"a number that F16 cannot.*lower --learning-rate"):
        student.weights()
