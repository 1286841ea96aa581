"""gRPC's own Python calls and nothing else: what a Python client of any make takes at least for a request.

The same request, made once, is sent again and again, the next one as soon as an answer has come, in the thread that
gRPC brings it in. Answers are only taken apart by protobuf. Nothing of Sightline takes part in a pass.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import grpc
from _turns import Turns, payload_arguments
from tritonclient.grpc import service_pb2 as pb

from sightline._wire import encode_request
from sightline_bench.transports import payload_of

_METHOD = "/inference.GRPCInferenceService/ModelInfer"
_TIMEOUT_SECONDS = 60


def main() -> None:
    """Connect, then send."""
    turns = Turns()
    parser = payload_arguments(__doc__)
    parser.add_argument("--in-flight", type=int, default=16)
    given = parser.parse_args()
    request = encode_request(
        model=given.model,
        request_id="1",
        payloads=[payload_of(given.payload_bytes).data],
        score_threshold=0.25,
        timeout_seconds=_TIMEOUT_SECONDS,
    )
    with grpc.insecure_channel(given.url) as channel:
        call = channel.unary_unary(_METHOD, response_deserializer=pb.ModelInferResponse.FromString)

        def one_pass(chosen: Sequence[str]) -> None:
            left = itertools.islice(itertools.repeat(request), len(chosen))
            answered = threading.Semaphore(0)
            failures: list[BaseException] = []

            def send_next() -> None:
                if (following := next(left, None)) is not None:
                    call.future(following, timeout=_TIMEOUT_SECONDS).add_done_callback(take)

            def take(done: grpc.Future) -> None:
                if (error := done.exception()) is not None:
                    failures.append(error)
                send_next()
                answered.release()

            for _ in range(given.in_flight):
                send_next()
            for _ in chosen:
                answered.acquire()
            if failures:
                raise failures[0]

        turns.take([""] * given.count, one_pass)


if __name__ == "__main__":
    main()
