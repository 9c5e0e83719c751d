"""The thread that owns the sockets: it carries messages between them and a core, which decides.

A core is a state machine without I/O. All of its methods, and those of its links, run under the engine's lock; other
threads call the core under the same lock and then wake the engine.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from typing import Any, Callable, Iterable, Protocol

import zmq

from .link import Event, Link

log = logging.getLogger("weft")

_BATCH = 64  # messages of one socket before the others have their turn
_HIGH_WATER = 64  # messages; beyond it they wait in the link, and leave together
_LINGER_MS = 200


class Core(Protocol):
    """What an engine drives. ``effects`` are calls that the engine makes, in order, without holding its lock."""

    effects: deque[Callable[[], object]]

    def links(self) -> Iterable[Link]:
        """The links that should have a socket."""

    def handle(self, link: Link, events: list[Event], now: float) -> None:
        """Take what a message meant."""

    def tick(self, now: float) -> None:
        """Do what is due; called before each sending."""

    def deadline(self) -> float:
        """When tick is to be called next, if nothing else happens."""

    def is_over(self, now: float) -> bool:
        """Whether nothing is left to send or to wait for."""


class Engine:
    """Runs a core on a thread of its own, from start until the core is over."""

    def __init__(self, core: Core, name: str) -> None:
        self.core = core
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)  # for who waits until the core's state allows something
        self.failure: BaseException | None = None  # a defect that ended the thread
        self._asleep = False
        self._waker, self._wakee = socket.socketpair()
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sockets: dict[Link, zmq.Socket[bytes]] = {}
        self._blocked: set[Link] = set()  # links whose socket takes nothing at present
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended."""
        self._thread.join(timeout)

    @property
    def on_thread(self) -> bool:
        """Whether the caller runs on the engine's thread."""
        return threading.current_thread() is self._thread

    def wake(self) -> None:
        """Have the engine look at its core; the caller may hold the lock, or be a handler of a signal."""
        if self._asleep:
            self._asleep = False
            self.interrupt()

    def interrupt(self) -> None:
        """Wake the engine whether it sleeps or not; safe in a handler of a signal."""
        try:
            self._waker.send(b"!")
        except OSError:  # full: it will wake; closed: it has ended
            pass

    def _main(self) -> None:
        try:
            self._poller.register(self._wakee.fileno(), zmq.POLLIN)
            self._run()
        except BaseException as e:  # a defect here must not leave callers waiting in silence
            log.exception("the I/O thread failed")
            with self.lock:
                self.failure = e
        finally:
            with self.lock:
                self.changed.notify_all()
            for each in self._sockets.values():
                each.close(_LINGER_MS)
            self._context.term()
            self._waker.close()
            self._wakee.close()

    def _run(self) -> None:
        core, lock, monotonic = self.core, self.lock, time.monotonic
        while True:
            with lock:
                now = monotonic()
                core.tick(now)
                self._sync()
                self._flush(now)
                over = core.is_over(now)
                wait = core.deadline() - monotonic()
                self._asleep = not core.effects
            self._perform()
            if over:
                return
            ready = self._poller.poll(int(max(0.0, min(wait, 3600.0)) * 1000) + 1 if self._asleep else 0)
            self._asleep = False
            now = monotonic()
            for source, what in ready:
                if isinstance(source, int):
                    self._drain_wakes()
                    continue
                link = self._link_of(source)
                if link is None:
                    continue
                if what & zmq.POLLOUT:
                    self._blocked.discard(link)
                    self._poller.register(source, zmq.POLLIN)
                if what & zmq.POLLIN:
                    self._receive(link, source, now)

    def _drain_wakes(self) -> None:
        try:
            while len(self._wakee.recv(4096)) == 4096:
                pass
        except OSError:
            pass

    def _perform(self) -> None:
        effects = self.core.effects
        while effects:
            effect = effects.popleft()
            try:
                effect()
            except Exception:
                log.exception("a callback failed")

    def _link_of(self, source: Any) -> Link | None:
        for link, each in self._sockets.items():
            if each is source:
                return link
        return None

    def _receive(self, link: Link, source: zmq.Socket[bytes], now: float) -> None:
        for _ in range(_BATCH):
            try:
                message = source.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            with self.lock:
                events = link.receive(message, now)
                if events:
                    self.core.handle(link, events, now)
            if self.core.effects:
                self._perform()

    def _flush(self, now: float) -> None:
        for link, target in self._sockets.items():
            if link in self._blocked:
                continue
            while link.has_message:
                message = link.next_message()
                if message is None:
                    break
                try:
                    target.send_multipart(message, zmq.NOBLOCK)
                except zmq.Again:
                    self._blocked.add(link)
                    self._poller.register(target, zmq.POLLIN | zmq.POLLOUT)
                    break
                link.sent(now)

    def _sync(self) -> None:
        """Have a socket for each link of the core, and for no other."""
        wanted = list(self.core.links())
        for link in [link for link in self._sockets if link not in wanted or link.redial]:
            self._blocked.discard(link)
            old = self._sockets.pop(link)
            self._poller.unregister(old)
            old.close(0 if link.redial else _LINGER_MS)
        for link in wanted:
            if link not in self._sockets:
                link.redial = False
                self._sockets[link] = self._dial(link)

    def _dial(self, link: Link) -> zmq.Socket[bytes]:
        new = self._context.socket(zmq.DEALER)
        new.setsockopt(zmq.IMMEDIATE, 1)
        new.setsockopt(zmq.LINGER, _LINGER_MS)
        new.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        new.setsockopt(zmq.RCVHWM, 0)
        new.setsockopt(zmq.RECONNECT_IVL, 100)
        new.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        if link.endpoint.startswith("tcp:"):
            new.setsockopt(zmq.TCP_MAXRT, int(link.timeout * 1000))  # a host that is gone says nothing
            if "[" in link.endpoint:
                new.setsockopt(zmq.IPV6, 1)
        new.connect(link.endpoint)
        self._poller.register(new, zmq.POLLIN)
        return new
