"""What Detecto's tutorial does: read an image, `Model.predict`, take the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from _turns import Turns, arguments, read_images
from detecto.core import Model
from detecto.utils import read_image

SCORE_THRESHOLD = 0.25
"""Detecto gives every detection; those above the others' threshold are counted."""


def main() -> None:
    """Load, then loop."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", required=True, help="as `Model.save` wrote it")
    parser.add_argument("--classes", required=True, help="names separated by commas, as it was trained")
    parser.add_argument("--threads", type=int, help="of torch; without it, torch's own choice")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    model = Model.load(given.weights, given.classes.split(","))

    def one_pass(paths: Sequence[str]) -> int:
        found = 0
        for path in paths:
            _, _, scores = model.predict(read_image(path))
            found += int((scores >= SCORE_THRESHOLD).sum())
        return found

    turns.take(read_images(given.images), one_pass)


if __name__ == "__main__":
    main()
