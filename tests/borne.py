"""Frontiers written by hand, for tests that draw them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evop.searching.frontier_file import FrontierFile

KINDS = {"code": "text", "law": "text", "sums": "item"}
TOLERANCE = {"code": 0.05, "law": 0.1, "sums": 0.03}


def judgement(shares: Mapping[str, float], spread: float = 0.2, single: bool = False) -> dict[str, Any]:
    """A judgement in which each domain is one group that uses a share of what it may lose."""
    ends = {name: (None, None) if single else (share - spread, share + spread) for name, share in shares.items()}
    worst = max(shares, key=lambda name: shares[name])
    low, high = ends[worst]
    verdict = "open" if high is None or low <= 1 < high else "within" if high <= 1 else "beyond"
    return {
        "groups": [
            {"group": f"{name}/0", "kind": KINDS[name], "tolerance": TOLERANCE[name], "loss": share * TOLERANCE[name],
             "low": None if single else ends[name][0] * TOLERANCE[name],
             "high": None if single else ends[name][1] * TOLERANCE[name]}
            for name, share in shares.items()
        ],
        "domains": [
            {"domain": name, "kind": KINDS[name], "tolerance": TOLERANCE[name], "measured": share, "largest": share,
             "low": ends[name][0], "high": ends[name][1]}
            for name, share in shares.items()
        ],
        "measured": shares[worst], "largest": shares[worst], "low": low, "high": high, "worst_group": f"{worst}/0",
        "verdict": verdict,
    }  # fmt: skip


def frontier(points: Mapping[str, Mapping[str, Any]], judge: str = "masked", **more: Any) -> FrontierFile:
    """A frontier of named points, each a mapping of what it was judged as to a judgement."""
    edges = {}
    for each in (judge, "masked"):
        within = [name for name, judged in points.items() if judged[each]["verdict"] == "within"]
        edges[each] = max(within, default=None)
    rows = [
        {"name": name, "remove": float(name), "removed": float(name), "judgements": judged, "evaluations": 1,
         "tokens": 10, "pattern_sha256": ""}
        for name, judged in points.items()
    ]  # fmt: skip
    content = {
        "version": "0", "model": {"name": "m", "revision": None, "fingerprint": "f"}, "calibration": "c",
        "cost": "params", "tolerate": ["0.1", "3%", "code=0.05"], "judge": judge, "answer": edges[judge],
        "edges": edges, "points": rows, "unmet": [], "labels": {f"{name}/0": f"{name}/0 <words>" for name in KINDS},
    }  # fmt: skip
    return FrontierFile.model_validate(content | more)
