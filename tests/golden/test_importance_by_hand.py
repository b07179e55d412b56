"""Every importance metric, block influence and the bias, on models small enough to follow with a pencil.

The model has two hidden numbers, no attention to speak of, MLPs ``down(relu(gate x) * (up x))`` and tokens 0 = (1, 1)
and 1 = (1, -1). Both have a root mean square of 1, so that norms change nothing.
"""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import torch
from sites import llama_sites
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from calibration.seeded import generator
from evop.importance import unit_importance
from evop.importance.influence import StreamLayer, block_influence
from evop.importance.site import Site
from evop.importance.statistics import SiteStatistics, Statistics, gather
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.reference import model_dir
from evop.removal.compensation import compensated
from evop.removal.cut import Cut
from evop.removal.ranking import Ranking
from evop.tokens.passages import TokenPassages
from patterns import Budget, Cost, Part, PatternSpace, make_strategy


def model_of(*mlps, head=((1, -1), (0, 0))):
    """A layer per (gate, up, down), each given row by row as a Linear keeps it; logits are ``head @ x``."""
    shape = {"hidden_size": 2, "num_attention_heads": 1, "intermediate_size": len(mlps[0][0]), "eos_token_id": 0}
    config = LlamaConfig(vocab_size=2, num_hidden_layers=len(mlps), hidden_act="relu", rms_norm_eps=0.0, **shape)
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    model.model.embed_tokens.weight.copy_(torch.tensor([[1.0, 1], [1, -1]]))
    model.lm_head.weight.copy_(torch.tensor(head))
    for layer, (gate, up, down) in zip(model.model.layers, mlps, strict=True):
        layer.self_attn.o_proj.weight.zero_()
        for module, rows in ((layer.mlp.gate_proj, gate), (layer.mlp.up_proj, up), (layer.mlp.down_proj, down)):
            module.weight.copy_(torch.tensor(rows, dtype=torch.float32))
    return model


def passages(**groups):
    """One passage per group."""
    n = len(groups)
    return TokenPassages(tuple(groups.values()), tuple(groups), tuple(map(str, range(n))), (False,) * n)


TWO = ([[1, 0], [1, 0]], [[4, 3], [0, 1]], [[3, 0], [4, 2]])
"""Channels: 1 * (4a + 3b) and 1 * b. Token 0 gives (7, 1), token 1 gives (1, -1). Columns of down: (3, 4), (0, 2)."""
TEXT = passages(even=(0, 1), same=(0, 0))
"""Inputs of down: even (7, 1), (1, -1): mean (4, 0), variance (9, 1), mean square (25, 1). Same: (7, 1) twice."""


def importance(metric, over="mean", text=TEXT, model=None):
    """Importance of the channels of the first MLP."""
    model = model or model_of(TWO)
    site = llama_sites(model)[1]
    statistics = gather(model, [site], text, 64, gradients=metric == "taylor")
    return unit_importance(metric, over, [site], statistics, 0)["layers.0.mlp"][:, 0].tolist()


def test_wanda_is_the_mean_absolute_weight_times_the_root_mean_square():
    # Mean |W| over rows: (3 + 4) / 2 = 3.5 and (0 + 2) / 2 = 1. RMS: 5 and 1. Scores 17.5 and 1, their mean 9.25.
    assert importance("wanda", text=passages(even=(0, 1))) == pytest.approx([17.5 / 9.25, 1 / 9.25])
    # The other group: RMS 7 and 1, scores 24.5 and 1, mean 12.75. Both groups count alike.
    two = [(17.5 / 9.25 + 24.5 / 12.75) / 2, (1 / 9.25 + 1 / 12.75) / 2]
    assert importance("wanda") == pytest.approx(two)
    # The first channel has its larger share in `same` (1.92 against 1.89), the second in `even` (0.108 against 0.078).
    assert importance("wanda", "worst") == pytest.approx([24.5 / 12.75, 1 / 9.25])


