"""What a program of the pods tells a Prometheus, at `http://POD:PORT/metrics`, by the library prometheus_client.

A finished image (`image.fetchReference`) may lack the library. Then nothing is told, and the program runs all the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric

PORT = 8001
ADDRESSES = ("::", "0.0.0.0")  # noqa: S104  the pod's own; its NetworkPolicy says who reaches it
"""Every address of both families; IPv4 alone where a node has no IPv6."""


@dataclass(frozen=True)
class Reading:
    """One metric and its values now. A name that ends with `_total` is a counter, any other a gauge."""

    name: str
    help: str
    values: Mapping[str, float]
    """By the value of `label`; by the empty text where there is no label."""

    label: str = ""


def tell_metrics(read: Callable[[], Iterable[Reading]], port: int = PORT) -> str:
    """Answer Prometheus from now on, in the background, with what `read` returns; return why not, else nothing."""
    try:
        import prometheus_client  # noqa: PLC0415  an image may lack it
    except ImportError:
        return "the image has no Python package prometheus_client"
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Collector(read))
    problem = ""
    for address in ADDRESSES:
        try:
            prometheus_client.start_http_server(port, address, registry)
        except OSError as error:
            problem = f"port {port}: {error}"
        else:
            return ""
    return problem


class _Collector:
    """Reads at each question, as prometheus_client asks its collectors."""

    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

        for reading in self._read():
            family = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
            metric = family(reading.name, reading.help, labels=[reading.label] if reading.label else None)
            for value, number in reading.values.items():
                metric.add_metric([value] if reading.label else [], number)
            yield metric
