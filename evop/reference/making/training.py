"""Training the reference model: what is trained, one step of it, and the loop that can be killed and resumed."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW, Muon, Optimizer
from transformers import LlamaConfig, LlamaForCausalLM

from evop.reference.making.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

__all__ = ["Shape", "Training", "TrainingError", "TrainingRecipe", "TrainingStep", "run"]

WARM_UP_STEPS, TIMED_STEPS = 3, 10
"""Where a run is given in minutes: steps that are not timed, then steps that are, to turn minutes into steps."""


class TrainingError(ValueError):
    """A training run that cannot be started or carried on."""


@dataclass(frozen=True)
class Shape:
    """The shape of a Llama model with tied embeddings."""

    layers: int = 12
    hidden: int = 192
    heads: int = 6
    kv_heads: int = 2
    mlp: int = 512
    vocabulary: int = 4096
    positions: int = 1024

    def config(self) -> LlamaConfig:
        """Return the Hugging Face configuration; token 0 begins, ends and pads.

        Raises:
            TrainingError: The heads do not divide the hidden size, or the key/value heads the heads.
        """
        if self.hidden % (2 * self.heads) or self.heads % self.kv_heads:
            raise TrainingError(
                f"shape: hidden {self.hidden}, heads {self.heads}, kv-heads {self.kv_heads}; expected an even "
                "number of dimensions a head and heads in equal groups; change the sizes"
            )
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.mlp,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.hidden // self.heads,
            max_position_embeddings=self.positions,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )


@dataclass(frozen=True)
class TrainingRecipe:
    """What decides, with the text, which model comes out.

    Attributes:
        shape: Shape of the model.
        batch: Sequences a step; they are drawn from the domains in turn, so that each has an equal part.
        length: Tokens a sequence.
        muon_lr: Learning rate of the layers' matrices.
        adamw_lr: Learning rate of embeddings and norms.
        constant: Part of the run with a constant learning rate; then it falls to zero in a line.
        autocast: Whether to compute in bfloat16 where autocast does.
        seed: Seeds the weights at the start and the choice of sequences.
    """

    shape: Shape = field(default_factory=Shape)
    batch: int = 24
    length: int = 256
    muon_lr: float = 0.01
    adamw_lr: float = 0.002
    constant: float = 0.6
    autocast: bool = True
    seed: int = 0


class Training:
    """A training run that can be put down after any step and taken up again, ending in the same weights.

    Attributes:
        model: The model, in fp32.
        step: Steps done.
        steps: Steps of the whole run; None while not yet known.
    """

    def __init__(self, recipe: TrainingRecipe, streams: Mapping[str, NDArray[np.uint16]], device: str) -> None:
        """Build the model.

        Args:
            recipe: What to train and how.
            streams: Token ids of each domain, shape (tokens,).
            device: Where to train, as torch names it.

        Raises:
            TrainingError: A stream is shorter than one sequence.
        """
        for domain, stream in streams.items():
            if len(stream) <= recipe.length:
                raise TrainingError(
                    f"text of {domain}: {len(stream)} tokens; expected more than one sequence of {recipe.length}; "
                    "give more text"
                )
        self.recipe, self.streams, self.device = recipe, dict(streams), torch.device(device)
        self.step, self.steps = 0, None  # type: int, int | None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.seed)
            model = LlamaForCausalLM(recipe.shape.config())
        self.model: Any = model
        self.model.train().to(self.device)
        matrices = [p for p in self.model.model.layers.parameters() if p.ndim == 2]
        others = [p for p in self.model.parameters() if not any(p is matrix for matrix in matrices)]
        self.optimizers: dict[str, Optimizer] = {
            "muon": Muon(matrices, lr=recipe.muon_lr, weight_decay=0.0),
            "adamw": AdamW(others, lr=recipe.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0),
        }

    def batch(self) -> Tensor:
        """Draw this step's sequences, shape (batch, length + 1); they depend on seed and step alone."""
        rng = np.random.default_rng([self.recipe.seed, self.step])
        streams, length = list(self.streams.values()), self.recipe.length
        rows = []
        for number in range(self.step * self.recipe.batch, (self.step + 1) * self.recipe.batch):
            stream = streams[number % len(streams)]
            at = int(rng.integers(len(stream) - length))
            rows.append(stream[at : at + length + 1].astype(np.int64))
        return torch.from_numpy(np.stack(rows))

    def decay(self) -> float:
        """Return what the learning rates are multiplied with at this step."""
        constant = self.recipe.constant * self.steps if self.steps else 0.0
        if not self.steps or self.step < constant:
            return 1.0
        return (self.steps - self.step) / (self.steps - constant)

    def advance(self) -> float:
        """Do one step and return its loss, nats a token."""
        tokens = self.batch().to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.autocast):
            logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits
        loss = functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        for name, optimizer in self.optimizers.items():
            rate = self.recipe.muon_lr if name == "muon" else self.recipe.adamw_lr
            for group in optimizer.param_groups:
                group["lr"] = rate * self.decay()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    def identity(self) -> dict[str, Any]:
        """Return what a checkpoint must agree with: the recipe and a hash of each domain's tokens."""
        hashes = {domain: hashlib.sha256(stream.tobytes()).hexdigest() for domain, stream in self.streams.items()}
        return {"recipe": asdict(self.recipe), "tokens_sha256": hashes}

    def save(self, path: Path) -> None:
        """Write a checkpoint; there is no random state beyond the seed and the step."""
        state = {"step": self.step, "steps": self.steps, **self.identity()}
        save_checkpoint(path, self.model, self.optimizers, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this run.

        Raises:
            CheckpointError: The checkpoint is another run's.
        """
        state = load_checkpoint(path, self.model, self.optimizers)
        for key, value in self.identity().items():
            if state.get(key) != value:
                raise CheckpointError(
                    f"{path}: its {key} is another; expected this run's own; give the same text and options, or "
                    "another --out"
                )
        self.step, self.steps = state["step"], state["steps"]


@dataclass(frozen=True)
class TrainingStep:
    """A step that was trained: steps done, steps in all (if known), this step's loss, seconds so far."""

    step: int
    steps: int | None
    loss: float
    seconds: float


def run(
    training: Training,
    checkpoint: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    save_every: int = 100,
    report: Callable[[TrainingStep], None] = lambda progress: None,
) -> None:
    """Train to the end, from `checkpoint` where there is one, writing it every `save_every` steps and at the end.

    Args:
        training: The run.
        checkpoint: Its checkpoint file.
        steps: Steps of the whole run.
        minutes: Or how long it may take; turned into steps once, from the speed of its first steps. Where a
            checkpoint already says how many steps there are, both are ignored.
        save_every: Steps from one checkpoint to the next.
        report: Called after each step.
    """
    if checkpoint.is_file():
        training.load(checkpoint)
    training.steps = training.steps or steps
    begun = timed = time.monotonic()
    while training.steps is None or training.step < training.steps:
        loss = training.advance()
        now = time.monotonic()
        if training.steps is None and training.step == WARM_UP_STEPS:
            timed = now
        fixed = training.steps is None and training.step == WARM_UP_STEPS + TIMED_STEPS
        if fixed and minutes is not None:
            training.steps = max(training.step, int(minutes * 60 / ((now - timed) / TIMED_STEPS)))
        if fixed or training.step % save_every == 0 or training.step == training.steps:
            training.save(checkpoint)
        report(TrainingStep(training.step, training.steps, loss, now - begun))
