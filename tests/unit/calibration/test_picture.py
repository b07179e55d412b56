"""The map of the clusters, drawn from groups, passages and positions."""

import numpy as np

from calibration.passage import Group, Passage
from calibration.picture import draw_clusters


def test_the_map_is_a_picture_of_the_groups_it_is_given():
    groups = [Group(domain, cluster, "tide, whale", unseen=cluster == 1) for domain in "abcde" for cluster in (0, 1)]
    passages = [
        Passage.of(g.domain, f"{g.key}.{i}", f"{g.key} {i}").placed(cluster=g.cluster) for g in groups for i in "xy"
    ]
    positions = np.random.default_rng(0).random((len(passages), 2), dtype=np.float32)
    drawn = draw_clusters(groups, passages, positions)
    assert drawn.startswith(b"\x89PNG")
    assert drawn == draw_clusters(groups, passages, positions)
    others = [Passage.of("f", "d", "left out").placed(cluster=0)]
    assert drawn == draw_clusters(groups, [*passages, *others], np.vstack([positions, [[9, 9]]]))
    assert drawn != draw_clusters(groups[2:], passages, positions)
    assert drawn != draw_clusters([*groups[:-1], Group("e", 1, "tide, whale", unseen=False)], passages, positions)
