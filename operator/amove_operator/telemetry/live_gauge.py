"""A gauge that is absent while its value is not known, or is another replica's to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

Labels = tuple[str, ...]
Read = Callable[[], float | None]
ReadAll = Callable[[], Mapping[Labels, float | None]]


class LiveGauge(Collector):
    """Values are set, or read when scraped; ``None`` is not shown at all.

    An expiry that nobody knows must not read as 1970, and what two replicas both know of one object
    must not be counted twice: ``shown`` says whether this process exports it just now.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        shown: Callable[[], bool],
    ) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._shown = shown
        self._values: dict[Labels, Read] = {}
        self._read_all: ReadAll | None = None
        registry.register(self)

    def labels(self, *values: str) -> Reading:
        """The value of those labels, to be set."""
        return Reading(self._values, values)

    def set(self, value: float | None) -> None:
        """The value where there are no labels."""
        self.labels().set(value)

    def set_to_current_time(self) -> None:
        """The Unix time of now, where there are no labels."""
        self.labels().set_to_current_time()

    def set_function(self, read: Read) -> None:
        """Read the value when scraped, where there are no labels."""
        self.labels().set_function(read)

    def set_all(self, read: ReadAll) -> None:
        """Read the values of all labels when scraped."""
        self._read_all = read

    def describe(self) -> list[GaugeMetricFamily]:
        """The name alone: asked at registration, when nothing can be read yet."""
        return [self._family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """What is known now."""
        family = self._family()
        if self._shown():
            values = self._read_all() if self._read_all is not None else {}
            for labels, value in (*values.items(), *((k, v()) for k, v in self._values.items())):
                if value is not None:
                    family.add_metric(labels, float(value))
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._text, labels=self._labels)


class Reading:
    """One value of a :class:`LiveGauge`."""

    def __init__(self, values: dict[Labels, Read], labels: Labels) -> None:
        self._values = values
        self._of = labels

    def set(self, value: float | None) -> None:
        """The value from now on; ``None``: it is not known any more."""
        self._values[self._of] = lambda: value

    def set_to_current_time(self) -> None:
        """The Unix time of now."""
        self.set(time.time())

    def set_function(self, read: Read) -> None:
        """Read it when scraped."""
        self._values[self._of] = read
