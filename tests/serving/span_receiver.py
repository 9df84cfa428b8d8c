"""A receiver of traces by OTLP over gRPC, on the address of this machine that pods reach."""

from collections.abc import Generator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from local.machine import addresses

PORT = 4317
ENDPOINT = f"http://{addresses.NODE}:{PORT}"


@dataclass(frozen=True)
class Span:
    """What one span tells."""

    service: str
    trace_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Received:
    """What has come: the spans, and each message as it was."""

    spans: list[Span] = field(default_factory=list[Span])
    messages: list[bytes] = field(default_factory=list[bytes])


class _Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, received: Received) -> None:
        self._received = received

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  the name in the protocol
        del context
        self._received.messages.append(request.SerializeToString())
        for of_resource in request.resource_spans:
            service = _attributes(of_resource.resource.attributes).get("service.name", "")
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    told = Span(service, span.trace_id.hex(), _attributes(span.attributes))
                    self._received.spans.append(told)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def receiving() -> Generator[Received]:
    """Receive spans within this context."""
    received = Received()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    register = cast("Any", trace_service_pb2_grpc).add_TraceServiceServicer_to_server
    register(_Receiver(received), server)
    assert server.add_insecure_port(f"{addresses.NODE}:{PORT}")
    server.start()
    try:
        yield received
    finally:
        server.stop(grace=1).wait()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
