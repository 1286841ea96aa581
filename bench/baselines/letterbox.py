"""What the letterbox costs beyond decoding, on one core: the model's own pipeline against the decoder alone.

Both take turns batch by batch, A B B A; what counts is the processor time of this process. Answers hold
`letterbox_ms` and `decode_ms`, of one image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from _parts import batches, preprocessing_file
from _turns import Turns, arguments, read_images
from decode import open_decoder, read

from sightline_server.pipeline import Pipeline

BATCH = 8


def main() -> None:
    """Run both, and take the difference."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True, help="the detector whose letterbox is measured")
    given = parser.parse_args()
    file = preprocessing_file(given.repository, given.model)
    whole = Pipeline(file, max_batch_size=BATCH, threads=1)
    decoder = open_decoder(batch=BATCH, threads=1)

    runs: dict[str, Callable[[list[Any]], Any]] = {
        "whole": whole.run,
        "decode": lambda data: decoder.run(encoded=data),
    }

    def one_pass(paths: Sequence[str]) -> Mapping[str, float]:
        spent = {"whole": 0.0, "decode": 0.0}
        for batch in batches(paths, BATCH):
            data = [read(path) for path in batch]
            for name in ("whole", "decode", "decode", "whole"):
                before = time.process_time()
                runs[name](data)
                spent[name] += time.process_time() - before
        each = {name: 1000 * seconds / (2 * len(paths)) for name, seconds in spent.items()}
        return {"letterbox_ms": each["whole"] - each["decode"], "decode_ms": each["decode"]}

    turns.take(read_images(given.images), one_pass)


if __name__ == "__main__":
    main()
