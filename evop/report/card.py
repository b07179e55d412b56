"""The model card of a pruned checkpoint."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.visible import visible
from evop.auditing.audit_file import AuditFile
from evop.errors import EvopError
from evop.export.parity import ParityReport
from evop.export.plan import LayerPlan
from evop.files.person_text import person_text
from evop.losses.loss import Loss
from evop.losses.objectives import objective_words
from evop.model.checkpoint import Checkpoint
from evop.recipes.yaml_file import yaml_value
from evop.removal.pattern_file import PatternFile
from evop.removal.size import asked_and_reached
from evop.removal.space import COST_CONTEXT
from evop.removal.zeros_file import ZerosFile
from evop.report.audit_sheets import group_sheet
from evop.report.parity_section import parity_section
from evop.report.recovered import WORDS, recovered_rows
from evop.report.sheet import Cell, Row, Sheet, code, markdown, words
from evop.report.zeros_card import zeros_again, zeros_found, zeros_title
from evop.version import __version__

TAGS = ["pruned", "evop", "structured-pruning"]
UNTRAINED = "nothing was trained afterwards"
"""What a card says that a healed checkpoint's must not."""
FRONT_MATTER = re.compile(r"\s*---[^\S\n]*\n(.*?)\n---\s*(?:\n|$)", re.DOTALL)
"""What stands before the words of a card: YAML between two lines."""
INHERITED = ("license", "license_name", "license_link", "language")
"""The keys of the base model's card that hold for the pruned model too."""


@dataclass(frozen=True)
class CardFacts:
    """Everything a card tells.

    Attributes:
        checkpoint: the dense model.
        pattern: the pattern: what was removed and how it was found.
        plan: the new layers.
        parameters: the number of parameters before and after.
        bytes: the bytes of the weight files before and after.
        parity: the result of the check, or None where it was left out.
        audit: an audit of this pattern, or None.
        labels: group key -> what a person reads, as far as known.
        zeros: the account of weights that left one by one; None where units did.
    """

    checkpoint: Checkpoint
    pattern: PatternFile
    plan: LayerPlan
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    parity: ParityReport | None
    audit: AuditFile | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    zeros: ZerosFile | None = None

    @property
    def hub_name(self) -> str | None:
        """The base model's name on the hub; None for a local folder."""
        name = self.checkpoint.name
        return None if Path(name).expanduser() == self.checkpoint.folder else name


def model_card(facts: CardFacts, pattern_sha256: str) -> str:
    """Write the README.md of the checkpoint, YAML first."""
    sections = [
        _title(facts),
        _loading(facts),
        _removed(facts) if facts.zeros is None else zeros_found(facts.zeros),
        _found(facts),
        _groups(facts, pattern_sha256),
        parity_section(facts.parity, facts.parameters, facts.bytes),
        _reproduce(facts),
    ]
    return f"---\n{_front_matter(facts)}\n---\n\n" + "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(facts: CardFacts) -> str:
    from huggingface_hub import ModelCardData

    inherited = {key: value for key, value in _base_card(facts.checkpoint.folder).items() if key in INHERITED}
    data = ModelCardData(
        **inherited, library_name="transformers", base_model=facts.hub_name, tags=TAGS, pipeline_tag="text-generation"
    )
    return data.to_yaml().strip()


def _base_card(folder: Path) -> dict[str, Any]:
    """Read what the base model's card declares; empty where it has none that can be read."""
    path = folder / "README.md"
    try:
        declared = FRONT_MATTER.match(person_text(path)) if path.is_file() else None
        said = yaml_value(declared[1], path, twice=True) if declared else None
    except (OSError, EvopError):
        return {}
    return said if isinstance(said, dict) else {}


def _title(facts: CardFacts) -> str:
    name = facts.hub_name or facts.checkpoint.folder.resolve().name
    before, after = facts.parameters
    if facts.zeros is not None:
        return f"# {words(name)}, with zeros\n\n{code(name)}: {zeros_title(facts.zeros)} Made by evop {__version__}."
    return (
        f"# {words(name)}, pruned\n\n"
        f"{code(name)} with {before - after:,} of its {before:,} parameters removed by evop {__version__}: "
        f"{after:,} are left. {_changed(facts)}, {UNTRAINED}."
    )


def _changed(facts: CardFacts) -> str:
    if (refit := facts.pattern.refit) is not None:
        what = "The matrices of blocks" if refit.method == "both" else "The last projections of blocks"
        how = "were solved anew, so that the model computes what the dense one did"
        if refit.method == "darwin":
            how = "learned from the dense model as the pattern was searched"
        return f"{what} that stay {how} (`{refit.method}`, {refit.tokens:,} tokens)"
    if facts.pattern.corrections is None:
        return "No weight was changed"
    if facts.pattern.compensate == "obs":
        return "Thinned blocks got a least-squares weight for what they lost, no other weight was changed"
    return "Thinned blocks got a bias for what their missing units gave on average, no other weight was changed"


def _loading(facts: CardFacts) -> str:
    if facts.plan.format == "stock":
        return (
            f"## Loading\n\nA stock `{facts.checkpoint.model_type}` checkpoint with {len(facts.plan.layers)} layers: "
            "whatever loads the base model loads it.\n\n"
            "```python\nfrom transformers import AutoModelForCausalLM\n\n"
            'model = AutoModelForCausalLM.from_pretrained("PATH")\n```'
        )
    return (
        "## Loading\n\nLayers differ in what they have (no attention, no MLP, fewer heads or channels than others, a "
        "bias), which no stock architecture can say, so the "
        f"checkpoint has a model type of its own, `evop_{facts.checkpoint.model_type}`. With evop installed:\n\n"
        "```python\nimport evop.hf\nfrom transformers import AutoModelForCausalLM\n\n"
        'model = AutoModelForCausalLM.from_pretrained("PATH")\n```\n\n'
        "Without evop, the code in `modeling_evop.py` (torch and transformers >= 5.14 alone) runs instead:\n\n"
        '```python\nmodel = AutoModelForCausalLM.from_pretrained("PATH", trust_remote_code=True)\n```\n\n'
        "Limits: vLLM, SGLang, TensorRT-LLM and llama.cpp's converter know nothing of this model type (judged from "
        "their sources, not tried); for those, search with `--deploy stock`. Never rename the model type to the "
        "base's: transformers would fill what is missing with random weights."
    )


