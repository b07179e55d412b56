"""Trains the reference model again: `python -m evop.reference.making.train --text DOMAIN=FILE ... --out DIR`.

Trains a byte-level BPE tokenizer on the text (unless one is given), then a small Llama model on equal parts of every
domain, on CPU or GPU, and writes a Hugging Face folder whose model card has the held-out losses. Kill it at any
moment; the same command with `--resume` goes on from the last checkpoint and ends in the same weights (same machine
and number of threads; on a GPU nearly).
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from evop.files.json_file import whole
from evop.reference.making.card import model_card
from evop.reference.making.losses import held_out_losses, table
from evop.reference.making.text import END_OF_TEXT, encode, read_documents, take, train_tokenizer
from evop.reference.making.training import Shape, Training, TrainingError, TrainingRecipe, TrainingStep, run

__all__ = ["main"]

SHAPE_OPTIONS = tuple(Shape.__dataclass_fields__)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evop.reference.making.train", description="train the reference model"
    )
    pair: dict[str, Any] = {"action": "append", "default": [], "metavar": "DOMAIN=FILE"}
    parser.add_argument("--text", **pair, required=True, help=f".txt or .txt.xz, '{END_OF_TEXT}' lines between texts")
    parser.add_argument("--held-out", **pair, help=".txt, .txt.xz or .parquet to measure the losses of the card on")
    parser.add_argument("--held-out-rows", type=int, default=64, help="texts a domain of it (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--chars", type=int, default=16_000_000, help="of each text file (default %(default)s)")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json to use instead of training one")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="batches to train on")
    length.add_argument("--tokens", type=int, help="tokens to train on")
    length.add_argument("--minutes", type=float, help="minutes to train for, reading the text not counted")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=TrainingRecipe.batch, help="sequences a step (%(default)s)")
    parser.add_argument("--length", type=int, default=TrainingRecipe.length, help="tokens a sequence (%(default)s)")
    parser.add_argument("--autocast", action=argparse.BooleanOptionalAction, default=True, help="compute in bf16")
    parser.add_argument("--save-every", type=int, default=100, help="steps between checkpoints (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out, if any")
    for name in SHAPE_OPTIONS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Shape, name), help="(%(default)s)")
    return parser


def _pairs(items: list[str], option: str) -> dict[str, Path]:
    files = {}
    for item in items:
        domain, separator, file = item.partition("=")
        if not (domain and separator and file) or domain in files:
            raise TrainingError(f"{option} {item}: expected DOMAIN=FILE, each domain once; mend the option")
        files[domain] = Path(file)
    return files


def _check(arguments: argparse.Namespace) -> None:
    for name in ("steps", "tokens", "minutes", "batch", "length", "save_every", "chars", *SHAPE_OPTIONS):
        value = getattr(arguments, name)
        if value is not None and value <= 0:
            raise TrainingError(f"--{name.replace('_', '-')}: found {value}; expected more than 0; change it")
    if arguments.length > arguments.positions:
        raise TrainingError(f"--length: found {arguments.length}; expected at most --positions {arguments.positions}")
    if arguments.vocabulary > 2**16 or (arguments.tokenizer is None and arguments.vocabulary < 257):
        raise TrainingError(f"--vocabulary: found {arguments.vocabulary}; expected 257 to 65536; change it")
    if (arguments.out / "config.json").exists():
        raise TrainingError(f"{arguments.out}: holds a model already; expected none there; choose another --out")
    if (arguments.out / "training").exists() and not arguments.resume:
        raise TrainingError(f"{arguments.out}: holds an unfinished run; add --resume, or choose another --out")


def _device(name: str) -> str:
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _tokenizer(arguments: argparse.Namespace, texts: Mapping[str, list[str]], work: Path) -> Tokenizer:
    """Return this run's tokenizer, kept in its folder from the first start on."""
    kept = work / "tokenizer.json"
    if not kept.is_file():
        if arguments.tokenizer is None:
            tokenizer = train_tokenizer(list(texts.values()), arguments.vocabulary)
        elif arguments.tokenizer.is_file():
            tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
        else:
            raise TrainingError(f"--tokenizer {arguments.tokenizer}: no such file; expected a tokenizer.json")
        with whole(kept) as temporary:
            tokenizer.save(str(temporary))
    tokenizer = Tokenizer.from_file(str(kept))
    if tokenizer.get_vocab_size() > arguments.vocabulary or tokenizer.token_to_id(END_OF_TEXT) != 0:
        raise TrainingError(
            f"{arguments.tokenizer or kept}: {tokenizer.get_vocab_size()} tokens; expected at most --vocabulary "
            f"{arguments.vocabulary}, with {END_OF_TEXT} as token 0; give another --tokenizer"
        )
    return tokenizer


