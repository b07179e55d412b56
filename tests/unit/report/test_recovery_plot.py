"""The pictures of who comes back: every group has a line and a name, the worst is thick, loss and gain differ."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Annotation, Text

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow, SummaryRow
from evop.recovery.heal_file import HealFile, HealPoint
from evop.removal.pattern_facts import ModelName, ReachedFractions
from evop.report.recovered import recovered_rows, recovered_words
from evop.report.recovery_plot import healing_figure, slope_figure
from evop.report.recovery_section import recovery_section

MODEL = ModelName(name="m", revision=None, fingerprint="f")
GROUPS = [f"{domain}/{number}" for domain in ("law", "code", "math") for number in range(9)]


def pattern(name, recovery="none", parts="same", sha256="p", checkpoint=None):
    return AuditedPattern(
        name=name, sha256=sha256, removed=[], thinned={}, left={}, random=None, claim=None, parts=parts,
        reached=ReachedFractions(block_params=0.25, params=0.2, flops=0.2, kv=0.25), recovery=recovery,
        claimed_group_on_audit=None, checkpoint=checkpoint,
    )  # fmt: skip


def audit(patterns, excess):
    """An audit of text in which group ``i`` loses ``excess[pattern][i]``."""
    row = {
        "split": "audit", "kind": "text", "passages": 7, "documents": 5, "tokens": 99, "dense_loss": 3.0,
        "dense_perplexity": 20.1, "loss": 3.5, "perplexity": 33.1, "low": 0.1, "high": 0.2, "ahead": 0.2,
        "p_others": 0.01, "above": True, "detectable": 0.1,
    }  # fmt: skip
    summary = {
        "split": "audit", "kind": "text", "groups": 30, "worse": None, "tokens": 99, "worst_measured": 0.5,
        "worst_sure": 0.81, "worst_among": ["law/0"], "above": 1, "detectable": 0.1, "worst_low": 0.1, "p90": 0.5,
        "worst_high": 0.2, "worst_group": "law/0", "equal_worst": 0.5, "equal_worst_group": "law/0", "equal_count": 9,
        "against": "run", "gap": 0.0, "gap_low": 0.0, "gap_high": 0.0, "tie": False,
    }  # fmt: skip
    groups = [
        GroupRow(pattern=each.name, group=group, label=f"{group} words", domain=group.split("/")[0], excess=lost, **row)
        for each in patterns
        for group, lost in zip(GROUPS, excess[each.name], strict=True)
    ]
    sums = [
        SummaryRow(pattern=each.name, worst=max(excess[each.name]), mean=float(np.mean(excess[each.name])), **summary)
        for each in patterns
    ]
    return AuditFile(
        version="0", model=MODEL, calibration="c", max_tokens=512, dtype="float32", metric="accuracy",
        interval="none", patterns=patterns, groups=groups, summary=sums,
    )  # fmt: skip


def three():
    """Pruned, refitted and healed; all groups come back but the last, and the first stays the worst."""
    rows = [pattern("run"), pattern("refit-1", "refitted", sha256="r"), pattern("long", "healed", sha256="r")]
    before = np.linspace(0.6, 0.3, len(GROUPS))
    after = before * 0.5
    after[-1] = before[-1] + 0.01
    return audit(rows, {"run": list(before), "refit-1": list(before * 0.8), "long": list(after)})


def named(figure):
    return [text for text in figure.axes[0].texts if isinstance(text, Annotation) and text.get_gid()]


def lines(figure, end):
    return {line.get_gid(): line for line in figure.axes[0].lines if str(line.get_gid()).endswith(end)}


def heights(figure):
    """The room that each name takes, without the line that leads to it, the highest first."""
    figure.draw_without_rendering()
    return [Text.get_window_extent(text) for text in sorted(named(figure), key=lambda text: -text.xyann[1])]


def test_every_group_has_a_line_and_a_name_and_no_name_lies_on_another():
    file = three()
    figure = slope_figure(file, file.patterns, "audit", "text")
    drawn = lines(figure, ":slope")
    assert set(drawn) == {f"group:{group.split('/')[0]}:{group}:slope" for group in GROUPS}
    assert sorted(text.get_text() for text in named(figure)) == sorted(f"{group} words" for group in GROUPS)
    boxes = heights(figure)
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))
    styles = {gid: line.get_linestyle() for gid, line in drawn.items()}
    assert [gid for gid, style in styles.items() if style == "--"] == ["group:math:math/8:slope"]
    thick = [gid for gid, line in drawn.items() if line.get_linewidth() > 2]
    assert thick == ["group:math:math/8:slope"]
    assert [text.get_fontweight() for text in named(figure)].count("bold") == 1
    heads = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert heads == ["pruned:\nrun", "refitted:\nrefit-1", "healed:\nlong"]


def healing(best_at=200, tolerate=None):
    curve = [
        HealPoint(tokens=at, loss=None, weights={}, excess={g: (i + 1) / (at + 100) for i, g in enumerate(GROUPS)})
        for at in (0, 100, 200)
    ]
    return HealFile(
        version="1", model=MODEL, pattern_sha256="p", calibration="c", recipe={"tolerate": tolerate}, tokens=200,
        stopped="tokens", best_at=best_at, curve=curve,
    )  # fmt: skip


def test_a_healing_has_a_line_per_group_and_says_what_was_kept_and_tolerated():
    figure = healing_figure(healing(best_at=100), {"law/0": "law/0 tax"}, 0.05)
    drawn = lines(figure, ":line")
    assert len(drawn) == len(GROUPS) == len(named(figure))
    assert [gid for gid, line in drawn.items() if line.get_linewidth() > 2] == ["group:math:math/8:line"]
    assert "law/0 tax" in {text.get_text() for text in named(figure)}
    looks = {(line.get_color(), line.get_marker()) for line in drawn.values()}
    assert len({colour for colour, _ in looks}) == len({mark for _, mark in looks}) == 3
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {"the weights that were kept", "the dense model", "tolerated: 0.05"}
    kept = next(line for line in figure.axes[0].lines if line.get_label() == "the weights that were kept")
    assert kept.get_xdata()[0] == 100
    boxes = heights(figure)
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))


def test_a_healing_that_saw_one_point_is_drawn():
    one = healing().model_copy(update={"curve": healing().curve[:1], "best_at": 0, "tokens": 0})
    assert len(lines(healing_figure(one, {}), ":line")) == len(GROUPS)


def test_rows_are_those_that_take_out_the_same_pruned_first():
    mask, twin = pattern("run"), pattern("pruned", checkpoint="c")
    healed = [pattern(name, "healed", checkpoint=name) for name in ("x", "y")]
    alone = pattern("other", parts="another", sha256="o")
    rows = [*healed, mask, pattern("refit", "refitted", sha256="r"), twin, alone]
    file = audit(rows, {row.name: [0.1] * len(GROUPS) for row in rows})
    assert [[row.name for row in found] for found in recovered_rows(file)] == [["run", "refit", "x", "y"]]


def test_words_count_and_name_those_that_lose_more():
    file = three()
    first, second = recovered_words(file, file.patterns, tolerate=0.2)
    assert first.startswith("refit-1 (refitted) against run, on audit: the worst group loses 0.480 instead of 0.600")
    assert "all 27 groups lose less, or as much" in first
    assert "1 of 27 groups lose more: math/8 words; " in second
    assert second.endswith("are within 0.2.")


@pytest.mark.parametrize(("asked", "own", "shown"), [(None, 0.3, "0.3"), (0.1, 0.3, "0.1"), (None, None, None)])
def test_what_is_tolerated_is_the_audits_or_else_the_healings(asked, own, shown):
    (section,) = recovery_section(three(), {"long": healing(tolerate=own)}, {}, asked)
    curve = section.figures[-1].svg
    assert ("tolerated" in curve) == (shown is not None)
    assert shown is None or f"tolerated: {shown}" in curve


def test_nothing_recovered_is_no_section():
    rows = [pattern("run")]
    assert recovery_section(audit(rows, {"run": [0.1] * len(GROUPS)}), {}, {}, None) == []
