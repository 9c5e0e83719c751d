#!/usr/bin/python3
"""A client in Python. It does what its first argument says, tells of it line by line, and fails if anything is wrong."""

import collections
import hashlib
import sys
import threading
from typing import Any, Callable

import weft
from weft.clienttasks import Tasks


def say(what: object) -> None:
    print(what, flush=True)


class Tally:
    """Submits tasks whose results are their numbers, in all the ways there are, and counts what comes of each."""

    def __init__(self, session: weft.Session, n: int, make: Callable[[int], bytes]) -> None:
        self.n = n
        self.seen: collections.Counter[int] = collections.Counter()
        self.wrong: list[str] = []
        self.lock = threading.Lock()
        self.all_done = threading.Event()
        for i in range(n):
            if i % 3:
                session.submit(make(i), callback=lambda r, i=i: self.take(i, r))
            else:
                task = session.submit(make(i))
                task.add_done_callback(lambda t, i=i: self.take(i, weft.Result(None, t.exception()) if t.exception() else
                                                                weft.Result(t.result(), None)))

    def take(self, i: int, result: "weft.Result[bytes]") -> None:
        with self.lock:
            self.seen[i] += 1
            try:
                if result.get() != str(i).encode():
                    self.wrong.append(f"task {i} is answered by {result.get()!r}")
            except weft.WeftError as e:
                self.wrong.append(f"task {i}: {e}")
            if self.seen.total() in (20, self.n // 2):
                say(f"answered {self.seen.total()}")
            if self.seen.total() == self.n:
                self.all_done.set()

    def wait(self) -> None:
        done = self.all_done.wait(60)
        with self.lock:
            twice = [i for i, times in self.seen.items() if times > 1]
            if not done or self.wrong or twice or len(self.seen) != self.n:
                sys.exit(f"{len(self.seen)} of {self.n} tasks are answered, {twice} twice; {self.wrong[:5]}")


def tally(session: weft.Session, n: int) -> None:
    y = Tally(session, n, lambda i: b"sleep 1ms %d" % i)
    say("submitted")
    y.wait()
    if session.call(b"id still", timeout=30) != b"still":
        sys.exit("the session does not go on")


def large(session: weft.Session, n: int) -> None:
    for i in range(n):
        data = hashlib.shake_256(b"%d" % i).digest((1 << 20) + i)
        if session.call(b"echo " + data, timeout=60) != data:
            sys.exit(f"payload {i} came back wrong")
    tasks = [session.submit(b"echo " + bytes([i]) * 1_000_000) for i in range(8)]
    for i, task in enumerate(tasks):
        if task.result(60) != bytes([i]) * 1_000_000:
            sys.exit(f"payload {i} of several at once came back wrong")


def surface(session: weft.Session, n: int) -> None:
    """The rest of what a session does."""
    if list(session.map(b"id %d" % i for i in range(n))) != [b"%d" % i for i in range(n)]:
        sys.exit("map gives wrong results")
    try:
        session.call(b"fail on purpose", timeout=30)
        sys.exit("a task that fails does not")
    except weft.TaskFailed as e:
        if "on purpose" not in e.message:
            sys.exit(f"the error is {e!r}")
    if session.call(b"parameters", timeout=30) != b"EUR":
        sys.exit("the parameters are wrong")
    late = session.submit(b"sleep 50ms late")
    session.close(timeout=30)
    if late.result(0) != b"late":
        sys.exit("close does not wait for tasks")


def block(session: weft.Session, n: int) -> None:
    """Have tasks block, to be killed: by another, or with the session."""
    tasks = [session.submit(b"block") for _ in range(n)]
    say("blocked")
    for task in tasks:
        try:
            task.result(60)
            sys.exit("a task that blocks ends")
        except weft.SessionClosed as e:
            if e.code != weft.Code.SESSION_KILLED:
                sys.exit(f"the error is {e!r}")


def kill(session: weft.Session, n: int) -> None:
    threading.Timer(0.3, session.kill, ["enough"]).start()
    block(session, n)


def promises(session: weft.Session, n: int) -> None:
    """Times, priorities, retries and cancels, of a service with one instance of one slot."""
    expect(weft.DeadlineExceeded, lambda: session.call(b"block", run_limit=0.2, timeout=60))
    block = session.submit(b"block", run_limit=3600)
    try:
        session.call(b"id late", timeout=0.3)
        sys.exit("a task that waits for too long has a result")
    except (weft.DeadlineExceeded, weft.Indeterminate) as e:
        if not isinstance(e, TimeoutError):
            sys.exit(f"{e!r} is no TimeoutError")
    session.submit(b"id ahead")  # it waits behind the first at the instance, the others at their session manager
    order: list[str] = []
    done = threading.Event()
    for i, priority in enumerate((0, -1, 7, 0)):
        session.submit(b"id %d" % i, priority=priority,
                       callback=lambda r: (order.append(r.get().decode()), len(order) == 4 and done.set()))
    if not block.cancel() or not block.cancelled():
        sys.exit("a task cannot be cancelled")
    if not done.wait(60) or order != ["2", "0", "3", "1"]:
        sys.exit(f"tasks of several priorities end in the order {order}")
    if not block.wait_stopped(60):
        sys.exit("a task that was cancelled does not stop")
    expect(weft.ServiceError, lambda: session.call(b"retry 5", retry=weft.RetryPolicy(attempts=2, backoff=0.01)))
    if session.call(b"retry 5", retry=weft.RetryPolicy(attempts=5, backoff=0.01)) != b"5":
        sys.exit("a task is not run often enough")
    tasks = [session.submit(b"block") for _ in range(n)]
    session.cancel_all(60)
    for task in tasks:
        expect(weft.Cancelled, lambda: task.result(60))
    if session.call(b"id on", timeout=60) != b"on":
        sys.exit("the session does not go on")


def words(session: weft.Session, n: int) -> None:
    """Hear what a task says, of a service in Python."""
    parts: list[weft.Part] = []
    progress: list[weft.Progress] = []
    if session.call(b"tell %d 5000" % n, on_part=parts.append, on_progress=progress.append, timeout=60) != b"%d" % n:
        sys.exit("the result of a task that tells is wrong")
    if [(p.number, p.attempt, int(p.data.split()[0])) for p in parts] != [(i, 1, i) for i in range(n)]:
        sys.exit(f"{len(parts)} parts: {parts[:3]}")
    if not progress or progress[-1].percent != 100 or progress[-1].text != f"part {n - 1}":
        sys.exit(f"progress is {progress[-1:]}")


def refused(session: weft.Session, n: int) -> None:
    """Submit more than the broker has memory for."""
    later, times = Tasks._later, [0]

    def count(self: Tasks, entry: Any, why: weft.WeftError) -> None:
        times[0] += 1
        later(self, entry, why)

    Tasks._later = count  # type: ignore[method-assign]
    first = session.submit(b"sleep 1s ")
    sessions = [session] + [session._client.open_session(session.service) for _ in range(7)]
    tasks = [sessions[i % 8].submit(b"id x".ljust(60_000)) for i in range(n)]
    for task in tasks:
        if task.result(120) != b"x".ljust(59_997):
            sys.exit("a result is wrong")
    first.result(60)
    if not times[0]:
        sys.exit("no task was refused: the test shows nothing")


def expect(kind: type[weft.WeftError], act: Callable[[], object]) -> None:
    try:
        act()
    except kind:
        return
    sys.exit(f"there is no {kind.__name__}")


def main() -> None:
    what, endpoint, service, n = sys.argv[1:]
    with weft.connect(endpoint, name="python", keep_scheme=True, timeout=60) as client:
        with client.open_session(service, parameters=b"EUR", timeout=60) as session:
            {"tally": tally, "large": large, "surface": surface, "block": block, "kill": kill,
             "promises": promises, "words": words, "refused": refused}[what](session, int(n))
    say("ok")


if __name__ == "__main__":
    main()
