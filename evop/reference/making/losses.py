"""How the losses in the embedded model's card were measured: `python -m evop.reference.making.losses [--model DIR]`.

A passage is the first 256 tokens of a document, without a start token; its first token is not scored.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from evop.losses.table import LossTable
from evop.reference import corpus_files, model_dir
from evop.reference.making.text import ReferenceTextError, read_documents
from evop.tokens.batches import IGNORED, batches, padded
from evop.tokens.passages import TokenPassages

__all__ = ["DomainLoss", "held_out_losses", "main", "table"]


@dataclass(frozen=True)
class DomainLoss:
    """Mean next-token loss on one domain.

    Attributes:
        domain: Its name.
        loss: Nats per token, every scored token weighing the same.
        passages: Number of passages.
        tokens: Number of tokens scored.
    """

    domain: str
    loss: float
    passages: int
    tokens: int


def held_out_losses(
    model: Any, tokenizer: Any, texts: Mapping[str, Sequence[str]], max_tokens: int = 256, batch_size: int = 16
) -> list[DomainLoss]:
    """Measure the mean next-token loss on each domain's texts.

    Args:
        model: A Hugging Face causal language model; used as it is, on its device, in its dtype.
        tokenizer: Its tokenizer.
        texts: Texts of each domain.
        max_tokens: Tokens of each text that are read.
        batch_size: Passages at once.
    """
    return [_domain_loss(model, tokenizer, domain, texts[domain], max_tokens, batch_size) for domain in texts]


def _domain_loss(
    model: Any, tokenizer: Any, domain: str, texts: Sequence[str], max_tokens: int, batch_size: int
) -> DomainLoss:
    encoded = tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=max_tokens)["input_ids"]
    ids = tuple(tuple(passage) for passage in encoded if len(passage) > 1)
    if not ids:
        raise ReferenceTextError(f"held-out text of {domain}: no text of two tokens or more; give longer texts")
    names = tuple(str(at) for at in range(len(ids)))
    passages = TokenPassages(ids, (domain,) * len(ids), names, (False,) * len(ids))
    losses = _next_token_losses(model, passages, batch_size * max_tokens)
    return DomainLoss(domain, losses.by_group[domain], len(ids), passages.total)


@torch.inference_mode()
def _next_token_losses(model: Any, passages: TokenPassages, batch_tokens: int) -> LossTable:
    device = next(model.parameters()).device
    loss = np.zeros(len(passages.ids))
    for batch in batches(passages, batch_tokens):
        ids, wanted = padded(passages, batch)
        logits = model(input_ids=ids.to(device), use_cache=False).logits[:, :-1]
        scored = functional.cross_entropy(
            logits.float().flatten(0, 1), wanted.to(device).flatten(), ignore_index=IGNORED, reduction="none"
        )
        loss[batch] = scored.view(wanted.shape).double().sum(dim=1).cpu().numpy()
    return LossTable(passages.groups, loss, passages.scored)


def table(losses: Sequence[DomainLoss]) -> str:
    """Return a Markdown table of the losses."""
    lines = ["| domain | loss (nats per token) | passages | tokens |", "|---|---|---|---|"]
    lines += [f"| {row.domain} | {row.loss:.3f} | {row.passages:,} | {row.tokens:,} |" for row in losses]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command; print the table and return the exit code."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    parser = argparse.ArgumentParser(
        prog="python -m evop.reference.making.losses", description="held-out loss of a model on every domain"
    )
    parser.add_argument("--model", type=Path, default=None, help="Hugging Face folder (default: the embedded one)")
    parser.add_argument(
        "--text", action="append", default=[], metavar="DOMAIN=FILE", help="instead of the embedded corpora"
    )
    parser.add_argument("--rows", type=int, default=None, help="texts per domain, from the top (default: all)")
    arguments = parser.parse_args(argv)
    logging.disable_progress_bar()
    files = {name: Path(file) for name, _, file in (item.partition("=") for item in arguments.text)}
    try:
        texts = {name: read_documents(file)[: arguments.rows] for name, file in (files or corpus_files()).items()}
        folder = arguments.model or model_dir()
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        print(table(held_out_losses(model, tokenizer, texts)))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
