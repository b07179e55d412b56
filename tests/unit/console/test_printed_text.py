"""The text of a set as a person sees it: as it is kept, and as a model is given it."""

import json

from calibration import DomainSource, Recipe, TaskSource, build_calibration_set
from evop.console.passages import print_text
from evop.console.plain import PlainConsole
from evop.model.checkpoint import Checkpoint
from evop.model.loaded import load_tokenizer
from evop.reference import model_dir

TEMPLATE = (
    "{% for tool in tools or [] %}<{{ tool.function.name }}>{% endfor %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}"
)
CALLED = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def small_set(folder):
    """A set of a text, of chats with tools, and of questions; names and texts hold what steers a terminal."""
    words = [" ".join(f"{word}{number}" for word in ("river", "stone", "cloud")) for number in range(40)]
    talks = [[{"role": "user", "content": f"ask {text}"}, {"role": "assistant", "content": text}] for text in words]
    rows = {
        "prose": [{"text": f"[/red] told \x1b[31m{text}\u202e"} for text in words],
        "talk": [{"messages": talk, "tools": CALLED} for talk in talks],
        "quiz": [{"query": f"Q {text}?", "choices": ["yes", text], "gold": 1} for text in words],
    }
    for name, each in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in each))
    files = {name: str(folder / f"{name}.jsonl") for name in rows}
    return build_calibration_set(
        Recipe(
            domains=[DomainSource(name=name, source=files[name]) for name in ("prose", "talk")],
            tasks=[TaskSource(name="quiz", source=files["quiz"])],
            clusters=1,
            passages=8,
            embedder="lexical",
            select_passages=2,
            audit_passages=2,
            hold_out=0,
            min_group_tokens=16,
        )
    )


def printed(calibration, tokenizer=None):
    console = PlainConsole(width=40, record=True, quiet=True)
    console.quiet = False
    with console.capture() as captured:
        print_text(console, calibration, tokenizer)
    return captured.get()


def test_what_is_kept_and_what_a_model_is_given(tmp_path):
    calibration = small_set(tmp_path)
    kept = printed(calibration)
    assert kept.count("--- ") == len(calibration.groups) == 3
    assert "[/red] told \\u001b[31mriver" in kept
    assert "\\u202e" in kept
    assert not {"\x1b", "\u202e"} & {*kept}
    assert '{"tools": [{"type": "function"' in kept
    assert '{"role": "user", "content": "ask river' in kept
    assert "wrong: Q river" in kept
    assert "right: Q river" in kept

    tokenizer = load_tokenizer(Checkpoint.find(model_dir()))
    tokenizer.chat_template = TEMPLATE
    given = printed(calibration, tokenizer)
    assert "<weather>[user] ask river" in given
    assert "[assistant] river" in given
    assert " tokens\n" in given
