import json

import pytest
from toys import FIDELITIES, Landscape, subblock_space

from patterns import STRATEGIES, Budget, PatternError, Stop, TrialLog, make_strategy, search

BUDGET = Budget(subblock_space(8, "stock"), 0.25)


def run(path, name="cma", stop=None, land=None, seed=0, log=None):
    log = log or (TrialLog.open(path) if path.exists() else TrialLog.create(path, {"seed": seed}))
    land = land or Landscape(BUDGET.space)
    reason = search(make_strategy(name, BUDGET, seed), BUDGET, log, land, stop or Stop(40), fidelities=FIDELITIES)
    return log, land, reason


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("first", [1, 7, 8, 19])
def test_a_larger_limit_extends_a_run_byte_for_byte(tmp_path, name, first):
    run(tmp_path / "whole", name, Stop(40))
    run(tmp_path / "parts", name, Stop(first))
    short = (tmp_path / "parts").read_bytes()
    _, land, _ = run(tmp_path / "parts", name, Stop(40))
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    assert (tmp_path / "whole").read_bytes().startswith(short)
    assert len(land.asked) == (tmp_path / "whole").read_bytes().count(b"\n") - short.count(b"\n")


def test_a_finished_run_measures_nothing_again(tmp_path):
    run(tmp_path / "log")
    _, land, reason = run(tmp_path / "log")
    assert land.asked == []
    assert reason == "evaluations"


def test_a_torn_last_line_is_cut_off_and_measured_again(tmp_path):
    path = tmp_path / "log"
    run(path)
    whole = path.read_bytes()
    for cut in (3, 50, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        run(path)
        assert path.read_bytes() == whole


def tokens_of_trials(path, reserve):
    log = TrialLog.create(path, {})
    strategy, land, stop = make_strategy("random", BUDGET, 0), Landscape(BUDGET.space), Stop(tokens=1000)
    reason = search(strategy, BUDGET, log, land, stop, fidelities=FIDELITIES, spent=250, reserve=reserve)
    assert reason == "tokens"
    return sum(trial.measurement.tokens for trial in log.trials)


def test_tokens_bound_a_search_and_what_was_spent_or_is_kept_counts(tmp_path):
    assert tokens_of_trials(tmp_path / "nothing kept", lambda finalists: 0) == 700
    assert tokens_of_trials(tmp_path / "for the end", lambda finalists: 200) == 500


def test_tokens_are_kept_for_as_many_finalists_as_there_are(tmp_path):
    """Five patterns and five finalists; six would take 6 * 140 of 750 tokens."""
    assert tokens_of_trials(tmp_path / "few", lambda finalists: 40 * finalists) == 500
    assert tokens_of_trials(tmp_path / "none yet", lambda finalists: 40 * max(5, finalists)) == 500
    assert tokens_of_trials(tmp_path / "eight", lambda finalists: 40 * 8) == 400


def test_an_interrupt_keeps_what_was_measured_and_the_run_goes_on(tmp_path):
    stop = Stop(40)

    class Interrupted(Landscape):
        def __call__(self, request):
            for found in super().__call__(request):
                yield found
                if len(self.asked) == 13:
                    stop.interrupted = True
                    return

    log, _, reason = run(tmp_path / "log", stop=stop, land=Interrupted(BUDGET.space))
    assert reason == "interrupted"
    assert len(log.trials) == 13
    run(tmp_path / "whole")
    run(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_clock_stops_a_search_at_a_prefix(tmp_path):
    import time

    class Slow(Landscape):
        def losses(self, pattern):
            time.sleep(0.02)
            return super().losses(pattern)

    log, _, reason = run(tmp_path / "log", stop=Stop(minutes=0.2 / 60), land=Slow(BUDGET.space))
    assert reason == "minutes"
    run(tmp_path / "whole", stop=Stop(len(log.trials) + 30))
    assert (tmp_path / "whole").read_bytes().startswith((tmp_path / "log").read_bytes())


def test_a_log_of_another_seed_is_refused(tmp_path):
    run(tmp_path / "log", seed=0)
    with pytest.raises(PatternError, match="belongs to another search"):
        run(tmp_path / "log", seed=1)


def test_a_damaged_log_is_refused(tmp_path):
    path = tmp_path / "log"
    run(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "not json\n", *lines[4:]]))
    with pytest.raises(PatternError, match=r"line 4 is damaged .*; the 3 before it are good"):
        TrialLog.open(path)
    path.write_text(json.dumps({"schema": "evop.trials/9"}) + "\n")
    with pytest.raises(PatternError, match=r"evop\.trials/9"):
        TrialLog.open(path)


def test_the_log_holds_no_times(tmp_path):
    run(tmp_path / "log")
    for line in (tmp_path / "log").read_text().splitlines()[1:]:
        assert set(json.loads(line)) == {"round", "levels", "met", "fidelity", "value", "tokens", "losses", "checksum"}


def test_a_higher_fidelity_of_what_was_measured_is_no_further_evaluation(tmp_path):
    """The limit is met by a generation at low fidelity: its survivors are measured in full all the same."""
    log, *_ = run(tmp_path / "long", "swap", Stop(90))
    limit = len({trial.pattern for trial in log.trials if trial.round <= 1})
    log, _, reason = run(tmp_path / "short", "swap", Stop(limit))
    assert reason == "evaluations"
    assert len({trial.pattern for trial in log.trials}) == limit
    assert any(trial.met and trial.fidelity == FIDELITIES[-1].passages for trial in log.trials)
