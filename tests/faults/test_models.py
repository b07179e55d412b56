"""Models of many hands: what was loaded is what is written, and what is wrong is one line before any measuring."""

import json
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from calibration import Passage
from evop.errors import EvopError, first_line
from evop.export.weights import block_of
from evop.model.checkpoint import Checkpoint
from evop.model.families import family_of
from evop.model.loaded import load_model, load_tokenizer
from evop.reference import model_dir
from evop.removal.traced import traced_pattern
from evop.tokens import chats, time_limit
from evop.tokens.chats import chat_text
from evop.tokens.passages import tokenize

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    copy = shutil.copytree(model_dir(), tmp_path / "model")
    for path in copy.iterdir():
        path.chmod(0o644)
    return copy


def edit(folder, name="config.json", **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def weights(folder, change, name=WEIGHTS):
    tensors = {key: value.clone() for key, value in change(load_file(folder / WEIGHTS)).items()}
    save_file(tensors, folder / name, metadata={"format": "pt"})


def shards(folder, change=lambda tensors: tensors):
    """Write the weights as two shards with an index, beside the whole file."""
    names = sorted(load_file(folder / WEIGHTS))
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        weights(folder, lambda found, file=file: {n: change(found)[n] for n in names if files[n] == file}, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))


def loaded(folder):
    return load_model(Checkpoint.find(folder), "cpu", "float32")


def refused(folder):
    with pytest.raises(EvopError) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_files_are_those_that_transformers_loads(folder):
    shards(folder, lambda tensors: {name: value * 2 for name, value in tensors.items()})
    assert Checkpoint.find(folder).shards == (WEIGHTS,)
    whole = loaded(folder).model.state_dict()
    assert torch.equal(whole["model.norm.weight"], load_file(folder / WEIGHTS)["model.norm.weight"].float())
    (folder / "model-00001-of-00002.safetensors").unlink()
    loaded(folder)  # an old index of files that are gone is none


def test_shards_that_do_not_fit_their_index(folder):
    shards(folder)
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    assert len(Checkpoint.find(folder).tensors) == len(loaded(folder).model.state_dict()) - 1  # the head is tied
    index = (folder / INDEX).read_text()
    (folder / INDEX).unlink()
    assert f"neither {WEIGHTS} nor {INDEX}" in refused(folder)
    for content in ("[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../b"}}', "{"):
        (folder / INDEX).write_text(content)
        assert "copy the model again" in refused(folder)
    (folder / INDEX).write_text(index)
    (folder / "model-00001-of-00002.safetensors").write_bytes(whole)
    assert "lies in model-00001" in refused(folder)
    (folder / "model-00001-of-00002.safetensors").unlink()
    assert "names model-00001-of-00002.safetensors, which is not there" in refused(folder)


def more(tensors):
    return {**tensors, "model.layers.12.eh_proj.weight": torch.zeros(4, 4)}


def less(tensors):
    return {name: value for name, value in tensors.items() if name != "model.layers.3.mlp.up_proj.weight"}


def wider(tensors):
    return {**tensors, "model.layers.3.mlp.up_proj.weight": torch.zeros(513, 192)}


def untied(tensors):
    return {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (more, "hold 1 weights, model.layers.12.eh_proj.weight among them, that the model"),
        (less, "1 weights are missing from its files, model.layers.3.mlp.up_proj.weight among them"),
        (wider, r"up_proj.weight has shape (513, 192) in its files, config.json makes it (512, 192)"),
    ],
)
def test_what_was_loaded_is_held_against_the_files(folder, change, says):
    weights(folder, change)
    assert says in refused(folder)


def test_a_config_of_another_depth(folder):
    assert "weights, model.layers.11" in refused(edit(folder, num_hidden_layers=11))
    assert "config.json counts 1000000 layers" in refused(edit(folder, num_hidden_layers=1_000_000))


def test_a_head_of_its_own_in_a_model_that_says_it_is_tied(folder):
    """Either it is loaded and counted, or it is refused; it is not left out in silence."""
    weights(folder, untied)
    try:
        model = loaded(folder).model
    except EvopError as error:
        assert "tie_word_embeddings" in str(error)  # noqa: PT017 (either answer is right)
    else:
        assert sum(weight.numel() for weight in model.parameters()) == Checkpoint.find(folder).parameters


CONFIGS = [
    *({"rms_norm_eps": value} for value in (1, "1e-5", None, [])),
    *({"num_hidden_layers": value} for value in ("5", 5.0, -1, 0, [12])),
    *({"num_attention_heads": value} for value in (0, 5, "x")),
    *({"vocab_size": value} for value in (2048.0, 0, 2047)),
    *({"dtype": value} for value in ("fp16", 7)),
    *({"num_experts": value} for value in ([1], "many", 8)),
    *({"quantization_config": value} for value in ("gptq", [1])),
    *({"rope_parameters": value} for value in (7, {"rope_type": "none"}, [])),
    *({"model_type": value} for value in (None, 7, [], {"a": 1})),
    {"hidden_size": float("nan")},
    {"layer_types": ["full_attention"] * 99},
    {"intermediate_size": None},
    {"hidden_act": "unheard"},
    {"auto_map": {"AutoModelForCausalLM": "x.Y"}},
]


