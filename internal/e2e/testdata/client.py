#!/usr/bin/python3
"""A client in Python. It does what its first argument says, tells of it line by line, and fails if anything is wrong."""

import collections
import hashlib
import sys
import threading
from typing import Callable

import weft


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


def main() -> None:
    what, endpoint, service, n = sys.argv[1:]
    with weft.connect(endpoint, name="python", keep_scheme=True, timeout=60) as client:
        with client.open_session(service, parameters=b"EUR", timeout=60) as session:
            {"tally": tally, "large": large, "surface": surface, "block": block, "kill": kill}[what](session, int(n))
    say("ok")


if __name__ == "__main__":
    main()