class _Lines:
    """Prints a line now and then: every ten seconds, and the first and the last step."""

    def __init__(self, tokens_a_step: int) -> None:
        self.tokens_a_step, self.losses, self.last = tokens_a_step, list[float](), (0, 0.0)

    def __call__(self, progress: TrainingStep) -> None:
        self.losses.append(progress.loss)
        steps, seconds = len(self.losses), progress.seconds - self.last[1]
        if self.last[0] and seconds < 10 and progress.step != progress.steps:
            return
        speed = steps / max(seconds, 1e-9)
        left = f"{(progress.steps - progress.step) / speed / 60:.1f} min left" if progress.steps else "timing"
        print(
            f"step {progress.step}/{progress.steps or '?'}  loss {sum(self.losses) / steps:.3f}  "
            f"{speed * self.tokens_a_step:,.0f} tokens/s  {left}",
            flush=True,
        )
        self.losses, self.last = [], (progress.step, progress.seconds)


def _finish(arguments: argparse.Namespace, training: Training, tokenizer: Tokenizer, work: Path) -> None:
    """Write the model in fp16, measure it as it was written, write its card, and move all into place."""
    final = work / "final"
    shutil.rmtree(final, ignore_errors=True)
    training.model.to("cpu", torch.float16).save_pretrained(final)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=training.recipe.shape.positions,
    )
    wrapped.save_pretrained(final)
    files = _pairs(arguments.held_out, "--held-out")
    held_out = {domain: read_documents(file)[: arguments.held_out_rows] for domain, file in files.items()}
    model: Any = AutoModelForCausalLM.from_pretrained(final, dtype=torch.float32)
    model.to(training.device).eval()
    losses = held_out_losses(model, wrapped, held_out, max_tokens=training.recipe.length)
    (final / "README.md").write_text(model_card(training, losses), encoding="utf-8")
    for file in sorted(final.iterdir(), key=lambda file: file.name == "config.json"):
        file.replace(arguments.out / file.name)
    shutil.rmtree(work)
    if losses:
        print(table(losses))


def _train(arguments: argparse.Namespace) -> None:
    _check(arguments)
    files = _pairs(arguments.text, "--text")
    for file in _pairs(arguments.held_out, "--held-out").values():
        read_documents(file)
    texts = {domain: take(read_documents(file), arguments.chars) for domain, file in files.items()}
    shape = Shape(**{name: getattr(arguments, name) for name in SHAPE_OPTIONS})
    shape.config()
    recipe = TrainingRecipe(shape, arguments.batch, arguments.length, autocast=arguments.autocast, seed=arguments.seed)
    work = arguments.out / "training"
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(arguments, texts, work)
    streams = {domain: encode(tokenizer, documents) for domain, documents in texts.items()}
    print(f"{sum(len(stream) for stream in streams.values()):,} tokens of {len(streams)} domains", flush=True)
    training = Training(recipe, streams, _device(arguments.device))
    tokens_a_step = recipe.batch * recipe.length
    steps = arguments.steps or (arguments.tokens and -(-arguments.tokens // tokens_a_step))
    run(
        training,
        work / "checkpoint.safetensors",
        steps=steps,
        minutes=arguments.minutes,
        save_every=arguments.save_every,
        report=_Lines(tokens_a_step),
    )
    _finish(arguments, training, tokenizer, work)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return the exit code."""
    arguments = _parser().parse_args(argv)
    transformers_logging.disable_progress_bar()
    try:
        _train(arguments)
    except KeyboardInterrupt:
        print("stopped; the same command with --resume goes on from the last checkpoint", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
