"""The command line of `tritonserver`."""

from __future__ import annotations

import secrets
from pathlib import Path

from sightline.contract import MAX_BATCH_SIZE, MAX_IMAGE_SIZE, NETWORK_INSTANCES, PREPROCESSING_INSTANCES
from sightline_server.gpu import NO_GPUS, Gpus
from sightline_server.locate import TritonFiles
from sightline_server.options import ServerOptions
from sightline_server.ports import Ports
from sightline_server.staging import backends_folder, own_repository, repository_view

_KEY = "sightline-private"
_BATCH_BYTES = MAX_BATCH_SIZE * 3 * MAX_IMAGE_SIZE**2
# Pictures never fill all of the pool, as their sizes are multiples of 3 KiB and this is none: Triton's Python backend
# ends the server where a model is handed its first tensor on a GPU while not one byte is free.
_NEVER_FILLED_BYTES = 2**20
CUDA_POOL_BYTES = _BATCH_BYTES * (PREPROCESSING_INSTANCES + NETWORK_INSTANCES) + _NEVER_FILLED_BYTES
"""Memory on each GPU for what models hand on: a full batch of the largest pictures for every instance of a detector.

What does not fit goes through the host's memory, and nobody is told.
"""
# None, on GPUs too: what a Python model gives on a GPU would have to go there when the pool above is full, and Triton's
# Python backend never copies it. The next step would read what lay there before.
_WITHOUT_PINNED_MEMORY = "--pinned-memory-pool-byte-size=0"


def server_command(  # noqa: PLR0913, PLR0917 - what makes a run
    options: ServerOptions,
    files: TritonFiles,
    ports: Ports,
    folder: Path,
    shared_memory_prefix: str,
    gpus: Gpus = NO_GPUS,
) -> list[str]:
    """Program and arguments.

    Args:
        options: what the user asked for.
        files: the installed Triton.
        ports: TCP ports to listen on.
        folder: the run's folder.
        shared_memory_prefix: how the names of segments in /dev/shm are to begin.
        gpus: those that the models run on.
    """
    return [
        str(files.binary),
        f"--model-repository={repository_view(folder, options, gpus)}",
        f"--model-repository={own_repository(folder)}",
        f"--backend-directory={backends_folder(folder)}",
        f"--cache-directory={files.caches}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix}",
        *_addresses(options.host, ports),
        *_model_arguments(options),
        *_restrictions(options),
        # The repository says everything itself, since the native backends of other servers complete it differently.
        "--disable-auto-complete-config",
        "--exit-on-error=true",
        "--strict-readiness=true",
        f"--exit-timeout-secs={max(1, int(options.stop_timeout_seconds))}",
        *_memory(gpus.count),
        # Quantiles of the latencies, as the deployment's dashboard and alerts want them; no slower, measured.
        "--metrics-config=summary_latencies=true",
        "--log-format=default",
    ]


def _addresses(host: str, ports: Ports) -> list[str]:
    services = {"grpc": ports.grpc, "http": ports.http, "metrics": ports.metrics}
    return [f"--{name}-{part}" for name, port in services.items() for part in (f"address={host}", f"port={port}")]


def _memory(gpu_count: int) -> list[str]:
    """Without a GPU, nothing of what serves GPUs only."""
    pools = [f"--cuda-memory-pool-byte-size={index}:{CUDA_POOL_BYTES}" for index in range(gpu_count)]
    return [f"--allow-gpu-metrics={str(gpu_count > 0).lower()}", _WITHOUT_PINNED_MEMORY, *pools]


def _restrictions(options: ServerOptions) -> list[str]:
    """Shut what changes the server or names files: over HTTP, any web page in a browser of this machine could ask."""
    nobody_knows = f"{_KEY}={secrets.token_hex(16)}"
    over_grpc = "trace,logging" if options.allow_shared_memory else "trace,logging,shared-memory"
    over_http = over_grpc if options.allow_model_control else f"{over_grpc},model-repository"
    return [
        f"--grpc-restricted-protocol={over_grpc}:{nobody_knows}",
        f"--http-restricted-api={over_http}:{nobody_knows}",
    ]


def _model_arguments(options: ServerOptions) -> list[str]:
    if options.allow_model_control:
        return ["--model-control-mode=explicit", "--load-model=*"]
    return ["--model-control-mode=none"]
