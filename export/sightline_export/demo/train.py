"""Trains the demo detector from random weights on pictures that it draws itself.

Example: python -m sightline_export.demo.train --output trained/

Writes demo_state.pt (the averaged weights) and demo_raw.onnx (the network alone, ready for `sightline export`).
Takes about a quarter of an hour on two CPU cores.
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
from torch.utils.data import DataLoader

from .batches import Batch, Batches, Schedule
from .loss import detection_loss
from .network import DemoDetector
from .objects import CLASS_NAMES
from .raw_onnx import write_raw_onnx
from .samples import TRAINING_SEED, Labelled, training_set

_LEARNING_RATE, _WEIGHT_DECAY, _WARMUP_STEPS = 2e-3, 0.02, 40
_AVERAGE_DECAY = 0.99
_GRADIENT_LIMIT = 10.0

Say = Callable[[str], None]


def train(pictures: list[Labelled], schedule: Schedule, *, seed: int, say: Say = print) -> DemoDetector:
    """Train a new network on `pictures` and return its running average, ready for use."""
    torch.manual_seed(seed)
    network = DemoDetector(len(CLASS_NAMES)).to(memory_format=torch.channels_last)
    average = _running_average(network)
    optimiser = torch.optim.AdamW(_groups(network), lr=_LEARNING_RATE)
    loader = DataLoader(Batches(pictures, schedule, seed), batch_size=None, num_workers=1, prefetch_factor=4)
    started, losses = time.monotonic(), []
    for step, batch in enumerate(loader):
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * rate(step, schedule.steps)
        losses.append(train_step(network, optimiser, batch))
        average.update_parameters(network)
        if step % 20 == 19 or step + 1 == schedule.steps:
            minutes = (time.monotonic() - started) / 60
            say(f"step {step + 1}/{schedule.steps}  loss {np.mean(losses[-20:]):.3f}  {minutes:.1f} min")
    return cast(DemoDetector, average.module.eval())


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
    return AveragedModel(network, multi_avg_fn=blend, use_buffers=True)


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
    parser.add_argument("--pictures", type=int, default=3000, help="drawn to learn from; default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; default: %(default)s")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    print(f"drawing {options.pictures} pictures of {', '.join(CLASS_NAMES)}", flush=True)
    pictures = training_set(seed=options.seed, count=options.pictures, processes=options.threads)
    network = train(pictures, Schedule(steps=options.steps), seed=options.seed, say=_say)
    torch.save(network.state_dict(), options.output / "demo_state.pt")
    write_raw_onnx(network, options.output / "demo_raw.onnx", class_names=CLASS_NAMES)
    print(f"wrote demo_state.pt and demo_raw.onnx to {options.output}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
