"""Which model a search has judged, told by the folder that a pattern lies in; and healed weights that go."""

from types import SimpleNamespace

import pytest
from borne import frontier, judgement

from evop.stages.judged_healed import judged_healed, unhealed_words
from evop.stages.tolerated_healed import delete_healed


@pytest.fixture
def run(tmp_path):
    """A run whose answer, 0.10, was judged healed, by its files."""
    points = {
        name: {"masked": judgement({"code": 0.5}), "healed": judgement({"code": 0.4})} for name in ("0.10", "0.2")
    }
    file = frontier(points, "healed", answer="0.10")
    for name in points:
        (tmp_path / "points" / name).mkdir(parents=True)
    (tmp_path / "points" / "0.10" / "healed").mkdir()
    file.write(tmp_path / "frontier.json")
    return tmp_path


def opened(folder):
    return SimpleNamespace(place=folder / "pattern.json", path=folder)


def test_the_pattern_of_what_was_judged_healed_is_told_from_it(run):
    healed = run / "points" / "0.10" / "healed"
    assert judged_healed(opened(run)) == judged_healed(opened(healed.parent)) == healed
    assert judged_healed(opened(run / "points" / "0.2")) is None  # another pattern, which was not chosen
    assert f"{run} is the pattern, not healed: " in unhealed_words(opened(run), healed)
    healed.rmdir()
    assert judged_healed(opened(run)) is None


def test_of_a_run_of_another_version_nothing_is_said(run, tmp_path):
    (run / "frontier.json").write_text('{"schema": "evop.frontier/1"}')
    assert judged_healed(opened(run)) is None
    assert judged_healed(opened(tmp_path / "elsewhere")) is None


def test_healed_weights_go_whole_and_their_account_where_it_is_asked(tmp_path):
    for times in range(2):
        (tmp_path / "healed").mkdir()
        (tmp_path / "healed" / "model.safetensors").touch()
        (tmp_path / ".healed.gone").mkdir(exist_ok=True)  # a kill came between
        (tmp_path / "healed.json").touch()
        delete_healed(tmp_path, but_the_account=times == 0)
        assert {path.name for path in tmp_path.iterdir()} == ({"healed.json"} if times == 0 else set())