@pytest.mark.parametrize("change", CONFIGS, ids=lambda change: json.dumps(change)[:60])
def test_no_value_in_a_config_ends_in_a_traceback(folder, change):
    try:
        loaded(edit(folder, **change))
    except EvopError as error:
        assert "\n" not in str(error)  # noqa: PT017 (some values are as good as the right one)


@pytest.mark.parametrize(
    "content", [b"", b"\x08\0\0\0\0\0\0\0[]      ", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0{}", b"[" * 100]
)
def test_weights_that_are_none(folder, content):
    (folder / WEIGHTS).write_bytes(content)
    refused(folder)


def test_a_tensor_of_a_layer_whose_number_has_no_end(folder):
    name = f"model.layers.{'9' * 5000}.mlp.down_proj.weight"
    weights(folder, lambda tensors: {**tensors, name: next(iter(tensors.values()))})
    checkpoint, dense = Checkpoint.find(folder), Checkpoint.find(model_dir())
    with pytest.raises(EvopError, match="its weights hold every block"):
        traced_pattern(folder, dense)
    with pytest.raises(EvopError, match="belongs to neither the attention nor the MLP"):
        block_of(checkpoint, family_of(dense.model_type), "model.layers.", name)


def test_a_header_that_would_fill_the_memory(folder):
    with (folder / WEIGHTS).open("wb") as file:
        file.write((150_000_000).to_bytes(8, "little"))
        file.truncate(200_000_000)  # of a hole, which takes no room on the disk
    assert "its header has 150,000,000 bytes, expected at most 100,000,000" in refused(folder)


def test_a_byte_order_mark_before_a_config(folder):
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + (folder / "config.json").read_bytes())
    assert "begins with a byte-order mark; save it as UTF-8 without one" in refused(folder)


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "additional_chat_templates/a.jinja"]
)
def test_a_pipe_among_the_files_is_not_waited_for(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"{name} is a pipe, a socket or a device" in refused(folder)


@pytest.mark.parametrize("window", [4, "x"])
def test_a_key_that_the_architecture_does_not_know_changes_nothing(folder, window):
    """Another tool's ``sliding_window`` in the config of a Llama, which has none."""
    changed = Checkpoint.find(edit(folder, sliding_window=window))
    llama = family_of("llama")
    assert changed.resolved.sliding_window == window
    assert llama.window(changed.resolved, 0) is None
    stray = AutoConfig.for_model("gpt2", num_key_value_heads=1, layer_types=["sliding_attention"] * 12)
    assert family_of("gpt2").units(stray, "attn") == stray.num_attention_heads
    assert family_of("gpt2").window(stray, 3) is None


def test_what_a_person_can_do_about_a_tokenizer(folder):
    def said():
        with pytest.raises(EvopError) as caught:
            load_tokenizer(Checkpoint.find(folder))
        return str(caught.value)

    config = (folder / "tokenizer_config.json").read_text()
    whole = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(whole[:5000])
    assert "tokenizer.json is not JSON" in said()
    (folder / "tokenizer.json").unlink()
    (folder / "own.py").write_text("raise SystemExit\n")
    edit(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]}, tokenizer_class="Own")
    assert "give --trust-remote-code" in said()
    (folder / "tokenizer_config.json").write_text(config)
    assert "has no tokenizer: none of tokenizer.json, tokenizer.model" in said()
    (folder / "tokenizer.model").write_bytes(b"no such thing")
    assert "pip install sentencepiece" in said()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", "{"),
        ("tokenizer.json", "[]"),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"0": "x"}}'),
        ("tokenizer_config.json", '{"tokenizer_class": 7}'),
    ],
)
def test_tokenizers_that_are_none(folder, name, content):
    (folder / name).write_text(content)
    try:
        load_tokenizer(Checkpoint.find(folder))
    except EvopError as error:
        assert "tokenizer" in str(error)  # noqa: PT017 (transformers may make do without)


def passage(text=None, messages=None, **more):
    return Passage("id", "d#1", "toy", text, messages, cluster=0, split="search", **more)


def test_a_token_that_the_model_has_no_embedding_for(folder):
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    tokenizer.add_tokens(["<|beyond|>"])
    tokenize([passage("plain words alone")], tokenizer, 64)
    item = passage("which is it", choices=("this", "the <|beyond|>"), gold=0)
    for asked in (passage("words <|beyond|> words"), item):
        with pytest.raises(EvopError, match=r"token \d+ \('<\|beyond\|>'\), the model has embeddings for"):
            tokenize([asked], tokenizer, 64)


