"""Names from files hold anything; pictures and tables show them as they are."""

import io

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow, RandomRow, Range, SummaryRow
from evop.console.audit import print_audit
from evop.console.plain import PlainConsole
from evop.removal.pattern_facts import ModelName, ReachedFractions
from evop.report import groups_figure, pattern_figure, verdict
from evop.report.style import svg

WORST = Range(median=1.5, least=0.7, most=7.4)
RANDOM = RandomRow(
    name="random", split="audit", kind="text", patterns=20, worst=WORST, mean=WORST, worse=None,
    groups={"law/0": WORST, "law/1": WORST},
)  # fmt: skip
NAME = "a $x_$ [/bold] <b> & $\\foo$"


def audit(low=0.4, high=0.6, ahead=0.2, above=True, among=("law/0",)):
    reached = ReachedFractions(block_params=0.25, params=0.2, flops=0.2, kv=0.25)
    row = {
        "pattern": NAME, "split": "audit", "kind": "text", "domain": "law", "passages": 7, "documents": 5, "tokens": 99,
        "dense_loss": 3.0, "dense_perplexity": 20.1, "loss": 3.5, "perplexity": 33.1, "excess": 0.5, "low": low,
        "high": high, "ahead": ahead, "p_others": 0.01, "above": above, "detectable": 0.123,
    }  # fmt: skip
    summary = {
        "pattern": NAME, "split": "audit", "kind": "text", "groups": 30, "worse": None, "tokens": 99, "worst": 0.47,
        "worst_measured": 0.5, "worst_sure": 0.81, "worst_among": list(among), "above": 1, "detectable": 0.123,
        "worst_low": low, "worst_high": high, "worst_group": "law/0", "p90": 0.5, "mean": 0.5, "equal_worst": 0.5,
        "equal_worst_group": "law/0", "equal_count": 9, "against": NAME, "gap": 0.0, "gap_low": 0.0, "gap_high": 0.0,
        "tie": False,
    }  # fmt: skip
    pattern = AuditedPattern(
        name=NAME, sha256="p", removed=[], thinned={}, left={"layers.0.attn": 0.5}, random="random", reached=reached,
        claim=None, claimed_group_on_audit=None,
    )  # fmt: skip
    return AuditFile(
        version="0", model=ModelName(name="m", revision=None, fingerprint="f"), calibration="c", max_tokens=512,
        dtype="float32", metric="accuracy", interval="none", patterns=[pattern],
        groups=[
            GroupRow(group="law/0", label=f"law/0 {NAME}", **row),
            GroupRow(group="law/1", label="law/1 tax", **{**row, "excess": 0.1}),
        ],
        summary=[SummaryRow(**summary)], random=[RANDOM],
    )  # fmt: skip


def test_no_name_is_a_formula_or_markup():
    given = audit()
    drawn = svg(groups_figure(given, "audit", "text"), "x") + svg(pattern_figure(given), "x")
    assert "$x_$" in drawn
    stream = io.StringIO()
    print_audit(PlainConsole(file=stream, width=200), given)
    assert f"law/0 {NAME}" in stream.getvalue()


def test_the_verdict_asks_whether_a_group_loses_more_than_the_others():
    said = verdict(audit())[0]
    assert "0.200 more than the others in the mean, and more than chance" in said
    assert "a lead of 0.123 would be found with a chance of 80%" in said
    assert "cannot be told from chance" in verdict(audit(above=False))[0]  # it lost 0.5 for sure, as others did
    assert "nothing can be said" in verdict(audit(low=None, high=None, ahead=None, above=None))[0]


def test_the_verdict_says_how_sure_it_is_of_the_worst_group_and_takes_luck_off():
    assert "That it is the worst is 81% sure." in verdict(audit())[1]
    said = verdict(audit(among=("law/0", "law/1")))[1]
    assert "the worst is one of 2 groups with a chance of 95%, the others being law/1 tax." in said
    assert "estimated to lose 0.470 (95% interval 0.400 to 0.600)" in said


def test_a_random_pattern_is_twenty():
    said = verdict(audit())[2]
    assert said.startswith(
        "Of 20 random patterns of this size, the worst group loses 1.500 in the median (0.700 to 7.400)"
    )
    stream = io.StringIO()
    print_audit(PlainConsole(file=stream, width=250), audit())
    assert "random (median of 20) [range]" in stream.getvalue()
    assert stream.getvalue().count("1.500 [0.700, 7.400]") == 4  # two groups, and worst and mean over the groups
