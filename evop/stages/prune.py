"""``evop prune``: from a model and a pattern to a smaller checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evop.auditing.file import AuditFile
from evop.checkpoint import Checkpoint
from evop.corrections import FILE as CORRECTIONS
from evop.drop_file import DROP_FILE, given_pattern
from evop.errors import EvopError
from evop.export.card import CardFacts, model_card
from evop.export.companions import copy_companions
from evop.export.config import REMOTE_FILE, pruned_config
from evop.export.draft import Draft, drafted
from evop.export.parity import TOLERANCE, ParityReport, check_in_fresh_process, weight_file_bytes
from evop.export.plan import LayerPlan, planned
from evop.export.weights import Shard, plan_shards, weight_bytes, write_weights
from evop.families import Family, family_of
from evop.files import inside, sha256, write_json
from evop.latency.of_run import priced_as_searched
from evop.latency.table import FILE as LATENCY
from evop.pattern_file import PatternFile
from evop.searching.run import SearchFile


@dataclass(frozen=True)
class PruneResult:
    """What pruning wrote.

    Attributes:
        folder: the checkpoint.
        kind: ``"stock"``: loads wherever its architecture does; ``"hetero"``: under evop's own ``model_type``.
        parameters: of the dense and of the pruned model.
        bytes: of their weight files.
        parity: what the check found, or None where it was left out.
    """

    folder: Path
    kind: str
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    parity: ParityReport | None


@dataclass(frozen=True)
class _Job:
    """One pruning: what from, what to.

    ``given`` is the file that holds the pattern, ``pattern`` what it says; ``sources`` are files that go along.
    """

    checkpoint: Checkpoint
    family: Family
    given: Path
    sources: dict[str, Path]
    pattern: PatternFile
    audit: AuditFile | None
    labels: Mapping[str, str]
    plan: LayerPlan
    shards: tuple[Shard, ...]


def prune(
    model: str | Path,
    pattern: str | Path,
    out: str | Path,
    *,
    audit: str | Path | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda line: None,
    parity: bool = True,
) -> PruneResult:
    """Write the checkpoint of a pattern: shard by shard, whole or not at all.

    Args:
        model: a Hugging Face folder or hub name.
        pattern: a ``pattern.json``, a search run's folder, or a drop file (``layer_drop_config.txt``).
        out: the new checkpoint's folder.
        audit: an audit of this pattern, for the model card.
        revision: of a hub model.
        trust_remote_code: whether the dense model may run code of its own in the parity check.
        report: is told what is being done, a line at a time.
        parity: whether to check, in a fresh process, that the checkpoint computes what was searched.

    Raises:
        EvopError: bad input, a full disk, or a checkpoint that does not compute what was searched.
    """
    job = _job(Checkpoint.find(model, revision), pattern, audit)
    with drafted(Path(out), weight_bytes(job.shards)) as draft:
        report(f"writing {job.plan.kind} checkpoint, {len(job.plan.layers)} layers, {len(job.shards)} shard(s)")
        _write(job, draft.folder)
        written = Checkpoint.find(draft.folder)
        gone = _gone(job, written)
        found = None
        if parity:
            report("checking in a fresh process that it computes what was searched")
            found = _checked(job, draft, trust_remote_code)
        result = PruneResult(
            Path(out),
            job.plan.kind,
            (job.checkpoint.parameters, job.checkpoint.parameters - gone),
            (weight_file_bytes(job.checkpoint), weight_file_bytes(written)),
            found,
        )
        (draft.folder / "README.md").write_text(_card(job, result), encoding="utf-8")
        draft.publish()
    report(_summary(result))
    return result


def _job(checkpoint: Checkpoint, pattern: str | Path, audit: str | Path | None) -> _Job:
    family = family_of(checkpoint.model_type)
    file = given_pattern(pattern, checkpoint)
    given = inside(pattern, "pattern.json")
    sources = {DROP_FILE: given} if given.suffix == ".txt" else {"pattern.json": given}
    audited = None
    if audit is not None:
        audited = AuditFile.find(audit)
        sources["audit.json"] = inside(audit, "audit.json")
        if sha256(given) not in {row.sha256 for row in audited.patterns}:
            raise EvopError(f"--audit {audit} did not measure --pattern {pattern}; audit this pattern, or leave it out")
    file.on(checkpoint)  # refuses what does not fit
    if file.corrections is not None:
        sources[CORRECTIONS] = inside(pattern, "pattern.json").with_name(CORRECTIONS)
    if file.latency is not None:
        priced_as_searched(file, given, file.on(checkpoint)[0])  # refuses a table that is missing or another one
        sources[LATENCY] = given.with_name(LATENCY)
    plan = planned(checkpoint, family, file.cut(sources.get(CORRECTIONS)))
    shards = plan_shards(checkpoint, family, plan)
    return _Job(checkpoint, family, given, sources, file, audited, _labels(Path(pattern)), plan, shards)


def _labels(run: Path) -> Mapping[str, str]:
    """What a search run's groups are called, where the pattern is given as its folder."""
    path = run / "search.json"
    return SearchFile.read(path).groups if path.is_file() else {}


