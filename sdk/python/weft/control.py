"""The control connection, as a client and an instance have it: one at a time, of several endpoints in turn."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from .link import Link, Process, State

_PATIENCE = 3.0  # seconds without an answer after which the next endpoint is tried


class Control:
    """Holds the link to the present control endpoint, and goes on to the next one when it does not answer."""

    def __init__(
        self, process: Process, endpoints: Sequence[str], hello: Callable[[str], Mapping[str, Any]], now: float
    ) -> None:
        self._process = process
        self._endpoints = list(endpoints)
        self._hello = hello
        self._at = 0
        self._since = now  # when this endpoint was begun with, or was last up
        self.link = self._dial(now)

    def _dial(self, now: float) -> Link:
        endpoint = self._endpoints[self._at]
        link = Link(self._process, endpoint, self._hello(endpoint), now)
        link.always = True
        self._since = now
        return link

    def tick(self, now: float) -> None:
        """Do what is due, and change the endpoint when the present one has been silent for too long."""
        self.link.tick(now)
        if self.link.state is State.UP:
            self._since = now
        elif len(self._endpoints) > 1 and now - self._since >= _PATIENCE:
            self.next_endpoint(now)

    def next_endpoint(self, now: float) -> None:
        """Go on to the next endpoint, if there are several."""
        if len(self._endpoints) == 1:
            return
        self.link.ended = True
        self._at = (self._at + 1) % len(self._endpoints)
        self.link = self._dial(now)

    def deadline(self) -> float:
        """When tick is to be called next."""
        if len(self._endpoints) > 1 and self.link.state is not State.UP:
            return min(self.link.deadline(), self._since + _PATIENCE)
        return self.link.deadline()
