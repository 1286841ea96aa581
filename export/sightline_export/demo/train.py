"""Trains the demo detector from random weights on pictures that it draws itself.

Example: python -m sightline_export.demo.train --output trained/

Writes demo_state.pt (the averaged weights) and demo_raw.onnx (the network alone, ready for `sightline export`).
Takes about 25 minutes on two CPU cores. A run that was stopped goes on from OUTPUT/checkpoint.pt when it
is started again with the same options.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Subset

from .batches import Batch, Batches, Schedule
from .loss import detection_loss
from .network import DemoDetector
from .objects import CLASS_NAMES
from .raw_onnx import write_raw_onnx
from .samples import TRAINING_SEED, Labelled, training_set

_LEARNING_RATE, _WEIGHT_DECAY, _WARMUP_STEPS = 2e-3, 0.02, 40
_AVERAGE_DECAY = 0.99
_GRADIENT_LIMIT = 10.0
_CHECKPOINT_STEPS = 40

Say = Callable[[str], None]


class Run:
    """A training under way: the network, its running average, the optimiser, and the next step."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = DemoDetector(len(CLASS_NAMES)).to(memory_format=torch.channels_last)
        self.average = _running_average(self.network)
        self.optimiser = torch.optim.AdamW(_groups(self.network), lr=_LEARNING_RATE)
        self.step = 0

    def save(self, path: Path) -> None:
        """Write everything that going on needs; whoever reads meanwhile sees the old file or the new one."""
        states = [part.state_dict() for part in self._parts()]
        fresh = path.with_suffix(".part")
        torch.save({"step": self.step, "states": states}, fresh)
        fresh.replace(path)

    def load(self, path: Path) -> None:
        """Take up what `save` wrote."""
        saved = torch.load(path, weights_only=True)
        self.step = saved["step"]
        for part, state in zip(self._parts(), saved["states"], strict=True):
            part.load_state_dict(state)

    def _parts(self) -> list[torch.nn.Module | torch.optim.Optimizer]:
        return [self.network, self.average, self.optimiser]

    def result(self) -> DemoDetector:
        """The running average, ready for use."""
        return cast(DemoDetector, self.average.module.eval())


def train(
    pictures: list[Labelled], schedule: Schedule, *, seed: int, checkpoint: Path | None = None, say: Say = print
) -> DemoDetector:
    """Train a network on `pictures` and return its running average, ready for use.

    With `checkpoint`, the state is written there every 40 steps, and a file that is already there is gone on from.
    """
    run = Run(seed)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    batches = Subset(Batches(pictures, schedule, seed), range(run.step, schedule.steps))
    started, losses = time.monotonic(), []
    for batch in DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4):
        for group in run.optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * rate(run.step, schedule.steps)
        losses.append(train_step(run.network, run.optimiser, batch))
        run.average.update_parameters(run.network)
        run.step += 1
        if run.step % 20 == 0 or run.step == schedule.steps:
            minutes = (time.monotonic() - started) / 60
            say(f"step {run.step}/{schedule.steps}  loss {np.mean(losses[-20:]):.3f}  {minutes:.1f} min")
        if checkpoint is not None and run.step % _CHECKPOINT_STEPS == 0:
            run.save(checkpoint)
    return run.result()


def train_step(network: DemoDetector, optimiser: torch.optim.Optimizer, batch: Batch) -> float:
    """One step of gradient descent; returns the loss."""
    network.train()
    images = batch.images.float().div(255).contiguous(memory_format=torch.channels_last)
    loss = detection_loss(network.raw(images), batch.boxes_xyxy, batch.class_ids)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), _GRADIENT_LIMIT)
    optimiser.step()
    return loss.item()


def rate(step: int, steps: int) -> float:
    """Share of the learning rate: a short rise, then half a cosine down to one percent."""
    rise = min(1.0, (step + 1) / _WARMUP_STEPS)
    return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


def _running_average(network: DemoDetector) -> AveragedModel:
    blend = get_ema_multi_avg_fn(_AVERAGE_DECAY)  # type: ignore[no-untyped-call]
    # The statistics of normalisation are copied, not averaged: they begin far off, and an average would keep that long.
    return AveragedModel(network, multi_avg_fn=blend, use_buffers=False)


def _groups(network: DemoDetector) -> list[dict[str, object]]:
    # Biases and normalisation must be free to move; only kernels are pulled towards zero.
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": kernels, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def main(arguments: list[str] | None = None) -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline_export.demo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for the weights and the ONNX file")
    parser.add_argument("--steps", type=int, default=Schedule.steps, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=TRAINING_SEED, help="default: %(default)s")
    parser.add_argument("--pictures", type=int, default=2000, help="drawn to learn from; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; default: %(default)s")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    print(f"drawing {options.pictures} pictures of {', '.join(CLASS_NAMES)}", flush=True)
    pictures = training_set(seed=options.seed, count=options.pictures, processes=options.threads)
    schedule = Schedule(steps=options.steps)
    checkpoint = options.output / "checkpoint.pt"
    network = train(pictures, schedule, seed=options.seed, checkpoint=checkpoint, say=_say)
    torch.save(network.state_dict(), options.output / "demo_state.pt")
    write_raw_onnx(network, options.output / "demo_raw.onnx", class_names=CLASS_NAMES)
    print(f"wrote demo_state.pt and demo_raw.onnx to {options.output}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
