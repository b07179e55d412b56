"""``evop export``: from a model and a pattern, or a pruned checkpoint, to the file of another runtime or tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evop.errors import EvopError
from evop.export.decilm import refuse_decilm, write_decilm
from evop.export.draft import Draft, drafted, drafted_file
from evop.export.gguf.check import GgufCheck, check_gguf, there
from evop.export.gguf.write import GgufPlan
from evop.export.masked import refuse_masked, write_masked
from evop.export.mergekit import mergekit_yaml
from evop.export.parity import TOLERANCE, check_in_fresh_process
from evop.export.source import Source
from evop.files.out_folder import refuse_inside_model
from evop.recipes.export import ExportRecipe
from evop.stages.export_given import Given
from evop.stages.one_error import one_error
from evop.stages.prune import prune


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        path: the file or folder.
        format: its format.
        architecture: what the runtime calls the architecture; "" where that is the model's own.
        bytes: bytes of the weights.
        check: what llama.cpp predicts beside transformers; None where it was not asked.
    """

    path: Path
    format: str
    architecture: str
    bytes: int
    check: GgufCheck | None = None


@one_error
def export(
    model: str | Path,
    out: str | Path,
    pattern: str | Path | None = None,
    *,
    report: Callable[[str], None] = lambda line: None,
    check: bool = True,
    **options: Any,
) -> ExportResult:
    """Write a pruned model in the format of a runtime or of another tool, whole or not at all.

    Args:
        model: a Hugging Face folder or hub name: the dense model.
        out: the file to write (GGUF, mergekit's YAML), or the folder.
        pattern: a pattern file, a search run, a refit, a drop list, or the folder of a pruned checkpoint; None for the
            dense model itself.
        report: is given one line per step.
        check: whether to run what was written, in a fresh process, beside the model that was measured.
        **options: fields of ``ExportRecipe``.

    Raises:
        EvopError: bad input, a pattern or a tokenizer that the format cannot hold, a full disk, or a file that
            computes something else.
    """
    recipe = ExportRecipe.of(**options)
    refuse_inside_model(Path(out))
    if recipe.format == "hf":
        return _as_hf(model, Path(out), pattern, recipe, report, check)
    given = Given.of(model, pattern, recipe.revision)
    write = {"gguf": _as_gguf, "decilm": _as_decilm, "masked": _as_masked, "mergekit": _as_mergekit}[recipe.format]
    result = write(given, Path(out), recipe, report, check)
    report(f"{result.format}{f' ({result.architecture})' if result.architecture else ''}: {result.path}")
    return result


Report = Callable[[str], None]


def _as_hf(
    model: str | Path, out: Path, pattern: str | Path | None, recipe: ExportRecipe, report: Report, check: bool
) -> ExportResult:
    if pattern is None:
        raise EvopError("--format hf writes a pruned model; give --pattern")
    done = prune(
        model,
        pattern,
        out,
        report=report,
        parity=check,
        revision=recipe.revision,
        trust_remote_code=recipe.trust_remote_code,
    )
    return ExportResult(done.folder, "hf", done.kind, done.bytes[1])


def _as_gguf(given: Given, out: Path, recipe: ExportRecipe, report: Report, check: bool) -> ExportResult:
    plan = GgufPlan.of(given.source, recipe.bits, recipe.quantise)
    checked = None
    with drafted_file(out, plan.bytes) as draft:
        report(f"writing {plan.architecture.name}, {len(given.source.layers)} layers, {recipe.quantise or recipe.bits}")
        plan.write(draft)
        if check and there():
            report("checking in a fresh process that llama.cpp computes what was measured")
            checked = check_gguf(draft, given.measured, given.place, plan.context)
            _refuse_wrong(checked, recipe)
            report(_words(checked))
        elif check:
            report("llama.cpp is not installed, so nothing was checked; pip install 'evop[gguf]'")
    return ExportResult(out, "gguf", plan.architecture.name, plan.bytes, checked)


def _refuse_wrong(found: GgufCheck, recipe: ExportRecipe) -> None:
    """Refuse a file that computes something else; of few bits nobody can say beforehand how far off is right."""
    if recipe.quantise is None and not found.holds(recipe.bits):
        raise EvopError(
            f"llama.cpp does not compute what was measured: log-probabilities differ by {found.ratio:.2g} of the "
            f"logits' standard deviation, allowed is {found.allowed(recipe.bits):.2g}; nothing was written; please "
            "report it with its pattern.json"
        )


def _words(found: GgufCheck) -> str:
    return (
        f"log-probabilities differ by {found.ratio:.2g} of the logits' standard deviation at most (computing "
        f"in float16, {found.explained:.2g}), the likeliest token "
        f"is the same at {found.same_best:.0%} of {found.compared} places; llama.cpp reads {found.reads:,.0f} and "
        f"writes {found.writes:,.0f} tokens per second on one thread"
    )


def _as_decilm(given: Given, out: Path, recipe: ExportRecipe, report: Report, check: bool) -> ExportResult:
    refuse_decilm(given.source)
    size = _size(given.source)
    with drafted(out, size) as draft:
        report(f"writing DeciLM, {len(given.source.layers)} layers; none of its runtimes is here to check it")
        write_decilm(given.source, draft.folder)
        draft.publish()
    return ExportResult(out, "decilm", "nemotron-nas", size)


def _as_masked(given: Given, out: Path, recipe: ExportRecipe, report: Report, check: bool) -> ExportResult:
    family, plan = given.source.family, given.plan
    refuse_masked(given.dense, family, plan, given.source)
    size = sum(tensor.nbytes for tensor in given.dense.tensors.values())
    with drafted(out, size) as draft:
        report("writing zeros where something left")
        write_masked(given.dense, family, plan, given.source, draft.folder)
        if check:
            _check_masked(given, draft, recipe.trust_remote_code)
        draft.publish()
    return ExportResult(out, "masked", "", size)


def _check_masked(given: Given, draft: Draft, trust_remote_code: bool) -> None:
    """Refuse zeros that compute something else than the pruned model, such as under a norm over what left."""
    parity = check_in_fresh_process(given.measured, draft.folder, given.place, trust_remote_code)
    if not parity.holds:
        raise EvopError(
            f"--format masked: zeros do not compute what was measured, logits differ by {parity.ratio:.2g} of their "
            f"standard deviation, allowed is {TOLERANCE:g}; nothing was written; write --format hf"
        )


def _as_mergekit(given: Given, out: Path, recipe: ExportRecipe, report: Report, check: bool) -> ExportResult:
    if given.opened is None or given.pruned:
        raise EvopError("--format mergekit takes layers of the dense model; give the pattern, not a checkpoint")
    text = mergekit_yaml(given.dense, given.opened.cut)
    with drafted_file(out, len(text)) as draft:
        draft.write_text(text, encoding="utf-8")
    return ExportResult(out, "mergekit", "", 0)


def _size(source: Source) -> int:
    return sum(piece.nbytes for _, piece in source.pieces.values())
