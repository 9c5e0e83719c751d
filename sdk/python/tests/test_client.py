"""The client as a program sees it, over real sockets, with a broker in memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import threading
import time
import unittest

import msgpack

import weft
from weft.client import _ahead
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
        self.assertEqual(tasks[0].result(), b"TASK 0")

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
        self.session.call(b"first", timeout=30)  # from now on tasks leave at once
        self.broker.hold = True
        with self.assertRaises(weft.Indeterminate) as caught:
            self.session.call(b"x", timeout=0.05)
        self.assertIsInstance(caught.exception, TimeoutError)
        end = time.monotonic() + 30
        while self.broker.cancels != [2] and time.monotonic() < end:  # it leaves after the call has returned
            time.sleep(0.001)
        self.broker.hold = False
        self.assertEqual(self.session.call(b"on", timeout=30), b"ON")
        self.assertEqual(self.broker.cancels, [2])
        self.assertEqual(self.broker.tasks, [1, 3])


class Promises(ClientTest):
    def setUp(self) -> None:
        super().setUp()
        self.session.call(b"first", timeout=30)  # from now on tasks leave at once

    def test_a_refused_task_is_sent_again(self) -> None:
        self.broker.refuse = 5
        self.assertEqual(list(self.session.map(b"%d" % i for i in range(4))), [b"0", b"1", b"2", b"3"])
        self.assertEqual(sorted(self.broker.tasks), [1, 2, 3, 4, 5])

    def test_cancel(self) -> None:
        self.broker.hold = True
        a, b = self.session.submit(b"a"), self.session.submit(b"b")
        self.assertTrue(a.cancel())
        self.assertTrue(a.cancel())
        self.assertTrue(a.cancelled())
        self.assertEqual(concurrent.futures.wait([a], 10).not_done, set())
        self.assertRaises(concurrent.futures.CancelledError, a.result)
        self.assertTrue(a.wait_stopped(30))
        self.broker.hold = False
        self.assertEqual(b.result(30), b"B")
        self.assertEqual((self.broker.cancels, self.broker.tasks), ([2], [1, 3]))
        self.session.close(30)

    def test_a_task_that_goes_on_after_its_cancel(self) -> None:
        self.broker.hold, self.broker.obey = True, False
        task = self.session.submit(b"a")
        task.cancel()
        self.assertFalse(task.wait_stopped(0.05))
        self.broker.hold = False
        self.assertTrue(task.wait_stopped(30))
        self.assertTrue(task.cancelled())

    def test_an_await_that_is_cancelled_cancels_the_task(self) -> None:
        self.broker.hold = True

        async def run() -> None:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.wrap_future(self.session.submit(b"x")), 0.05)

        asyncio.run(run())
        self.broker.hold = False
        self.session.call(b"on", timeout=30)
        self.assertEqual(self.broker.cancels, [2])

    def test_cancel_all(self) -> None:
        self.broker.hold = True
        tasks = [self.session.submit(b"a") for _ in range(20)]
        self.session.cancel_all(30)
        for task in tasks:
            self.assertRaises(weft.Cancelled, task.result, 30)
        self.session.cancel_all(30)
        self.broker.hold = False
        self.assertEqual(self.session.call(b"on", timeout=30), b"ON")

    def test_map_cancels_what_nobody_waits_for(self) -> None:
        for fails in (False, True):
            tasks: list[concurrent.futures.Future[int]] = []

            def submit(value: int) -> "concurrent.futures.Future[int]":
                tasks.append(concurrent.futures.Future())
                if value == 2 and fails:
                    tasks[0].set_exception(KeyError())
                elif value == 2:
                    tasks[0].set_result(0)
                return tasks[-1]

            results = _ahead(iter(range(5)), submit, 3)  # type: ignore[arg-type]
            if fails:
                self.assertRaises(KeyError, next, results)
            else:
                self.assertEqual(next(results), 0)
                results.close()  # type: ignore[attr-defined]
            self.assertEqual([task.cancelled() for task in tasks], [False, True, True])

    def test_options(self) -> None:
        self.session.call(b"x", timeout=100, run_limit=2, priority=-3, retry=weft.RetryPolicy(2, 3, 0.5, 4))
        said = self.broker.options[-1]
        self.assertGreater(said.pop(1), 90_000_000)
        self.assertEqual(said, {2: 2_000_000, 3: 125, 4: 2, 5: 3, 6: 500_000, 7: 4_000_000})
        self.session.method(bytes)(b"x", priority=1)
        self.assertEqual(self.broker.options[-1], {3: 129})
        self.assertEqual(list(self.session.map([b"x"], priority=2)), [b"X"])
        self.assertEqual(self.broker.options[-1], {3: 130})
        for bad in ({"timeout": 0}, {"run_limit": -1}, {"priority": 128}, {"retry": weft.RetryPolicy(on=["TaskFailed"])},
                    {"timeout": float("nan")}):  # fmt: skip
            with self.assertRaises(ValueError):
                self.session.call(b"x", **bad)  # type: ignore[arg-type]
        for wrong in ({"attempts": 0}, {"host_losses": 201}, {"backoff": 0}):
            with self.assertRaises(ValueError):
                weft.RetryPolicy(**wrong)  # type: ignore[arg-type]

    def test_options_of_sessions(self) -> None:
        session = self.client.open_session(
            "upper", retry=weft.RetryPolicy(2, backoff=0.25, on=["TaskFailed"]), task_timeout=0.05, run_limit=5, idle=60,
            lifetime=3600, disconnect="keep", grace=1,
        )  # fmt: skip
        opened = self.broker.opened[-1]
        del opened["key"]
        self.assertEqual(
            opened,
            {"service": "upper", "retry": {"attempts": 2, "backoff": "0.25s", "on": ["TaskFailed"]}, "timeout": 50_000_000,
             "run": 5 * 10**9, "idle": 60 * 10**9, "lifetime": 3600 * 10**9, "disconnect": "keep", "grace": 10**9},
        )  # fmt: skip
        self.broker.hold = True
        with self.assertRaises(TimeoutError):
            session.call(b"x")
        with self.assertRaises(ValueError):
            self.client.open_session("upper", disconnect="stay")

    def test_what_a_task_says(self) -> None:
        heard: list[object] = []
        self.assertEqual(
            self.session.call(b"tell a b c", timeout=30, on_progress=heard.append, on_part=heard.append), b"A B C"
        )
        self.assertEqual([p.data for p in heard if isinstance(p, weft.Part)], [b"a", b"b", b"c"])
        self.assertEqual(heard[0], weft.Progress(0.0, "a", 1))
        self.assertEqual(heard[1], weft.Part(b"a", 0, 1))
        done = threading.Event()

        def end(result: weft.Result[bytes]) -> None:
            heard.append(result.get())
            done.set()

        heard.clear()
        self.session.submit(b"tell d e", callback=end, on_part=heard.append)
        self.assertTrue(done.wait(30))
        self.assertEqual(heard, [weft.Part(b"d", 0, 1), weft.Part(b"e", 1, 1), b"D E"])
        self.assertEqual(self.session.call(b"tell nobody", timeout=30), b"NOBODY")

    def test_a_callback_cannot_wait_for_callbacks(self) -> None:
        got: list[BaseException] = []
        done = threading.Event()

        def callback(_: object) -> None:
            try:
                self.session.call(b"tell x", on_part=print)
            except weft.RequestError as e:
                got.append(e)
            done.set()

        self.session.submit(b"x", callback=callback)
        self.assertTrue(done.wait(30))
        self.assertEqual(len(got), 1)



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

    def test_submit_waits_no_longer_than_its_time(self) -> None:
        self.broker.hold = True
        tasks = [self.session.submit(b"x") for _ in range(10)]
        with self.assertRaisesRegex(weft.DeadlineExceeded, "never sent"):
            self.session.submit(b"x", timeout=0.05)
        self.broker.hold = False
        self.assertEqual({t.result(30) for t in tasks}, {b"X"})

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