def test_flap_is_the_variance_times_the_squared_weights():
    # ||W_:,j||^2: 9 + 16 = 25 and 4. Variance 9 and 1: scores 225 and 4, mean 114.5. In `same` nothing varies: 0, 0.
    assert importance("flap", text=passages(even=(0, 1))) == pytest.approx([225 / 114.5, 4 / 114.5])
    assert importance("flap") == pytest.approx([225 / 229, 4 / 229])


def test_magnitude_is_the_norm_of_all_coupled_weights():
    # gate, up and down of channel 0: 1 + 0, 16 + 9, 9 + 16: 51; of channel 1: 1 + 0, 0 + 1, 0 + 4: 6.
    mean = (math.sqrt(51) + math.sqrt(6)) / 2
    assert importance("magnitude") == pytest.approx([math.sqrt(51) / mean, math.sqrt(6) / mean])


def test_taylor_is_the_loss_that_a_gate_takes_along():
    # Channels of token 0: 7, 1 and 1, columns (1, 0), (-7, 1) and (0, -1): together 7 - 7 = 0 and 1 - 1 = 0, so the
    # stream stays (1, 1), both logits are 0, and the loss of token 0 is -log(1/2).
    # d loss / d logits = (1/2 - 1, 1/2); through the head's rows (1, -1) and (0, 0): (-1/2, 1/2), which the norm, whose
    # Jacobian is I - x x' / 2, leaves as it is. Gates: 7 (1, 0) . d = -3.5; (-7, 1) . d = 4; (0, -1) . d = -0.5.
    model = model_of(([[1, 0]] * 3, [[4, 3], [0, 1], [1, 0]], [[1, -7, 0], [0, 1, -1]]))
    one = importance("taylor", text=passages(once=(0, 0)), model=model)
    # The mean of 3.5, 4 and 0.5 is 8 / 3.
    assert one == pytest.approx([3.5 * 3 / 8, 4 * 3 / 8, 0.5 * 3 / 8])
    # Nats per scored token: two tokens that are alike, each gives half.
    site = llama_sites(model)[1]
    gates = gather(model, [site], passages(twice=(0, 0, 0)), 64, gradients=True).sites[site.part].gradient
    assert gates == pytest.approx(np.array([[-3.5, 4, -0.5]]))


def test_taylor_of_a_head_adds_its_channels_absolute_values():
    # Unit 0 has gates 3 and -3, unit 1 has 1 and 1: |3| + |-3| = 6 against 2, though 3 - 3 = 0.
    site = Site("layers.0.attn", nn.Linear(4, 1), 2, ())
    here = SiteStatistics(np.ones((1, 4)), np.ones((1, 4)), np.array([[3.0, -3, 1, 1]]))
    values = unit_importance("taylor", "mean", [site], Statistics(("a",), np.array([1]), {site.part: here}), 0)
    assert values[site.part].sum(axis=1).tolist() == [3.0, 1.0]


def test_random_is_drawn_from_the_seed_and_the_part():
    site = llama_sites(model_of(TWO))[1]
    drawn = generator("order", 5, "layers.0.mlp").random(2)
    assert unit_importance("random", "mean", [site], None, 5)[site.part][:, 0] == pytest.approx(drawn / drawn.mean())


