#!/usr/bin/env bash
# Gathers what bench/gpu.sh needs on a machine without a network: bench/gpu_wheels.sh --help. Needs python3 with pip.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec python3 "$here/sightline_bench/gpu/wheels.py" "$@"
