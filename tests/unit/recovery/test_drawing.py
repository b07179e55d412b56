"""What a model draws is what its distribution says, whatever is drawn beside it, for every architecture."""

import pytest
import torch
from tiny import TINY, load

from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.drawing import Beginning, Drawn, draw, ending_tokens, pick

LONGER_THAN_THE_WINDOW = 24


def loaded_model(folder):
    return load_model(Checkpoint.find(folder), "cpu", "float32")


def chances(beginning):
    """The random numbers of a sequence: one per token."""
    generator = torch.Generator().manual_seed(beginning.seed)
    return torch.rand(beginning.length, generator=generator, dtype=torch.float64)


def wrongly_drawn(model, beginning, drawn):
    """Places of the tokens that the distribution of a plain forward pass does not give for the random numbers.

    A number that lies where two tokens meet may fall to either: what is computed in another order rounds otherwise.
    """
    logits = model(input_ids=torch.tensor([drawn.ids]), use_cache=False).logits[0].double()
    upper = torch.softmax(logits, -1).cumsum(-1)
    wrong = []
    for place in range(len(beginning.ids), len(drawn.ids)):
        token, chance = drawn.ids[place], float(chances(beginning)[place])
        low = float(upper[place - 1, token - 1]) if token else 0.0
        if not low - 1e-5 <= chance <= float(upper[place - 1, token]) + 1e-5:
            wrong.append(place)
    return wrong


@pytest.mark.parametrize("name", TINY)
def test_tokens_are_those_of_plain_forward_passes(name, tiny_folder):
    """Prompts of three lengths side by side, cached, past the sliding window; some sequences shorter than others."""
    loaded, model = loaded_model(tiny_folder(name)), load(tiny_folder(name))
    beginnings = [
        Beginning((1,), LONGER_THAN_THE_WINDOW, 0),
        Beginning((5, 6, 7, 8, 9), LONGER_THAN_THE_WINDOW, 1),
        Beginning((1, 2, 3), 6, 2),
        Beginning((1, 2, 3), 5, 3),
    ]
    drawn = draw(loaded, beginnings)
    for beginning, sequence in zip(beginnings, drawn, strict=True):
        assert sequence.ids[: len(beginning.ids)] == beginning.ids
        assert sequence.ended or len(sequence.ids) == beginning.length
        assert not wrongly_drawn(model, beginning, sequence)
    other = Beginning(beginnings[0].ids, LONGER_THAN_THE_WINDOW, 9)
    assert wrongly_drawn(model, other, drawn[0]), "the test sees tokens that other numbers would give"


def test_what_is_drawn_beside_a_sequence_does_not_matter(tiny_folder, monkeypatch):
    loaded = loaded_model(tiny_folder("llama"))
    beginnings = [Beginning((1, *range(2, 2 + i % 3)), 8 + i, i) for i in range(6)]
    together = draw(loaded, beginnings)
    assert draw(loaded, beginnings[::-1]) == together[::-1]
    assert [draw(loaded, [one])[0] for one in beginnings] == together
    monkeypatch.setattr("evop.recovery.drawing.ROWS", 2)
    assert draw(loaded, beginnings) == together
    assert draw(loaded, []) == []


def test_a_token_that_ends_a_text_ends_it_and_the_others_go_on(tiny_folder, monkeypatch):
    loaded = loaded_model(tiny_folder("llama"))
    beginnings = [Beginning((1,), 30, i) for i in range(8)]
    whole = draw(loaded, beginnings)
    end = whole[0].ids[5]
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", [0, end])
    assert ending_tokens(loaded) == {0, end}
    for before, after in zip(whole, draw(loaded, beginnings), strict=True):
        places = [place for place in range(1, len(before.ids)) if before.ids[place] in (0, end)]
        assert after == (Drawn(before.ids[: places[0] + 1], True) if places else before)


def test_a_token_that_is_given_ends_nothing(tiny_folder, monkeypatch):
    """Every other token ends a text: one beside whose beginning another is drawn keeps it, whatever would be drawn."""
    loaded = loaded_model(tiny_folder("llama"))
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", list(range(0, 4096, 2)))
    given = tuple(range(2, 14))
    short, long = draw(loaded, [Beginning((1,), 30, 0), Beginning(given, 30, 1)])
    assert long.ids[:12] == given
    assert len(long.ids) > 12
    assert all(token % 2 for token in long.ids[12:-1] + short.ids[1:-1])
    assert short.ended
    assert long.ended


def test_tokens_are_as_frequent_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, float("-inf"), 2.0, 0.5]])
    chance = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    token, sound = pick(logits.expand(len(chance), -1), chance)
    assert sound
    frequencies = torch.bincount(token, minlength=5) / len(chance)
    torch.testing.assert_close(frequencies, torch.softmax(logits[0], -1), atol=0.012, rtol=0)
    assert frequencies[2] == 0
    edges = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    assert pick(logits[:, [2, 3, 2]].expand(2, -1), edges)[0].tolist() == [1, 1]


def test_logits_that_are_not_finite_are_refused(tiny_folder):
    loaded = loaded_model(tiny_folder("llama"))
    weight = loaded.model.model.layers[2].mlp.down_proj.weight
    weight[3, 3] = float("nan")
    with pytest.raises(EvopError, match="logits are not finite at token 3 of a text it makes, in float32; choose"):
        draw(loaded, [Beginning((1, 2), 8, 0)])


def test_more_tokens_than_positions_are_refused(tiny_folder):
    with pytest.raises(EvopError, match="--max-tokens 257 is more than the 256 positions"):
        draw(loaded_model(tiny_folder("llama")), [Beginning((1,), 257, 0)])


def test_a_batch_for_which_memory_runs_out_is_halved(tiny_folder, monkeypatch):
    loaded, told = loaded_model(tiny_folder("llama")), []
    beginnings = [Beginning((1,), 10, i) for i in range(8)]
    whole = draw(loaded, beginnings)
    forward = type(loaded.model).forward

    def small(self, input_ids, **options):
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(type(loaded.model), "forward", small)
    assert draw(loaded, beginnings, lambda done, most: told.append((done, most))) == whole
    assert told == sorted(told)
    assert told[-1][0] == sum(len(sequence.ids) for sequence in whole)
    assert {most for _, most in told} == {80}