def _removed(facts: CardFacts) -> str:
    reached = facts.pattern.reached
    layers = f"{int(facts.checkpoint.resolved.num_hidden_layers)} layers became {len(facts.plan.layers)}"
    shares = {
        "decoder blocks' parameters": reached.block_params,
        "parameters of the whole model": reached.params,
        f"FLOPs per token at {COST_CONTEXT:,} tokens of context": reached.flops,
        f"KV-cache bytes per token at {COST_CONTEXT:,} tokens of context": reached.kv,
    }
    if reached.latency is not None:
        shares["time of a request, as measured parts predict it (latency.json)"] = reached.latency
    removed = tuple(Row((Cell(what), Cell(f"{share:.1%}"))) for what, share in shares.items())
    asked = "; ".join(f"{words} (reached: {got})" for words, got in asked_and_reached(facts.pattern))
    parts = [
        "## What was removed",
        f"{', '.join(f'`{name}`' for name in facts.pattern.words) or 'nothing'} ({layers}).",
        markdown(_sources(facts.plan)),
        markdown(Sheet("", ("of the", "removed"), removed)),
        f"Asked for: {asked}; grain {facts.pattern.grain}, deploy {facts.pattern.deploy}.",
    ]
    return "\n\n".join(parts)


def _sources(plan: LayerPlan) -> Sheet:
    """Lay out which old layers the new ones come from."""
    rows = [
        Row(tuple(Cell("-" if source is None else str(source)) for source in (new, layer.attn, layer.mlp)))
        for new, layer in enumerate(plan.layers)
    ]
    return Sheet("", ("new layer", "attention of old layer", "MLP of old layer"), tuple(rows), names=3)


def _found(facts: CardFacts) -> str:
    origin = facts.pattern.origin
    if origin is None:
        return ""
    return (
        "## How the pattern was found\n\n"
        f"Strategy `{origin.strategy}`, objective `{objective_words(origin.objective, origin.tail)} excess`, "
        f"loss `{origin.loss}`, scale `{origin.scale}`, "
        f"units ranked by `{origin.importance}` over the `{origin.importance_over}` of the groups, seed {origin.seed}, "
        f"{origin.evaluations:,} patterns, {origin.tokens:,} tokens, passages cut at {origin.max_tokens:,}; "
        f"stopped by {origin.stopped}. Calibration set `{origin.calibration}`, trials `{origin.trials_sha256}`."
    )


def _groups(facts: CardFacts, pattern_sha256: str) -> str:
    if facts.audit is not None:
        return _audited(facts.audit, pattern_sha256)
    if facts.pattern.claim is None:
        return ""
    origin = facts.pattern.origin
    loss = Loss.named(origin.loss if origin else "nll")
    text = (
        f"What each group lost ({loss.word}, {loss.unit}) on the `search` and `select` splits together, on which "
        "this pattern was searched and chosen: the search's claim, **not an audit**. `evop audit` measures the rest."
    )
    lost = sorted(facts.pattern.claim.excess.items(), key=lambda item: -item[1])
    rows = [Row((Cell(facts.labels.get(group, group)), Cell(f"{excess:+.3f}"))) for group, excess in lost]
    return f"## Group by group\n\n{text}\n\n" + markdown(Sheet("", ("group", "lost on search and select"), tuple(rows)))


def _audited(audit: AuditFile, pattern_sha256: str) -> str:
    """Show what an audit measured of the card's pattern: pruned, beside what was refitted and healed, and random."""
    own = audit.of_pattern(pattern_sha256)
    assert own is not None, "prune refuses an audit of other patterns"
    rows = next((rows for rows in recovered_rows(audit) if own in rows), [own])
    shown = {row.name: WORDS[row.recovery] for row in rows}
    if len(set(shown.values())) < len(shown):
        shown = {row.name: f"{WORDS[row.recovery]}: {row.name}" for row in rows}
    parts = [
        "## Group by group",
        "Measured on texts and questions that the search never saw, dense beside pruned; `audit` is new passages of "
        "the calibration set's groups, `unseen` is groups it held out of the search.",
    ]
    for split in audit.splits:
        for kind in audit.kinds(split):
            sheet = group_sheet(audit, split, kind, shown, own.random)
            parts += [f"### {sheet.title}", markdown(sheet), f"{sheet.legend}."]
    return "\n\n".join(parts)


def _reproduce(facts: CardFacts) -> str:
    revision = f" --revision {facts.checkpoint.revision}" if facts.checkpoint.revision else ""
    command = f"evop prune --model {shlex.quote(facts.checkpoint.name)}{revision} --pattern pattern.json --out DIR"
    with_what = "\n\nwith the `pattern.json` in this folder."
    if facts.zeros is not None:
        command, with_what = zeros_again(facts.checkpoint, facts.zeros), ""
    shown = visible(command).replace("\n", "\\n")  # on one line, so that nothing in it ends the block
    return f"## Making it again\n\n```\n{shown}\n```{with_what}"
