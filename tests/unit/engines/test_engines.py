"""How a round is dealt out and gathered, with workers that live in this process and die as they are told."""

from types import SimpleNamespace

import pytest
from toys import FIDELITIES, GROUPS, Landscape, subblock_space

from calibration.seeded import generator
from evop.engines import ENGINES, make_engine, ray_engine, refuse_engine
from evop.engines.chunk import Done, Lost, Refused, chunks
from evop.engines.ray_engine import TRIES, RayEngine
from evop.errors import EvopError
from evop.evaluator import Profile
from evop.fitness.store import LossStore
from evop.recipes.search import SearchRecipe
from patterns import Budget, Request, Stop

SPACE = subblock_space()
LANDSCAPE = Landscape(SPACE)


def request(count):
    rng = generator("engines")
    patterns = []
    while len(patterns) < count:
        drawn = Budget(SPACE, 0.25).draw(rng)
        patterns += [] if drawn in patterns else [drawn]
    return Request(3, patterns, FIDELITIES[-1], [0.1 * at for at in range(count)])


class Crew:
    """A cluster of two whose workers do what a script says; what is sent last is finished first."""

    def __init__(self, script=(), size=2):
        self.script, self.size, self.hired, self.fired, self.closed = list(script), size, 0, [], 0
        self.sent = {}

    def hire(self):
        self.hired += 1
        return self.hired

    def fire(self, worker):
        self.fired.append(worker)

    def send(self, worker, chunk):
        self.sent[len(self.sent)] = chunk
        return len(self.sent) - 1

    def finished(self, sent, seconds):
        return sent[-1:]

    def outcome(self, sent):
        if self.script and (scripted := self.script.pop(0)) is not None:
            return scripted
        chunk = self.sent[sent]
        rows = tuple((pattern, 0, {"toy": 1.0}) for pattern in chunk.request.patterns)
        return Done(tuple(LANDSCAPE(chunk.request)), rows, Profile(tokens=len(rows)))

    def close(self):
        self.closed += 1


@pytest.fixture
def engine_with(monkeypatch):
    def made(crew, said=None):
        sample = SimpleNamespace(
            store=LossStore(None, {}), fidelities=FIDELITIES, evaluator=SimpleNamespace(profile=Profile())
        )
        monkeypatch.setattr(ray_engine, "RayCluster", lambda plan, workers: crew)
        monkeypatch.setattr(ray_engine.WorkerPlan, "of", lambda recipe, fitness: None)
        recipe = SearchRecipe.of(engine="ray", workers=crew.size)
        return RayEngine(recipe, SimpleNamespace(sample=sample), (said if said is not None else []).append)

    return made


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 16, 50])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_request_is_dealt_out_once_and_what_begins_alike_stays_together(count, workers):
    asked, store = request(count), LossStore(None, {})
    store.put(asked.patterns[0], 1, {"toy": 2.0})
    dealt = chunks(asked, GROUPS, workers, store, 2)
    assert sorted(at for chunk in dealt for at in chunk.places) == list(range(count))
    assert min(count, workers) <= len(dealt) <= 2 * workers
    levels = [pattern.levels for chunk in dealt for pattern in chunk.request.patterns]
    assert levels == sorted(levels)
    for chunk in dealt:
        assert list(chunk.request.patterns) == [asked.patterns[at] for at in chunk.places]
        assert list(chunk.request.bounds) == [asked.bounds[at] for at in chunk.places]
        assert (chunk.request.round, chunk.request.fidelity, chunk.order) == (3, FIDELITIES[-1], GROUPS)
    assert [row for chunk in dealt for row in chunk.known] == [(asked.patterns[0], 1, {"toy": 2.0})]


def test_measurements_come_in_the_order_asked_and_the_store_learns(engine_with):
    crew, asked = Crew(), request(16)
    engine = engine_with(crew)
    assert engine.measure(asked, GROUPS, Stop()) == list(LANDSCAPE(asked))
    assert all(engine._fitness.sample.store.get(pattern, 0) for pattern in asked.patterns)
    assert engine._fitness.sample.evaluator.profile.tokens == 16
    assert (crew.hired, crew.fired) == (2, [])
    engine.close()
    engine.close()
    assert (sorted(crew.fired), crew.closed) == ([1, 2], 1)


def test_a_lost_worker_is_replaced_and_its_patterns_measured_again(engine_with):
    crew, asked, said = Crew([None, Lost("it died."), Lost("it died.")]), request(16), []
    assert engine_with(crew, said).measure(asked, GROUPS, Stop()) == list(LANDSCAPE(asked))
    assert (crew.hired, len(crew.fired)) == (4, 2)
    assert said == ["a worker was lost (it died); another measures its 4 pattern(s) of round 3 again"] * 2


def test_workers_that_are_lost_over_and_over_end_the_search(engine_with):
    crew = Crew([Lost("it died.")] * TRIES)
    says = r"^--engine ray: 3 workers were lost over 1 pattern\(s\) of round 3, the last one: it died; "
    with pytest.raises(EvopError, match=says):
        engine_with(crew).measure(request(1), GROUPS, Stop())
    assert crew.hired == 1 + TRIES


def test_what_a_worker_refuses_is_said_as_it_is(engine_with):
    with pytest.raises(EvopError, match=r"^no$"):
        engine_with(Crew([Refused("no")])).measure(request(4), GROUPS, Stop())


def test_a_search_that_is_over_ends_its_workers_and_measures_nothing(engine_with):
    crew = Crew()
    assert engine_with(crew).measure(request(4), GROUPS, Stop(interrupted=True)) == []
    assert (len(crew.fired), crew.closed) == (2, 1)


def test_every_engine_has_the_two_methods_and_is_an_option():
    for name in ENGINES:
        engine = make_engine(SearchRecipe.of(engine=name), None, print)
        assert callable(engine.measure)
        engine.close()


def test_workers_belong_to_ray():
    with pytest.raises(EvopError, match="--workers 2: the serial engine has none"):
        refuse_engine(SearchRecipe.of(workers=2))


def test_more_workers_than_patterns_together_are_refused_before_any_is_started():
    refuse_engine(SearchRecipe.of(engine="ray", workers=32))
    with pytest.raises(EvopError, match="--workers 33: 32 patterns are measured together at most, and more workers"):
        refuse_engine(SearchRecipe.of(engine="ray", workers=33))