CALL = {"function": {"name": "weather", "arguments": {"city": "Rome"}}}
CHAT = (
    {"role": "user", "content": "how is Rome?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
)
START = "{% for m in messages %}{{ m.role }}:{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
END = "{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ c.function.arguments | tojson }}", '{"city": "Rome"}'),
        ("{% for k, v in c.function.arguments | items %}{{ k }}={{ v }}{% endfor %}", "city=Rome"),
        ("{{ 'call ' + c.function.arguments }}", 'call {"city": "Rome"}'),
        ("{{ c.function.arguments }}", '{"city": "Rome"}'),
        ("{{ c.function.arguments if c.function.arguments is string else c.function.arguments | tojson }}", '"Rome"}'),
    ],
)
def test_every_template_gets_arguments_in_the_form_it_knows(folder, template, text):
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    tokenizer.chat_template = START + template + END
    assert chat_text(passage(messages=CHAT), CHAT, tokenizer).endswith(text)


def test_a_template_is_given_the_tools(folder):
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    tokenizer.chat_template = "{% for t in tools or [] %}<{{ t.function.name }}>{% endfor %}{{ messages[0].content }}"
    tools = ({"type": "function", "function": {"name": "weather", "parameters": {}}},)
    assert chat_text(passage(messages=CHAT, tools=tools), CHAT, tokenizer) == "<weather>how is Rome?"
    assert chat_text(passage(messages=CHAT), CHAT, tokenizer) == "how is Rome?"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ messages | nothing }}", "is broken|refuses|fails"),
        ("{% for m in messages %}", "is broken at its line 1"),
        ("{{ 1 / 0 }}", r"fails on a chat of d#1 \(ZeroDivisionError"),
        ("{% for k in messages[0].content | items %}{% endfor %}", r"fails on a chat of d#1 \(TypeError"),
        ("{{ raise_exception('no system role') }}", r"refuses a chat of d#1 \(no system role\)"),
        ({"tools": "x", "rag": "y"}, "templates are called tools, rag, and none default"),
    ],
)
def test_whatever_a_template_raises_is_one_line(folder, template, says):
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    tokenizer.chat_template = template
    with pytest.raises(EvopError, match=says):
        chat_text(passage(messages=CHAT), CHAT, tokenizer)


def test_a_template_without_end_is_one_line(folder, monkeypatch):
    monkeypatch.setattr(chats, "LONGEST", 0.2)
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    loops = "".join(f"{{% for {name} in range(99999) %}}" for name in "abc")
    tokenizer.chat_template = f"{loops}{'{% endfor %}' * 3}"
    with pytest.raises(EvopError, match=r"d#1 \(TimeoutError: it computed for more than 0.2 seconds"):
        chat_text(passage(messages=CHAT), CHAT, tokenizer)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def limited():
    with time_limit.within(0.05):
        pass


def test_what_ends_in_time_is_not_interrupted_later_and_threads_are_not_at_all():
    late = []
    before = signal.signal(signal.SIGVTALRM, lambda *_: late.append(True))
    try:
        limited()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(limited).result()
        began = time.process_time()
        while time.process_time() - began < 0.2:
            pass
    finally:
        signal.signal(signal.SIGVTALRM, before)
    assert not late


@pytest.mark.parametrize("change", [lambda content: content[:-2], lambda content: content + b"\0\0"])
def test_weights_of_another_length_are_seen_before_they_are_loaded(folder, change):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(change(whole))
    for look in (lambda found: found.fingerprint, lambda found: found.tensors):
        with pytest.raises(EvopError, match=rf"it has \d+ bytes, its header says {len(whole)}\); copy it again"):
            look(Checkpoint.find(folder))


def test_a_tokenizer_that_fails_on_a_text_is_one_line(folder):
    """One of whole words that has none for the unknown ones; its library raises a bare exception."""
    model = {"type": "WordLevel", "vocab": {"known": 0}, "unk_token": "absent"}
    content = json.loads((folder / "tokenizer.json").read_text())
    kept = {**content, "model": model, "added_tokens": [], "normalizer": None, "post_processor": None}
    (folder / "tokenizer.json").write_text(
        json.dumps({**kept, "pre_tokenizer": {"type": "Whitespace"}, "decoder": None})
    )
    tokenizer = load_tokenizer(Checkpoint.find(folder))
    with pytest.raises(EvopError, match=r"domain toy: the model's tokenizer fails on d#1 \(.*UNK.*\); mend"):
        tokenize([passage("known words and others")], tokenizer, 64)


def test_what_another_library_says_is_cut_to_a_line_that_says_something():
    assert first_line(ValueError("\n  no model file:\n  a, b\n or c\n more")) == "no model file: a, b or c"
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 5000))) == 300
