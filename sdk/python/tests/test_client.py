"""The client as a program sees it, over real sockets, with a broker in memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import threading
import unittest

import msgpack

import weft
from weft.errors import Code

from .broker import Broker


def upper(payload: bytes) -> bytes:
    if payload.startswith(b"bad"):
        raise ValueError(payload.decode())
    return payload.upper()


class ClientTest(unittest.TestCase):
    credit = 1000

    def setUp(self) -> None:
        self.broker = Broker(upper, self.credit)
        self.addCleanup(self.broker.stop)
        self.client = weft.connect(self.broker.endpoints[0], keep_scheme=True)
        self.addCleanup(self.client.close)
        self.session = self.client.open_session("upper")


class Calls(ClientTest):
    def test_call(self) -> None:
        self.assertEqual(self.session.call(b"hello", timeout=10), b"HELLO")
        self.assertEqual(self.session.call(bytearray(b"a" * 100_000)), b"A" * 100_000)
        with self.assertRaisesRegex(weft.TaskFailed, "bad luck"):
            self.session.call(b"bad luck")

    def test_submit(self) -> None:
        tasks = [self.session.submit(b"task %d" % i) for i in range(500)]
        done, pending = concurrent.futures.wait(tasks, 30)
        self.assertEqual((len(done), len(pending)), (500, 0))
        self.assertEqual([t.result() for t in tasks], [b"TASK %d" % i for i in range(500)])
        self.assertFalse(tasks[0].cancel())

    def test_await(self) -> None:
        async def run() -> list[bytes]:
            return await asyncio.gather(*(self.session.submit(b"%d" % i) for i in range(50)))

        self.assertEqual(asyncio.run(run()), [b"%d" % i for i in range(50)])

    def test_callbacks_come_once_and_their_exceptions_do_no_harm(self) -> None:
        got: list[bytes] = []
        done = threading.Event()

        def callback(result: weft.Result[bytes]) -> None:
            got.append(result.get())
            if len(got) == 300:
                done.set()
            if len(got) % 7 == 0:
                raise RuntimeError("of a callback")

        for i in range(300):
            self.session.submit(b"%d" % i, callback=callback)
        self.assertTrue(done.wait(30))
        self.session.close()
        self.assertEqual(sorted(got), sorted(b"%d" % i for i in range(300)))

    def test_results_are_consumed_when_their_callbacks_begin(self) -> None:
        began, go_on, done = threading.Event(), threading.Event(), threading.Event()
        left = [40]

        def callback(_: object) -> None:
            began.set()
            go_on.wait(30)
            left[0] -= 1
            if not left[0]:
                done.set()

        for _ in range(40):
            self.session.submit(bytes(100_000), callback=callback)
        self.assertTrue(began.wait(30))
        self.session.call(b"others go on meanwhile", timeout=30)
        self.assertEqual(self.broker.consumed, 0)
        go_on.set()
        self.assertTrue(done.wait(30))
        self.session.call(b"after CREDIT", timeout=30)
        self.assertGreater(self.broker.consumed, 2_000_000)

    def test_a_callback_gets_the_error(self) -> None:
        got: list[weft.Result[bytes]] = []
        done = threading.Event()
        self.session.submit(b"bad", callback=lambda r: (got.append(r), done.set()))
        self.assertTrue(done.wait(10))
        self.assertIsInstance(got[0].error, weft.TaskFailed)
        self.assertRaises(weft.TaskFailed, got[0].get)

    def test_map(self) -> None:
        self.assertEqual(list(self.session.map(b"%d" % i for i in range(3000))), [b"%d" % i for i in range(3000)])
        with self.assertRaises(weft.TaskFailed):
            list(self.session.map([b"a", b"bad", b"c"]))
        with self.assertRaises(ValueError):
            list(self.session.map([b"a"], window=0))

    def test_typed(self) -> None:
        self.broker.serve = lambda payload: msgpack.packb({"n": msgpack.unpackb(payload) + 1})
        method = self.session.method(dict[str, int])
        self.assertEqual(method(4), {"n": 5})
        self.assertEqual(list(method.map(range(3))), [{"n": 1}, {"n": 2}, {"n": 3}])
        done = threading.Event()
        method.submit(7, callback=lambda r: done.set() if r.get() == {"n": 8} else None)
        self.assertTrue(done.wait(10))
        with self.assertRaises(ValueError):
            self.session.method(int)(4)
        self.broker.serve = upper
        self.assertEqual(self.session.method(bytes)(b"as it is"), b"AS IT IS")

    def test_too_large(self) -> None:
        with self.assertRaises(weft.RequestError) as caught:
            self.session.submit(bytes((1 << 24) + 1))
        self.assertEqual(caught.exception.code, Code.PAYLOAD_TOO_LARGE)
        with self.assertRaises(weft.RequestError):
            self.client.open_session("upper", parameters=bytes(1 << 20))
        self.assertEqual(self.session.call(b"on"), b"ON")

    def test_what_is_not_bytes(self) -> None:
        for data in (5, "text", None, [1]):
            with self.assertRaises(TypeError):
                self.session.submit(data)  # type: ignore[call-overload]

    def test_a_call_that_takes_too_long(self) -> None:
        self.broker.hold = True
        self.assertRaises(concurrent.futures.TimeoutError, self.session.call, b"x", timeout=0.05)
        self.broker.hold = False



class Forks(ClientTest):
    def test_a_child_of_fork_is_refused(self) -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # ends it where it waits for ever
            for act in (
                lambda: self.session.call(b"a"),
                lambda: self.client.open_session("upper"),
                lambda: list(self.client.services()),
                self.session.close,
            ):
                try:
                    act()
                except weft.WeftError as e:
                    os.write(write, b"refused\n" if "after a fork" in str(e) else b"strange\n")
            self.client.close()
            os._exit(7)
        os.close(write)
        with os.fdopen(read) as said:
            self.assertEqual(said.read().split(), ["refused"] * 4)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 7)
        self.assertEqual(self.session.call(b"hello", timeout=10), b"HELLO")

class BackPressure(ClientTest):
    credit = 10

    def test_submit_waits_for_credit(self) -> None:
        tasks = [self.session.submit(b"x") for _ in range(500)]
        self.assertEqual({t.result(30) for t in tasks}, {b"X"})
        self.assertLessEqual(self.broker.most, 10)
        self.assertEqual(self.broker.tasks, list(range(1, 501)))

    def test_a_callback_may_submit_without_waiting(self) -> None:
        done = threading.Event()
        count = [0]

        def callback(_: object) -> None:
            count[0] += 1
            if count[0] == 1:
                for _ in range(100):
                    self.session.submit(b"x", callback=callback)
            if count[0] == 101:
                done.set()

        self.session.submit(b"first", callback=callback)
        self.assertTrue(done.wait(30))
        self.assertLessEqual(self.broker.most, 10)

    def test_the_end_of_the_session_wakes_who_waits_for_credit(self) -> None:
        self.broker.hold = True
        failed = []

        def fill() -> None:
            try:
                for _ in range(100):
                    self.session.submit(b"x")
            except weft.SessionClosed as e:
                failed.append(e)

        thread = threading.Thread(target=fill)
        thread.start()
        self.session.kill()
        thread.join(30)
        self.assertEqual(len(failed), 1)


class Endings(ClientTest):
    def test_close_waits_for_the_tasks(self) -> None:
        tasks = [self.session.submit(b"x") for _ in range(100)]
        self.session.close()
        self.assertTrue(all(t.done() for t in tasks))
        self.assertTrue(self.session.is_over)
        self.assertIsNone(self.session.error)
        self.session.close()
        with self.assertRaises(weft.SessionClosed):
            self.session.submit(b"x")

    def test_kill(self) -> None:
        self.broker.hold = True
        task = self.session.submit(b"x")
        self.session.kill("enough")
        with self.assertRaises(weft.SessionClosed) as caught:
            task.result(10)
        self.assertEqual(caught.exception.code, Code.SESSION_KILLED)
        self.session.kill()

    def test_blocks(self) -> None:
        with self.client.open_session("upper") as session:
            task = session.submit(b"x")
        self.assertEqual(task.result(0), b"X")
        self.broker.hold = True
        with self.assertRaises(KeyError), self.client.open_session("upper") as session:
            task = session.submit(b"x")
            raise KeyError
        with self.assertRaises(weft.SessionClosed):
            task.result(0)

    def test_a_client_that_is_closed(self) -> None:
        self.broker.hold = True
        task = self.session.submit(b"x")
        self.client.close()
        self.client.close()
        for late in (lambda: task.result(10), lambda: self.session.submit(b"x"), lambda: self.client.open_session("x"),
                     lambda: list(self.client.nodes())):  # fmt: skip
            with self.assertRaises(weft.StateError) as caught:
                late()
            self.assertEqual(caught.exception.code, Code.CLOSED)
        self.assertFalse([t for t in threading.enumerate() if t.name.startswith("weft-")])

    def test_lists_and_refusals(self) -> None:
        self.assertEqual([n["name"] for n in self.client.nodes()], ["a", "b"])
        with self.assertRaisesRegex(weft.UnknownService, "not registered"):
            self.client.open_session("none")

    def test_nobody_answers(self) -> None:
        with self.assertRaises(weft.AvailabilityError) as caught:
            weft.connect("tcp://127.0.0.1:1", timeout=0.2)
        self.assertTrue(caught.exception.retryable)


if __name__ == "__main__":
    unittest.main()
