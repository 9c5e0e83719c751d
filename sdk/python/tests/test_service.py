"""Services without a fabric: typed functions, what a session keeps, what becomes of exceptions."""

from __future__ import annotations

import subprocess
import sys
import time
import unittest
from dataclasses import dataclass
from typing import Any

import msgpack

import weft
from weft import service, wire
from weft.instancecore import Binding, Hook, Job


def task(payload: bytes, more: bytes = b"") -> weft.TaskContext:
    binding = Binding(7, "eod", parameters=b"EUR")
    return weft.TaskContext(Job(Hook.EXEC, binding, 1, payload, more), weft.SessionContext(binding))


@dataclass
class Trade:
    symbol: str
    days: int = 1


@weft.function
def price(trade: Trade) -> dict[str, int]:
    return {trade.symbol: 100 * trade.days}


def upper(data: bytes) -> bytes:
    return data.upper()


class Functions(unittest.TestCase):
    def test_values_travel_as_msgpack(self) -> None:
        self.assertEqual(msgpack.unpackb(price.on_task_exec(task(msgpack.packb({"symbol": "X", "days": 3})))), {"X": 300})
        self.assertEqual(price(Trade("Y")), {"Y": 100})

    def test_bytes_travel_as_they_are(self) -> None:
        self.assertEqual(weft.Function(upper).on_task_exec(task(b"as is")), b"AS IS")

    def test_a_payload_of_another_type_is_never_tried_again(self) -> None:
        for payload in (b"\xc1", msgpack.packb({"days": 3}), msgpack.packb("X")):
            with self.assertRaises(weft.Permanent):
                price.on_task_exec(task(payload))

    def test_a_key_that_is_not_known_is_refused(self) -> None:
        with self.assertRaisesRegex(weft.RequestError, "'symbl': Trade has the keys symbol, days: did you mean 'symbol'") as caught:
            price.on_task_exec(task(msgpack.packb({"symbl": "X"})))
        self.assertEqual(caught.exception.code, weft.Code.INTERFACE)

    def test_what_is_no_function_of_one_value(self) -> None:
        with self.assertRaises(TypeError):
            weft.function(lambda a, b: None)


class Contexts(unittest.TestCase):
    def test_a_task(self) -> None:
        t = task(b"x", msgpack.packb({1: 5 << 24, 2: 3}))
        self.assertEqual((t.payload, t.id, t.attempt, t.cancelled), (b"x", 5 << 24, 3, False))
        self.assertEqual((t.session.number, t.session.name, t.session.parameters), (7, "eod", b"EUR"))
        self.assertEqual((task(b"x", b"\xc1").id, task(b"x").attempt), (0, 1))

    def test_cancelled(self) -> None:
        t = task(b"x")
        self.assertFalse(t.wait_cancelled(0))
        t.raise_if_cancelled()
        t._job.cancel(weft.Cancelled(202, "enough"))
        self.assertTrue(t.wait_cancelled(60))
        self.assertTrue(t.cancelled)
        self.assertIs(t.cause, t._job.cause)
        self.assertRaises(weft.Cancelled, t.raise_if_cancelled)

    def test_what_a_session_cannot_keep(self) -> None:
        s = task(b"").session
        for code, key, value in ((100, "", b""), (100, "k" * 257, b""), (103, "k", bytes(service.MAX_VALUE + 1)), (400, "k", b"")):
            with self.assertRaises(weft.WeftError) as caught:
                s.put(key, value)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(TypeError):
            s.put("k", "text")  # type: ignore[arg-type]

    def test_what_remains_of_the_time(self) -> None:
        self.assertIsNone(task(b"x", msgpack.packb(1 << 24)).remaining)
        t = task(b"x", msgpack.packb({1: 1 << 24, 3: 5_000_000, 4: 90_000_000}))
        t._job.arrived = time.monotonic()
        self.assertTrue(4 < (t.remaining or 0) <= 5)
        t = task(b"x", msgpack.packb({1: 1 << 24, 4: 50_000_000}))
        self.assertTrue(49 < (t.remaining or 0) <= 50)

    def test_a_function_finds_its_task(self) -> None:
        attempts = weft.function(lambda value: weft.current_task().attempt)
        self.assertEqual(attempts.on_task_exec(task(msgpack.packb(0), msgpack.packb({1: 1, 2: 3}))), b"\x03")
        self.assertRaises(RuntimeError, weft.current_task)


class Failures(unittest.TestCase):
    def body(self, e: BaseException) -> dict[str, Any]:
        try:
            raise e
        except BaseException as caught:
            body = service._failure(caught)
        self.assertEqual(wire.unpack_body(wire.pack_body(body)), body)
        return body

    def test_bodies(self) -> None:
        e = self.body(KeyError("k"))
        self.assertEqual((e["code"], e["op"], "retry" in e), (500, "on_task_exec", False))
        self.assertIn("Traceback", e["msg"])
        self.assertEqual(self.body(weft.Retry("soon")), {"code": 500, "op": "on_task_exec", "msg": "soon", "retry": 1})
        self.assertEqual(self.body(weft.Permanent("no"))["retry"], 2)
        self.assertEqual(self.body(weft.Retry("later", after=2.5))["retry_after"], 2_500_000_000)
        self.assertEqual(self.body(weft.CapacityError(301, "none"))["code"], 301)
        full = self.body(weft.CapacityError(300, "full"))  # not as if the manager had not taken the task
        self.assertEqual((full["code"], full["msg"]), (500, "full [OVERLOADED]"))
        self.assertEqual(self.body(KeyboardInterrupt())["code"], 501)
        self.assertLess(len(self.body(ValueError("x" * 1_000_000))["msg"]), 200_000)

    def test_a_cause_is_told(self) -> None:
        try:
            try:
                raise ValueError("deep down")
            except ValueError as cause:
                raise weft.Permanent("not possible") from cause
        except weft.Permanent as e:
            self.assertIn("deep down", service._failure(e)["msg"])


class Packages(unittest.TestCase):
    def test_what_is_missing_is_said(self) -> None:
        for name in ("zmq", "msgpack"):
            code = f"import sys; sys.modules[{name!r}] = None; import weft"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            self.assertIn(f"weft needs pyzmq and msgpack (import of {name} halted", done.stderr)


if __name__ == "__main__":
    unittest.main()
