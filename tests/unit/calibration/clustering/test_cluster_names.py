"""Names of clusters: telling terms."""

import numpy as np

from calibration.clustering.names import cluster_names


def test_names_tell_clusters_apart():
    texts = ["the tax and the revenue taxes 2024"] * 3 + ["don't you'll the whale in the sea"] * 3
    tax, sea = cluster_names(texts, np.array([0, 0, 0, 1, 1, 1]))
    assert set(tax.split(", ")) == {"revenue", "tax"}
    assert set(sea.split(", ")) == {"sea", "whale"}


def test_names_take_identifiers_from_code():
    texts = ["def parse_args(self): return 1", "parse_args()", "torch.nn", "torch"]
    assert "parse_args" in cluster_names(texts, np.array([0, 0, 1, 1]))[0]
