#!/usr/bin/python3
"""The service verbs in Python: its tasks say what it shall do, a verb, a blank, the rest."""

import multiprocessing
import os
import sys
import time
import traceback

import weft

JOURNAL = os.environ.get("E2E_FILE", "")


def write(what: str) -> None:
    if JOURNAL:
        with open(JOURNAL, "a", encoding="utf-8") as f:
            f.write(f"{os.getpid()} {what}\n")


class Verbs(weft.Service):
    def on_create_service(self, service: weft.ServiceContext) -> None:
        if why := os.environ.get("E2E_BROKEN"):
            raise RuntimeError(why)
        write(f"create {service.service}")

    def on_session_bind(self, session: weft.SessionContext) -> None:
        if session.parameters.startswith(b"refuse "):
            raise ValueError(session.parameters[7:].decode())
        write(f"bind {session.number}")

    def on_session_unbind(self, session: weft.SessionContext) -> None:
        write(f"unbind {session.number}")

    def on_destroy_service(self, service: weft.ServiceContext) -> None:
        write("destroy")

    def on_task_exec(self, task: weft.TaskContext) -> bytes:
        verb, _, rest = task.payload.partition(b" ")
        if verb == b"id":
            return rest
        if verb == b"sleep":  # sleep 1ms REST
            long, _, rest = rest.partition(b" ")
            time.sleep(float(long.removesuffix(b"ms")) / 1000)
            return rest
        if verb == b"echo":
            return rest
        if verb == b"block":
            write(f"block {task.session.number}")
            task.wait_cancelled()
            write(f"cancelled {task.session.number}")
            task.raise_if_cancelled()
        if verb == b"once":  # hangs in its first attempt
            if task.attempt == 1:
                write("once")
                time.sleep(600)
            return str(task.attempt).encode()
        if verb == b"busy":  # computes without a pause, so that nothing but the I/O thread can speak
            write("busy")
            end = time.monotonic() + float(rest)
            while time.monotonic() < end:
                pass
            return b"done"
        if verb == b"retry":
            if task.attempt < int(rest):
                raise weft.Retry(f"attempt {task.attempt}")
            return str(task.attempt).encode()
        if verb == b"permanent":
            raise weft.Permanent(rest.decode())
        if verb == b"raise":
            raise KeyError(rest.decode())
        if verb == b"exit":
            sys.exit(3)
        if verb == b"interrupt":
            raise KeyboardInterrupt(rest.decode())
        if verb == b"pid":
            return str(os.getpid()).encode()
        if verb == b"fork":  # and end by SIGTERM what was forked
            fork = multiprocessing.get_context("fork")
            children = [fork.Process(target=time.sleep, args=(600,)) for _ in range(50)]
            for child in children:
                child.start()
                child.terminate()  # it may not even run yet
            for child in children:
                child.join(10)
            ended = {child.exitcode for child in children}
            for child in children:
                child.kill()
            return str(ended).encode()
        if verb == b"put":
            key, _, value = rest.partition(b" ")
            task.session.put(key.decode(), value)
            return b""
        if verb == b"delete":
            task.session.delete(rest.decode())
            return b""
        if verb == b"tell":  # tell N SIZE: parts that bear their numbers, and how far it has come
            n, _, size = rest.partition(b" ")
            for i in range(int(n)):
                task.emit((b"%d " % i).ljust(int(size), b"x"))
                task.progress(100 * (i + 1) / int(n), f"part {i}")
            return n
        if verb == b"flow":  # emits until it is cancelled, and writes how it was told
            try:
                while True:
                    task.emit(bytes(10_000))
            except weft.WeftError as e:
                write(f"flow {e.name} {task.cancelled}")
                raise
        if verb == b"stuck":  # whatever becomes of it
            write("stuck")
            time.sleep(3600)
        if verb == b"full":  # says that it is overloaded, which is no word of the manager
            raise weft.CapacityError(weft.Code.OVERLOADED, "the disk is full")
        if verb == b"later":
            if task.attempt < 2:
                raise weft.Retry("not yet", after=float(rest))
            return b"%d" % task.attempt
        if verb == b"get":
            return task.session.get(rest.decode()) or b""
        if verb == b"parameters":
            return task.session.parameters
        raise weft.Permanent(f"there is no verb {verb!r}")


if __name__ == "__main__":
    try:
        weft.serve(Verbs())
    except Exception:
        traceback.print_exc()
        sys.exit(1)
