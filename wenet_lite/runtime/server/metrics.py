"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from wenet_lite.runtime.server.refusals import Reason

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_REAL_TIME_FACTORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """Counts of one server; every method may be called from any thread.

    Attributes:
        connections: websockets that are open.
        streams: that are heard.
        queue_depth: by kind, `stream`: streams with a chunk that waits; `file`: files on their way to a result.
        audio_seconds: heard, by kind.
        compute_seconds: spent on it, by kind.
        chunk_latency: from when a chunk is complete to its result, seconds.
        real_time_factor: computing time over audio, by kind: of a step of all streams together, or of a file.
        refusals: by reason.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.connections = Gauge("wenet_lite_connections", "Open websockets", registry=registry)
        self.streams = Gauge("wenet_lite_streams", "Streams that are heard", registry=registry)
        self.queue_depth = Gauge("wenet_lite_queue_depth", "Work that waits", ["kind"], registry=registry)
        self.audio_seconds = Counter("wenet_lite_audio_seconds", "Audio heard", ["kind"], registry=registry)
        self.compute_seconds = Counter("wenet_lite_compute_seconds", "Time spent on it", ["kind"], registry=registry)
        self.chunk_latency = Histogram(
            "wenet_lite_chunk_latency_seconds",
            "From a complete chunk to its result",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.real_time_factor = Histogram(
            "wenet_lite_real_time_factor",
            "Computing time over audio",
            ["kind"],
            buckets=_REAL_TIME_FACTORS,
            registry=registry,
        )
        self.refusals = Counter("wenet_lite_refusals", "Requests refused", ["reason"], registry=registry)
        for reason in Reason:
            self.refusals.labels(reason.label)
        for kind in ("stream", "file"):
            for metric in (self.queue_depth, self.audio_seconds, self.compute_seconds, self.real_time_factor):
                metric.labels(kind)

    def heard(self, kind: str, audio_s: float, seconds: float) -> None:
        """Audio of a `kind` was heard in so many seconds."""
        self.audio_seconds.labels(kind).inc(audio_s)
        self.compute_seconds.labels(kind).inc(seconds)
        if audio_s > 0:
            self.real_time_factor.labels(kind).observe(seconds / audio_s)

    def refused(self, reason: Reason) -> None:
        """A request was refused."""
        self.refusals.labels(reason.label).inc()

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
