"""The folder of an audit: what was measured is kept and shown, however the rest ends."""

import pytest

from evop.auditing.audit_file import AuditFile
from evop.auditing.audit_rows import AuditedPattern, GroupRow, Needs, SummaryRow
from evop.errors import EvopError
from evop.removal.pattern_facts import ModelName, ReachedFractions
from evop.stages.audit_folder import AuditFolder
from evop.timing.speed_file import SpeedFile, SpeedRow

GROUP = GroupRow(
    pattern="mine", split="audit", kind="text", group="law/0", label="law/0 tax", domain="law", passages=7, documents=5,
    tokens=99, dense_loss=3.0, dense_perplexity=20.1, loss=3.5, perplexity=33.1, excess=0.5, low=0.4, high=0.6,
    ahead=0.2, p_others=0.01, above=True, detectable=0.1,
)  # fmt: skip
PATTERN = AuditedPattern(
    name="mine", sha256="p", removed=[], thinned={}, left={}, random=None, claim=None, claimed_group_on_audit=None,
    reached=ReachedFractions(block_params=0.25, params=0.2, flops=0.2, kv=0.25),
)  # fmt: skip
SUMMARY = SummaryRow(
    pattern="mine", split="audit", kind="text", groups=1, worse=None, above=0, detectable=0.1, tokens=99, worst=0.5,
    worst_low=0.4, worst_high=0.6, worst_measured=0.5, worst_group="law/0", worst_sure=1.0, worst_among=["law/0"],
    p90=0.5, mean=0.5, equal_worst=0.5, equal_worst_group="law/0", equal_count=99, against="mine", gap=0.0,
    gap_low=None, gap_high=None, tie=None,
)  # fmt: skip
FILE = AuditFile(
    version="0", model=ModelName(name="m", revision=None, fingerprint="f"), calibration="c", max_tokens=512,
    dtype="float32", metric="accuracy", interval="none", patterns=[PATTERN], groups=[GROUP], summary=[SUMMARY],
)  # fmt: skip
NEEDS = Needs(kind="text", parts=["layers.0"], excess={"law/0": [0.5]}, passages=3)
SPEED = SpeedFile(
    device="d", dtype="float32", threads=1, batch=1, context=2, decode=3,
    models=[
        SpeedRow(
            name="dense", parameters=9, prefill_tokens_per_second=1, decode_tokens_per_second=1, first_token_seconds=1,
            request_seconds=1, kv_bytes=9, share=(1, 1, 1),
        )
    ],
)  # fmt: skip


def page(file, speed):
    return f"needs {file.needs is not None}, speed {speed is not None}"


@pytest.mark.parametrize("error", [KeyboardInterrupt, EvopError, SystemExit])
def test_what_was_measured_before_it_stopped_is_kept_and_shown(tmp_path, error):
    said = []

    def stopped():
        with AuditFolder(tmp_path / "a", FILE, page, said.append) as written:
            assert AuditFile.find(tmp_path / "a").groups == [GROUP]
            assert {path.name for path in (tmp_path / "a").iterdir()} == {"audit.json", "audit.csv"}
            written.add(needs=NEEDS)
            raise error("stop")

    with pytest.raises(error):
        stopped()
    assert said == [f"stopped; what was measured is in {tmp_path / 'a'}"]
    assert AuditFile.find(tmp_path / "a").needs == NEEDS
    assert (tmp_path / "a" / "report.html").read_text() == "needs True, speed False"
    assert not (tmp_path / "a" / "speed.json").exists()


def test_nothing_of_an_earlier_audit_stays(tmp_path):
    with AuditFolder(tmp_path, FILE, page, pytest.fail) as first:
        first.add(needs=NEEDS)
        first.speed = SPEED
    assert SpeedFile.read(tmp_path / "speed.json").models == SPEED.models
    with AuditFolder(tmp_path, FILE, page, pytest.fail):
        assert {path.name for path in tmp_path.iterdir()} == {"audit.json", "audit.csv"}
    written = {"audit.json", "audit.csv", "audit.png", "report.html"}
    assert {path.name for path in tmp_path.iterdir()} == written
    assert (tmp_path / "report.html").read_text() == "needs False, speed False"
