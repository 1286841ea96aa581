"""How many threads torch computes with, where Ultralytics has a say in it."""

from __future__ import annotations

import torch


def set_torch_threads(count: int | None) -> None:
    """Have torch compute with so many threads; with None, leave it with as many as it has.

    To be called when Ultralytics has loaded its network, which it does with the first picture: whenever it puts one on
    the CPU it sets torch's threads to one less than the machine's cores (`ultralytics.utils.NUM_THREADS`), whatever
    they were before.
    """
    if count is not None:
        torch.set_num_threads(count)
