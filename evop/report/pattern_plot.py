"""Patterns as pictures of the network: what stays of every layer, one pattern above the other."""

from __future__ import annotations

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from calibration.visible import drawable
from evop.auditing.audit_file import AuditFile
from evop.report.style import FAINT, GRID, colours, new_figure


def pattern_figure(audit: AuditFile) -> Figure:
    """Draw one column per layer, a row for its attention and one for its MLP, or one for both; filled is what stays.

    Patterns of which it is not known what left are not drawn; there is another one.
    """
    patterns = [pattern for pattern in audit.patterns if pattern.left]
    places = {name: _place(name) for pattern in patterns for name in pattern.left}
    kinds = [kind for kind in ("layer", "attn", "mlp") if any(own == kind for _, own in places.values())]
    layers = 1 + max(layer for layer, _ in places.values())
    rows = len(kinds) + 0.9
    figure = new_figure(8.6, 0.5 + 0.27 * rows * len(patterns))
    axis = figure.subplots()
    colour = colours([pattern.name for pattern in audit.patterns])
    ticks: list[tuple[float, str]] = []
    for at, pattern in enumerate(patterns):
        top = -at * rows
        axis.text(-0.6, top + 0.25, drawable(pattern.name), ha="left", va="bottom", fontsize=9, fontweight="bold")
        for name, left in pattern.left.items():
            layer, kind = _place(name)
            y = top - kinds.index(kind) - 0.85
            axis.add_patch(Rectangle((layer - 0.44, y), 0.88, 0.8, fc="none", ec=GRID, lw=0.8))
            full = Rectangle((layer - 0.44, y), 0.88 * left, 0.8, fc=to_rgba(colour[pattern.name], 0.85), ec="none")
            full.set_gid(f"part:{at}:{name}")
            axis.add_patch(full)
        ticks += [(top - i - 0.45, kind) for i, kind in enumerate(kinds)]
    axis.set_yticks([y for y, _ in ticks], [kind for _, kind in ticks], fontsize=8)
    step = max(1, layers // 16)
    axis.set_xticks(range(0, layers, step), [str(layer) for layer in range(0, layers, step)], fontsize=8)
    axis.set_xlabel("layer")
    axis.set_xlim(-0.7, layers - 0.3)
    axis.set_ylim(-rows * len(patterns) + 0.8, 0.75)
    axis.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axis.tick_params(length=0, colors=FAINT)
    return figure


def _place(name: str) -> tuple[int, str]:
    """Take a name apart: ``layers.3.attn`` -> (3, "attn"); ``layers.3`` -> (3, "layer")."""
    _, layer, *kind = name.split(".")
    return int(layer), kind[0] if kind else "layer"
