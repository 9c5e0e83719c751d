"""How hooks talk to the manager while they run: they wait where it has to answer, and nothing else does."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Optional

from . import errors, wire
from .engine import Engine
from .errors import Code
from .instancecore import Binding, InstanceCore, Job, Phase


class Talk:
    """Joins hooks, on whatever thread, with the core and its engine."""

    def __init__(self, core: InstanceCore, engine: Engine) -> None:
        self._core, self._engine = core, engine

    def _wait(self, holds: Callable[[], bool], timeout: Optional[float], what: str) -> None:
        """Wait, with the engine's lock held, until something holds."""
        core, engine = self._core, self._engine

        def done() -> bool:
            return holds() or engine.failure is not None or core.phase is Phase.ENDED

        if not engine.changed.wait_for(done, timeout):
            raise TimeoutError(f"{what}: the manager has not answered within {timeout} s")
        if not holds():
            raise errors.error(Code.UNAVAILABLE, "the instance is over", what)

    def ask(
        self, binding: Binding, kind: int, body: Mapping[str, Any], what: str, timeout: Optional[float]
    ) -> Mapping[str, Any]:
        """Ask the manager about the data of a session, and wait for the answer."""
        requests = self._core.requests
        with self._engine.lock:
            number = self._core.ask(binding, kind, body)
            self._engine.wake()
            try:
                self._wait(lambda: number in requests.answers, timeout, what)
                answer = requests.answers[number]
            finally:
                requests.forget(number)
        if answer.error is not None:
            raise answer.error
        return answer.body

    def emit(self, job: Job, data: bytes, timeout: Optional[float]) -> None:
        """Send a part of a task's result, when its window has room."""
        core = self._core
        with self._engine.lock:
            most = min(wire.MAX_PARTIAL, core.max_payload)
            if len(data) > most:
                why = f"a part of {len(data)} bytes; at most {most} are allowed: divide it, or return it as the result"
                raise errors.error(Code.PAYLOAD_TOO_LARGE, why, "emit")
            if core.is_full(job) and not job.cancelled:
                self._wait(lambda: job.cancelled or not core.is_full(job), timeout, "emit")
            if job.cancelled:
                raise job.cause or errors.error(Code.CANCELLED, "the task was cancelled", "emit")
            core.emit(job, data)
            self._engine.wake()

    def progress(self, job: Job, percent: float, text: str) -> None:
        """Tell how far a task has come; waits for nothing."""
        with self._engine.lock:
            if self._core.progress(job, percent, text, time.monotonic()):
                self._engine.wake()
