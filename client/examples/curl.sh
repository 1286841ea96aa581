#!/bin/sh
# JPEG in, boxes out, without any client library: Triton's HTTP port takes the bytes of the file behind a JSON header.
#
#   sh client/examples/curl.sh [PICTURE] [HTTP_HOST:PORT] [MODEL] [SCORE_THRESHOLD]
set -eu

checkout=$(cd "$(dirname "$0")/../.." && pwd)
picture=${1:-$(ls "$checkout"/export/sightline_export/demo/pictures/*.jpg | head -n 1)}
url=${2:-localhost:8000}
model=${3:-demo}
score_threshold=${4:-0.25}

size=$(($(wc -c <"$picture")))
header='{"inputs": [
  {"name": "encoded", "datatype": "UINT8", "shape": [1, '$size'], "parameters": {"binary_data_size": '$size'}},
  {"name": "score_threshold", "datatype": "FP32", "shape": [1, 1], "data": ['$score_threshold']}]}'

{ printf '%s' "$header"; cat "$picture"; } |
  curl --silent --show-error --fail-with-body \
    --header "Content-Type: application/octet-stream" \
    --header "Inference-Header-Content-Length: ${#header}" \
    --data-binary @- "http://$url/v2/models/$model/infer" |
  # That is all. Python only prints the answer: the rows beyond num_detections are padding.
  python3 -c '
import json, sys
answer = json.load(sys.stdin)
if "error" in answer:
    sys.exit(answer["error"])
data = {output["name"]: output["data"] for output in answer["outputs"]}
print(data["num_detections"][0], "objects")
for i in range(data["num_detections"][0]):
    box = [round(x, 1) for x in data["boxes"][4 * i : 4 * i + 4]]
    print("class", data["classes"][i], "score", round(data["scores"][i], 3), "box", box)'
