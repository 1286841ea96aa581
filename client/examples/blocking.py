"""Find objects in pictures, one result after another.

python client/examples/blocking.py [PICTURE ...] [--url HOST:PORT] [--model NAME]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sightline import Client

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = sorted((CHECKOUT / "export/sightline_export/demo/pictures").glob("*.jpg"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("pictures", nargs="*", default=PICTURES)
parser.add_argument("--url", default="localhost:8001")
parser.add_argument("--model", default="demo")
arguments = parser.parse_args()

with Client(arguments.url, model=arguments.model) as client:
    # `stream` takes any iterator, keeps several requests on their way, and gives the results in order.
    for result in client.stream(arguments.pictures, batch_size=8, score_threshold=0.4):
        if result.detections is None:
            print(f"{result.source}: {result.error}")
            continue
        print(f"{result.source}: {len(result.detections)} objects")
        for box_xyxy, score, _, name in result.detections:
            print(f"  {name:12} {score:.2f}  {[round(float(side), 1) for side in box_xyxy]}")