def _write(job: _Job, folder: Path) -> None:
    copy_companions(job.checkpoint.folder, folder)
    write_json(folder / "config.json", pruned_config(job.checkpoint, job.family, job.plan))
    if job.plan.kind == "hetero":
        shutil.copyfile(REMOTE_FILE, folder / REMOTE_FILE.name)
    for name, source in job.sources.items():
        shutil.copyfile(source, folder / name)
    if "pattern.json" not in job.sources:
        job.pattern.write(folder / "pattern.json")
    write_weights(job.checkpoint, job.shards, folder)


def _gone(job: _Job, written: Checkpoint) -> int:
    """Parameters the checkpoint lacks; they must be those the pattern claims to remove."""
    before, after = (sum(tensor.numel for tensor in one.tensors.values()) for one in (job.checkpoint, written))
    if before - after != job.pattern.removed_params:
        raise EvopError(
            f"the checkpoint lacks {before - after:,} parameters, the pattern says it removes "
            f"{job.pattern.removed_params:,}; the pattern file was changed by hand: search again"
        )
    return before - after


def _checked(job: _Job, draft: Draft, trust_remote_code: bool) -> ParityReport:
    found = check_in_fresh_process(job.checkpoint.folder, draft.folder, trust_remote_code)
    if not found.holds:
        place = draft.set_aside()
        raise EvopError(
            f"the checkpoint does not compute what was searched: logits differ by {found.ratio:.2g} of their standard "
            f"deviation, allowed is {TOLERANCE:g}, greedy tokens {'agree' if found.greedy_agrees else 'differ'}; it "
            f"was set aside in {place} and must not be used; please report it with its pattern.json"
        )
    return found


def _card(job: _Job, result: PruneResult) -> str:
    facts = CardFacts(
        checkpoint=job.checkpoint,
        pattern=job.pattern,
        plan=job.plan,
        parameters=result.parameters,
        bytes=result.bytes,
        parity=result.parity,
        audit=job.audit,
        labels=job.labels,
    )
    return model_card(facts, sha256(job.given))


def _summary(result: PruneResult) -> str:
    """What a person wants to know at the end, on one line."""
    shrunk = f"{result.parameters[0]:,} -> {result.parameters[1]:,} parameters, {result.kind}, in {result.folder}"
    if result.parity is None:
        return shrunk
    speed = result.parity.tokens_per_second
    return (
        f"{shrunk}, {result.bytes[0]:,} -> {result.bytes[1]:,} bytes; "
        f"logits differ by {result.parity.ratio:.2g} of their standard deviation at most, "
        f"{speed.dense:,.0f} -> {speed.pruned:,.0f} tokens a second on {result.parity.device}"
    )
