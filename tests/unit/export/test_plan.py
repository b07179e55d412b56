"""Which old blocks make up which new layer."""

import pytest
from toys import layer_space, subblock_space

from evop.errors import EvopError
from evop.export.plan import LayerPlan, NewLayer
from evop.removal.ranking import Ranking


def any_count(kind, units):
    return True


def plan(*names, layers=4):
    space = subblock_space(layers)
    return LayerPlan.of(Ranking().cut_of(space, space.pattern(names)), layers, stock_count=any_count)


def test_whole_layers_are_stock_and_renumbered():
    space = layer_space(4)
    cut = Ranking().cut_of(space, space.pattern(["layers.0", "layers.2"]))
    found = LayerPlan.of(cut, 4, stock_count=any_count)
    assert found.format == "stock"
    assert found.layers == (NewLayer(1, 1), NewLayer(3, 3))
    assert found.places == {("attn", 1): 0, ("mlp", 1): 0, ("attn", 3): 1, ("mlp", 3): 1}


def test_alternating_blocks_are_packed_into_stock_layers():
    found = plan("layers.0.mlp", "layers.1.attn", "layers.1.mlp", "layers.2.attn")
    assert found.format == "stock"
    assert found.layers == (NewLayer(0, 2), NewLayer(3, 3))


def test_what_does_not_alternate_keeps_its_layers():
    found = plan("layers.0.attn", "layers.1.attn", "layers.1.mlp", "layers.3.mlp")
    assert found.format == "hetero"
    assert found.layers == (NewLayer(None, 0), NewLayer(2, 2), NewLayer(3, None))
    assert [layer.skip for layer in found.layers] == [("attention",), (), ("mlp",)]
    assert found.places == {("mlp", 0): 0, ("attn", 2): 1, ("mlp", 2): 1, ("attn", 3): 2}


@pytest.mark.parametrize("kind", ["attn", "mlp"])
def test_only_one_kind_left_is_hetero(kind):
    found = plan(*(f"layers.{i}.{kind}" for i in range(4)))
    assert found.format == "hetero"
    assert len(found.layers) == 4


def test_nothing_removed_is_the_model_itself():
    assert plan().layers == tuple(NewLayer(i, i) for i in range(4))


def test_removing_everything_is_refused():
    with pytest.raises(EvopError, match="removes every decoder block"):
        plan(*(f"layers.{i}.{kind}" for i in range(4) for kind in ("attn", "mlp")))
