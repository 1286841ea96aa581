#!/usr/bin/env bash
# Measures Sightline on an NVIDIA GPU: bench/gpu.sh --help. Needs no network.
#
# Before the options of sightline_bench.gpu it takes two of its own:
#   --python PROGRAM   the Python to use; by default that of .venv, else python3
#   --wheels FOLDER    packages to use besides those that it has, as bench/gpu_wheels.sh gathered them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(dirname "$here")
python=python3
if [ -x "$checkout/.venv/bin/python" ]; then python="$checkout/.venv/bin/python"; fi
wheels=
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --python) python=${2:?--python needs a program}; shift 2 ;;
    --wheels) wheels=${2:?--wheels needs a folder}; shift 2 ;;
    *) options+=("$1"); shift ;;
  esac
done
command -v "$python" >/dev/null || { echo "gpu.sh: there is no $python; name one with --python" >&2; exit 2; }

path="$checkout/client:$checkout/export:$checkout/server:$checkout/bench"
if [ -n "$wheels" ]; then
  [ -d "$wheels" ] || { echo "gpu.sh: there is no folder $wheels; see bench/gpu_wheels.sh --help" >&2; exit 2; }
  site=$("$python" "$here/sightline_bench/gpu/wheels.py" --unpack "$wheels")
  path="$site:$path"
fi
export PYTHONPATH="$path${PYTHONPATH:+:$PYTHONPATH}"

# CUDA's libraries come as Python packages, wherever those are; ONNX Runtime looks for them beside itself only.
libraries=$("$python" - <<'PYTHON'
import sys
from pathlib import Path

folders = [Path(entry or ".") for entry in sys.path]
print(":".join(str(found) for folder in folders for found in sorted((folder / "nvidia").glob("*/lib")) if found.is_dir()))
PYTHON
)
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$python" -m sightline_bench.gpu "${options[@]}"
