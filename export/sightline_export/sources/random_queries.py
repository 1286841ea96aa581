"""Random weights for RT-DETR that detect something: fresh ones give every query the same score and its place as box."""

from __future__ import annotations

from typing import Any

_LIKELY_FRACTION = 1 / 3
"""Of a picture's queries at least so many score above one half for their best class."""
_SPREAD = 2.0
"""Standard deviation of a class's logits over the queries."""
_BOX_WEIGHT = 0.02
"""Standard deviation of the weights that refine a box."""


def spread_queries(model: Any, pictures: Any) -> None:
    """Let boxes and scores of a randomly initialised RT-DETR vary, from the drawn queries to the last decoder.

    Args:
        model: the detector, for evaluation.
        pictures: float32 [N, 3, S, S], 0 to 1.
    """
    import torch

    head = model.model[-1]
    for refining in (head.enc_bbox_head, *head.dec_bbox_head):
        torch.nn.init.normal_(refining.layers[-1].weight, std=_BOX_WEIGHT)
    # In this order, as the first decides which places become queries.
    for scoring in (head.enc_score_head, head.dec_score_head[-1]):
        _spread(model, scoring, pictures)


def _spread(model: Any, scoring: Any, pictures: Any) -> None:
    import torch

    seen: list[Any] = []
    hook = scoring.register_forward_hook(lambda _, __, output: seen.append(output))
    model(pictures)
    hook.remove()
    logits = seen[0] - scoring.bias
    factor = _SPREAD / logits.std().clamp(min=1e-6)
    scoring.weight.mul_(factor)
    best = (logits * factor).amax(dim=-1)
    scoring.bias.fill_(-float(torch.quantile(best, 1 - _LIKELY_FRACTION, dim=-1).min()))
