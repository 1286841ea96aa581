"""Find objects in a frame that is an array already, as cameras and videos give it, and save it annotated.

python client/examples/numpy_frame.py [PICTURE] [--url HOST:PORT] [--model NAME] [--output FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sightline import Client, EncodedImage
from sightline.annotate import decode_upright, draw, encode_jpeg

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = sorted((CHECKOUT / "export/sightline_export/demo/pictures").glob("*.jpg"))

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("picture", nargs="?", default=PICTURES[0])
parser.add_argument("--url", default="localhost:8001")
parser.add_argument("--model", default="demo")
parser.add_argument("--output", default="frame.jpg")
arguments = parser.parse_args()

frame_bgr = decode_upright(Path(arguments.picture).read_bytes())  # or a frame of cv2.VideoCapture

with Client(arguments.url, model=arguments.model) as client:
    # Sightline wants red first; OpenCV has blue first. The pixels travel without loss.
    image = EncodedImage.from_array(frame_bgr[..., ::-1], source="frame 0")
    detections = client.detect(image)

print(f"{len(detections)} objects in {frame_bgr.shape[1]}x{frame_bgr.shape[0]} pixels")
Path(arguments.output).write_bytes(encode_jpeg(draw(frame_bgr, detections)))
print(f"annotated: {arguments.output}")