def test_block_influence_is_how_far_the_stream_turns():
    # Layer 0 adds (0, -2) to token 0, whose gate (0, 1) . x is 1, and nothing to token 1, whose gate is relu(-1) = 0:
    # (1, 1) -> (1, -1), a right angle, 1 - cos = 1; token 1 stays, 0. Mean over both 1/2.
    # Layer 1 sees (1, -1) twice and adds (0, 1): (1, 0), half a right angle, 1 - 1 / sqrt(2). Attention adds nothing.
    model = model_of(([[0, 1]], [[1, 0]], [[0], [-2]]), ([[0, -1]], [[1, 0]], [[0], [1]]))
    layers = [StreamLayer(layer, layer.self_attn, layer.mlp) for layer in model.model.layers]
    found = block_influence(model, layers, passages(text=(0, 1)), 64, parallel=False, over="mean")
    half = 1 - 1 / math.sqrt(2)
    expected = {"layers.0": 0.5, "layers.0.attn": 0, "layers.0.mlp": 0.5}
    expected |= {"layers.1": half, "layers.1.attn": 0, "layers.1.mlp": half}
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_bias_gives_back_what_a_missing_channel_gave_on_average(tmp_path):
    model_of(TWO).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(model_dir() / name, tmp_path / name)
    loaded = load_model(Checkpoint.find(tmp_path), "cpu", "float32")
    site = llama_sites(loaded.model)[1]
    statistics = gather(loaded.model, [site], passages(even=(0, 1)), 64, gradients=False)
    fill = {site.part: statistics.sites[site.part].mean[0].astype(np.float32)}
    # Channel 0 leaves. On average it was 4, and down multiplies it with (3, 4): the bias is (12, 16).
    bias = compensated(Cut(kept={("mlp", 0): (1,)}), loaded, fill).bias["mlp", 0]
    assert bias.tolist() == [12.0, 16.0]
    # Channel 1 was 0 on average: nothing to give back.
    assert compensated(Cut(kept={("mlp", 0): (0,)}), loaded, fill).bias["mlp", 0].tolist() == [0.0, 0.0]


def test_flap_ranks_heads_among_channels_by_the_features_of_their_layer():
    # Attention, two heads of two features, unit weights, variances 1, 3 | 2, 2. Squared: 1, 9 | 4, 4, mean 4.5,
    # deviations -3.5, 4.5 | -0.5, -0.5, whose squares sum to 33: standard deviation sqrt(33 / 3) = sqrt(11).
    # Heads: (-3.5 + 4.5) / 2 / sqrt(11) = 0.5 / sqrt(11) and -0.5 / sqrt(11). Not squared, they would be equal.
    # MLP, four channels, variances 1, 2, 3, 6: mean 3, deviations -2, -1, 0, 3, standard deviation sqrt(14 / 3).
    widths = {"layers.0.attn": (4, 2, [1.0, 3, 2, 2]), "layers.0.mlp": (4, 4, [1.0, 2, 3, 6])}
    sites, here = [], {}
    for part, (features, units, variance) in widths.items():
        out = nn.Linear(features, 1)
        out.weight.data.fill_(1)
        sites.append(Site(part, out, units, ()))
        here[part] = SiteStatistics(np.zeros((1, features)), np.array([variance]), None)
    ranking = Ranking(unit_importance("flap", "mean", sites, Statistics(("a",), np.array([1]), here), 0))
    assert [ranking.units[part].tolist() for part in widths] == [[1, 0], [0, 1, 2, 3]]
    attn = Part("layers.0.attn", 0, "attn", (Cost(), Cost(4), Cost(8)), (0, 1, 2))
    mlp = Part("layers.0.mlp", 0, "mlp", tuple(map(Cost, (0, 3, 6, 9, 12))), (0, 1, 2, 3, 4))
    space = ranking.priced(PatternSpace((attn, mlp), "mixed", Cost(20), Cost(20), "any"))
    attn, mlp = space.parts
    assert attn.scores == pytest.approx([-0.5 / math.sqrt(11), 0.5 / math.sqrt(11)])  # -0.15, 0.15
    assert mlp.scores == pytest.approx([d / math.sqrt(14 / 3) for d in (-2, -1, 0, 3)])  # -0.93, -0.46, 0, 1.39
    # One threshold for both: channels 0 and 1 leave first (3 each), then head 1 (4), then channel 2, then head 0.
    for need, levels in ((6, (0, 2)), (10, (1, 2)), (13, (1, 3)), (17, (2, 3))):
        (answer,) = make_strategy("oneshot", Budget(space, need / 20), 0).ask()
        assert answer.levels == levels
