"""What the server measures of itself, as Prometheus reads it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Histograms of the steps of answers, and gauges that are read when somebody asks.

    Steps of a search are wait, for its turn; order, in which its text is encoded and all photos are compared; rows,
    when a window of that order is read; and render, of its page. Other computations are named after their methods.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._steps = Histogram(
            "aliens_step_seconds", "Time of a step of an answer.", ["step"], registry=self.registry, buckets=BUCKETS_S
        )
        self._gauges: dict[str, Gauge] = {}

    def took(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self._steps.labels(step).observe(seconds)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long what is done within takes."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.took(step, perf_counter() - begun)

    def watch(self, name: str, meaning: str, read: Callable[[], float], **labels: str) -> None:
        """Have a value read whenever somebody asks, such as the bytes of a cache.

        name: with its unit, such as aliens_cache_bytes; several values of one name are told apart by labels.
        """
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, meaning, list(labels), registry=self.registry)
        gauge = self._gauges[name].labels(**labels) if labels else self._gauges[name]
        gauge.set_function(read)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)
