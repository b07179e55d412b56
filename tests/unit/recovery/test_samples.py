"""Text that the dense model makes of nothing, and going on from passages: what it is, and that it is kept."""

import errno
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from calibration import Passage
from evop.errors import EvopError
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_model
from evop.recovery.samples import continuations, unprompted
from evop.reference import model_dir

CHATS = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
WORDS = "The cat sat on the mat and looked at the dog, which looked back at it from the other side of the road."


@pytest.fixture
def loaded(tiny_folder):
    return load_model(Checkpoint.find(tiny_folder("llama")), "cpu", "float32")


@pytest.fixture(scope="module")
def reference():
    return load_model(Checkpoint.find(model_dir()), "cpu", "float32")


def passage(number, text=None, messages=None):
    return Passage(f"id{number}", f"document {number}", "law", text, messages, cluster=number % 2, split="train")


def kept(folder):
    return sorted(folder.iterdir())


def test_samples_begin_and_end_as_a_text_and_are_enough(reference, tmp_path):
    told = []
    report = lambda done, most: told.append((done, most))  # noqa: E731
    samples = unprompted(reference, tokens=600, length=64, seed=0, folder=tmp_path, report=report)
    assert 600 <= samples.total < 600 + 63
    assert all(ids[0] == 0 and 16 <= len(ids) <= 64 for ids in samples.ids)
    assert all(0 not in ids[1:-1] for ids in samples.ids)
    assert [len(ids) == 64 and ids[-1] != 0 for ids in samples.ids] == list(samples.shortened)
    assert set(samples.groups) == {"anchor"}
    assert len(set(samples.documents)) == len(samples.ids) == len(set(samples.ids))
    assert told == sorted(told)
    assert told[-1] == (600, 600)


def test_the_reference_model_finds_its_samples_as_likely_as_its_entropy_says(reference, tmp_path):
    """Ancestral samples cost what the distributions say they will, in the mean: no temperature, nothing ruled out."""
    samples = unprompted(reference, tokens=2_000, length=48, seed=1, folder=tmp_path)
    cost, entropy = [], []
    for ids in samples.ids:
        logits = reference.model(input_ids=torch.tensor([ids])).logits[0, :-1]
        chance = torch.log_softmax(logits, -1)
        cost += (-chance.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]).tolist()
        entropy += (-(chance.exp() * chance).sum(-1)).tolist()
    error = np.std(np.subtract(cost, entropy)) / np.sqrt(len(cost))
    assert error < 0.06
    assert abs(np.mean(cost) - np.mean(entropy)) < 4 * error


def test_the_same_seed_gives_the_same_bytes_and_more_tokens_more_of_the_same(loaded, tmp_path):
    first = unprompted(loaded, tokens=100, length=20, seed=3, folder=tmp_path / "a")
    again = unprompted(loaded, tokens=100, length=20, seed=3, folder=tmp_path / "b")
    more = unprompted(loaded, tokens=300, length=20, seed=3, folder=tmp_path / "c")
    other = unprompted(loaded, tokens=100, length=20, seed=4, folder=tmp_path / "d")
    assert first == again
    assert more.ids[: len(first.ids)] == first.ids
    assert not set(other.ids) & set(first.ids)
    (a,), (b,) = kept(tmp_path / "a"), kept(tmp_path / "b")
    assert (a.name, a.read_bytes()) == (b.name, b.read_bytes())


