"""What is healed of a search's answer, in an audit, a comparison, a picture and a card."""

import io

import pytest
from safetensors.torch import load_file, save_file
from sets import small_set
from tiny import build

from evop.console.audit import print_audit
from evop.console.comparison import print_comparison
from evop.console.plain import PlainConsole
from evop.files.json_file import sha256
from evop.files.names import HEAL, PATTERN
from evop.model.checkpoint import Checkpoint
from evop.model.sums import write_sums
from evop.recovery.heal_file import HealFile, HealPoint
from evop.removal.pattern_facts import ModelName
from evop.stages.audit import audit
from evop.stages.compare import compare
from evop.stages.compare_domains import domain_frame
from evop.stages.compare_picture import draw_comparison
from evop.stages.prune import prune
from evop.stages.search import search

HOW = {"device": "cpu", "dtype": "float32"}


def heal(folder, model, calibration, tokens):
    """Change a weight of a checkpoint a little, and say that it was healed."""
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= 1 + tokens / 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_sums(folder)
    curve = [
        HealPoint(tokens=at, loss=None, excess={"law/0": 1 / (at + 1), "code/1": 1.0}, weights={}) for at in (0, tokens)
    ]
    HealFile(
        version="1", model=ModelName.of(Checkpoint.find(model)), pattern_sha256=sha256(folder / PATTERN),
        calibration=calibration.fingerprint, recipe={"tolerate": 0.1}, tokens=tokens, stopped="tokens",
        best_at=tokens, curve=curve,
    ).write(folder / HEAL)  # fmt: skip


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """Two searches of one budget; of the first, two healed checkpoints; one audit of all, healed ones first."""
    place, calibration = tmp_path_factory.mktemp("road"), small_set()
    model = build("llama", place / "model")
    how = {"deploy": "any", "strategy": "random", "evaluations": 1, "remove": 0.25}
    for seed, name in enumerate(("a", "b")):
        search(model, calibration, place / name, seed=seed, max_tokens=32, min_group_tokens=20, **how, **HOW)
    for name, tokens in (("healed-long", 2000), ("short", 1000)):
        prune(model, place / "a", place / name, parity=False)
        heal(place / name, model, calibration, tokens)
    given = [place / name for name in ("short", "healed-long", "b", "a")]
    file = audit(model, calibration, given, place / "audit", random_patterns=2, needs=False, speed=False, **HOW).file
    return place, model, file


def printed(write, *what):
    stream = io.StringIO()
    write(PlainConsole(file=stream, width=250), *what)
    return stream.getvalue()


def test_healed_rows_follow_the_search_that_they_come_from(road):
    place, _, file = road
    table = compare([place / "a", place / "b"])
    first = list(table["run"]).index("a")
    assert list(table["run"])[first : first + 3] == ["a", "short (healed)", "healed-long"]
    assert set(table["run"]) == {"a", "b", "short (healed)", "healed-long"}
    rows = table.set_index("run")
    assert list(rows.loc[["b", "a", "short (healed)", "healed-long"], "recovery"]) == [
        "none",
        "none",
        "healed",
        "healed",
    ]
    for name, row in (("short", "short (healed)"), ("healed-long", "healed-long"), ("a", "a")):
        assert rows.loc[row, "audit_worst"] == file.summary_of(name, "audit", "text").worst
    assert rows.loc["healed-long", "healed_tokens"] == 2000
    assert rows["search"].isna().sum() == 2
    text = printed(print_comparison, table)
    assert "2 searches" in text
    assert text.index("short (healed)") > text.index(" a ")
    domains = domain_frame(table)
    assert set(domains["run"]) == {"a", "b", "short (healed)", "healed-long"}
    assert set(domains["domain"]) == {"code_python", "legal_statute", "math_word"}
    draw_comparison(table, place / "frontier.svg")
    drawn = (place / "frontier.svg").read_text()
    assert all(f"<!-- {domain} -->" in drawn for domain in ("code_python", "legal_statute", "math_word"))


def test_the_audit_prints_rows_that_take_out_the_same_beside_each_other(road):
    text = printed(print_audit, road[2])
    assert "short (healed) against a, on audit: the worst group loses" in text
    assert "healed-long against a, on unseen: the worst group loses" in text
    assert "against b" not in text


def test_the_page_has_a_curve_for_every_healing_and_a_slope_for_every_panel(road):
    page = (road[0] / "audit" / "report.html").read_text()
    assert page.count("every group while it healed (") == 4  # in the title, and for those who cannot see
    assert page.count('id="group:law:law/0:line"') == 2
    for row in road[2].groups_of("a", "audit", "text"):
        assert f'id="group:{row.domain}:{row.group}:slope"' in page
        assert f'id="group:{row.domain}:{row.group}:name"' in page
    assert "tolerated: 0.1" in page


def test_the_card_of_the_pruned_model_shows_the_healed_ones_beside_it(road):
    place, model, _ = road
    card = (
        prune(model, place / "a", place / "card", audit=place / "audit", parity=False).folder / "README.md"
    ).read_text()
    heads = "| pruned: a: perplexity | pruned: a: excess [95%] | healed: short: perplexity |"
    assert heads in card
    assert "| random: excess, median [range] |" in card
    assert "b: perplexity" not in card