def test_they_are_made_once_and_say_who_made_them(loaded, tmp_path, monkeypatch):
    asked = {"tokens": 100, "length": 20, "seed": 3, "folder": tmp_path}
    first = unprompted(loaded, **asked)
    (path,) = kept(tmp_path)
    with safe_open(path, framework="numpy") as file:
        said = json.loads(file.metadata()["samples"])
    assert (said["kind"], said["made_by"], said["dtype"]) == ("unprompted", loaded.checkpoint.name, "float32")
    assert said["model"] == loaded.checkpoint.fingerprint
    monkeypatch.setattr("evop.recovery.samples.draw", lambda *_: pytest.fail("drawn again"))
    assert unprompted(loaded, **asked) == first
    for change in ({"tokens": 99}, {"length": 21}, {"seed": 4}):
        with pytest.raises(pytest.fail.Exception, match="drawn again"):
            unprompted(loaded, **{**asked, **change})


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "cannot be read"),
        (lambda path: change(path, "ids"), "is damaged"),
        (lambda path: change(path, "ended"), "is damaged"),
        (lambda path: change(path, None), "was made for something else"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_refused(loaded, tmp_path, harm, words):
    asked = {"tokens": 50, "length": 20, "seed": 3, "folder": tmp_path}
    unprompted(loaded, **asked)
    (path,) = kept(tmp_path)
    harm(path)
    with pytest.raises(EvopError, match=f"{path.name} {words}.*delete it, and it is made again$"):
        unprompted(loaded, **asked)


def change(path, name):
    """Change one number of a file, or what it was made for."""
    with safe_open(path, framework="numpy") as file:
        said = json.loads(file.metadata()["samples"])
    tensors = load_file(path)
    if name is None:
        said["seed"] += 1
    else:
        tensors[name][0] += 1
    save_file(tensors, path, metadata={"samples": json.dumps(said)})


def test_nothing_is_left_of_a_file_that_cannot_be_written(loaded, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(EvopError, match=r"cannot be written .*No space left on device.*nothing was left behind"):
        unprompted(loaded, tokens=50, length=20, seed=3, folder=tmp_path)
    assert not kept(tmp_path)


@pytest.mark.parametrize(
    ("bos", "config", "eos", "start"), [(7, 5, 6, 7), (None, 5, 6, 5), (None, None, 6, 6), (None, None, None, None)]
)
def test_a_sample_begins_with_what_begins_a_sequence(loaded, tmp_path, monkeypatch, bos, config, eos, start):
    monkeypatch.setitem(loaded.checkpoint.config, "bos_token_id", config)
    for name, token in (("bos", bos), ("eos", eos)):
        setattr(loaded.tokenizer, f"{name}_token", None if token is None else loaded.tokenizer.decode([token]))
    if start is None:
        with pytest.raises(EvopError, match="neither a token that begins nor one that ends a text"):
            unprompted(loaded, tokens=50, length=20, seed=3, folder=tmp_path)
    else:
        samples = unprompted(loaded, tokens=50, length=20, seed=3, folder=tmp_path)
        assert {ids[0] for ids in samples.ids} == {start}


def test_a_model_that_only_ends_texts_is_refused(loaded, tmp_path):
    """The end is its only likely token: the head reads a feature that the last norm makes large."""
    with torch.no_grad():
        loaded.model.lm_head.weight = torch.nn.Parameter(torch.zeros(4096, 32), requires_grad=False)
        loaded.model.lm_head.weight[0] = 100 * loaded.model.model.norm.weight
        loaded.model.model.layers[3].register_forward_hook(lambda *_: torch.ones_like(_[-1]))
    with pytest.raises(EvopError, match=r"ends what it has hardly begun: 0 of 256 .* have 16 tokens.*--anchor-text"):
        unprompted(loaded, tokens=2_000, length=20, seed=3, folder=tmp_path)
    with pytest.raises(EvopError, match="only ends the 2 passages"):
        continuations(
            loaded, [passage(0, WORDS), passage(1, WORDS)], max_tokens=20, seed=0, folder=tmp_path / "not there"
        )
    assert not kept(tmp_path)


def test_one_that_ends_early_is_drawn_again(loaded, tmp_path, monkeypatch):
    """A tenth of all tokens end a text: most samples end early, and are not among those that come back."""
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", list(range(0, 4096, 10)))
    samples = unprompted(loaded, tokens=400, length=20, seed=3, folder=tmp_path)
    sizes = [len(ids) for ids in samples.ids]
    assert min(sizes) >= 16
    assert len(set(sizes)) > 1
    assert samples.total >= 400
    assert all(shortened != (ids[-1] % 10 == 0) for ids, shortened in zip(samples.ids, samples.shortened, strict=True))
    assert not any(token % 10 == 0 for ids in samples.ids for token in ids[1:-1])


def test_texts_go_on_after_their_first_quarter_to_their_own_length(loaded, tmp_path):
    passages = [passage(0, WORDS), passage(1, "Two words"), passage(2, ""), passage(3, WORDS[4:])]
    made = continuations(loaded, passages, max_tokens=24, seed=0, folder=tmp_path)
    own = [loaded.tokenizer(p.text)["input_ids"][:24] for p in passages if p.text]
    assert made.groups == ("law/0", "law/1", "law/1")
    assert made.documents == ("document 0", "document 1", "document 3")
    for ids, given, shortened in zip(made.ids, own, made.shortened, strict=True):
        quarter = max(1, len(given) // 4)
        assert list(ids[:quarter]) == given[:quarter]
        assert len(ids) == len(given) or (ids[-1] == 0 and not shortened)
    assert list(made.ids[0]) != own[0]
    (path,) = kept(tmp_path)
    assert continuations(loaded, passages, max_tokens=24, seed=0, folder=tmp_path) == made
    assert kept(tmp_path) == [path]
    assert continuations(loaded, passages, max_tokens=24, seed=1, folder=tmp_path) != made
    assert len(kept(tmp_path)) == 2
    alone = continuations(loaded, passages[3:], max_tokens=24, seed=0, folder=tmp_path)
    assert alone.ids[0] == made.ids[2]
    with pytest.raises(EvopError, match="none of the passages to go on from has two tokens"):
        continuations(loaded, [passages[2]], max_tokens=24, seed=0, folder=tmp_path)


def test_chats_are_answered(loaded, tmp_path):
    def say(*turns):
        return tuple({"role": role, "content": content} for role, content in turns)

    question, answer = ("user", "What is it?"), ("assistant", "It is a dog that is as large as a horse.")
    loaded.tokenizer.chat_template = CHATS
    chats = [
        passage(0, messages=say(question, answer, ("user", "And now?"), answer)),
        passage(1, messages=say(question)),
        passage(2, messages=say(answer)),
        passage(3, messages=say(("user", WORDS * 2), answer)),
    ]
    made = continuations(loaded, chats, max_tokens=60, seed=0, folder=tmp_path)
    text = f"<user>{question[1]}\n<assistant>{answer[1]}\n<user>And now?\n<assistant>"
    prompt = loaded.tokenizer(text)["input_ids"]
    assert list(made.ids[0][: len(prompt)]) == prompt
    rendered = loaded.tokenizer(f"{text}{answer[1]}\n")["input_ids"]
    assert len(made.ids[0]) == len(rendered[:60]) or made.ids[0][-1] == 0
    for number in (1, 2, 3):  # no answer, nothing asked, asked at too great length: the first quarter
        own = loaded.tokenizer(loaded.tokenizer.apply_chat_template(list(chats[number].messages), tokenize=False))
        own = own["input_ids"][:60]
        assert list(made.ids[number][: len(own) // 4]) == own[: len(own) // 4]
        assert list(made.ids[number]) != own


def test_chats_need_a_template(loaded, tmp_path):
    chat = passage(0, messages=({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}))
    with pytest.raises(EvopError, match="no chat template"):
        continuations(loaded, [chat], max_tokens=60, seed=0, folder=tmp_path)
