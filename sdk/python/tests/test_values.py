"""Small things: endpoints, identities, errors, typed values."""

from __future__ import annotations

import os
import unittest
from dataclasses import dataclass, field
from typing import Any, Optional, Union
from unittest import mock

import msgpack

from weft import endpoints, errors, identity, typed, wire


class Endpoints(unittest.TestCase):
    def test_what_may_be_left_out(self) -> None:
        for given, full in {
            "h": "tcp://h:7700",
            "h:1": "tcp://h:1",
            "tcp://h": "tcp://h:7700",
            " tcp://10.0.0.1:7700 ": "tcp://10.0.0.1:7700",
            "tcp://[::1]": "tcp://[::1]:7700",
            "[::1]:5": "tcp://[::1]:5",
            "ipc:///tmp/x/control": "ipc:///tmp/x/control",
        }.items():
            self.assertEqual(endpoints.complete(given), full)

    def test_what_is_none(self) -> None:
        for bad in ("", "udp://h:1", "tcp://h:0", "tcp://h:99999", "tcp://h:x", "tcp://:5", "ipc://x", "tcp://[::1]x"):
            with self.subTest(bad), self.assertRaises(ValueError):
                endpoints.complete(bad)

    def test_several(self) -> None:
        self.assertEqual(endpoints.several("a,b:1"), ["tcp://a:7700", "tcp://b:1"])
        self.assertEqual(endpoints.several(["a"]), ["tcp://a:7700"])
        with mock.patch.dict(os.environ, {"WEFT_BROKER": "tcp://b:9"}):
            self.assertEqual(endpoints.several(None), ["tcp://b:9"])
        with mock.patch.dict(os.environ, clear=True):
            self.assertEqual(endpoints.several(None), ["tcp://127.0.0.1:7700"])
        with self.assertRaises(ValueError):
            endpoints.several([])

    def test_this_host(self) -> None:
        self.assertRegex(endpoints.host(), "^[0-9a-f]{32}$")
        self.assertEqual(endpoints.host(), endpoints.host())


class Identities(unittest.TestCase):
    whole = {"container": "c-1", "service": "price", "version": "2", "token": "5f", "node": "a", "endpoints": ["h:5"],
             "slots": 3, "sessions": 4, "keeps_scheme": True, "later": 1}  # fmt: skip

    def test_inherited_once(self) -> None:
        read, write = os.pipe()
        os.write(write, msgpack.packb(self.whole))
        os.close(write)
        with mock.patch.dict(os.environ, {"WEFT_IDENTITY_FD": str(read)}):
            who = identity.inherited()
            self.assertEqual(
                who, identity.Identity("price", ["tcp://h:5"], "2", "c-1", "5f", "a", 3, 4, True)
            )
            self.assertNotIn("5f'", repr(who))
            self.assertIsNone(identity.inherited())
        with self.assertRaises(OSError):
            os.fstat(read)

    def test_bad_ones(self) -> None:
        for change in ({"endpoints": []}, {"endpoints": "h"}, {"service": ""}, {"slots": "many"}, {"endpoints": ["udp://h"]}):
            with self.subTest(change), self.assertRaises(ValueError):
                identity.parse(msgpack.packb({**self.whole, **change}))
        for bad in ("2", "x"):
            with mock.patch.dict(os.environ, {"WEFT_IDENTITY_FD": bad}), self.assertRaises(ValueError):
                identity.inherited()

    def test_by_hand(self) -> None:
        with mock.patch.dict(os.environ, {"WEFT_SERVICE": "s", "WEFT_BROKER": "h:1"}):
            self.assertEqual(identity.by_hand(None, None), identity.Identity("s", ["tcp://h:1"]))
        with mock.patch.dict(os.environ, clear=True), self.assertRaises(ValueError):
            identity.by_hand(None, None)


class Errors(unittest.TestCase):
    def test_the_table_of_the_specification(self) -> None:
        with open(os.path.join(os.path.dirname(__file__), "../../../docs/rfc/8-errors.md"), encoding="utf-8") as f:
            rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in f if line[:3].strip("| ").isdigit()]
        self.assertGreater(len(rows), 20)
        ours = {int(code): code.name.replace("_", "").lower() for code in errors.Code}
        for code, name, retry, _ in rows:
            if int(code) in ours:
                self.assertEqual(ours[int(code)], name.lower())
            self.assertEqual(errors.error(int(code)).retryable, retry == "yes", name)
        self.assertLessEqual(ours.keys(), {int(row[0]) for row in rows})

    def test_classes(self) -> None:
        for code, kind in ((101, errors.UnknownService), (199, errors.RequestError), (201, errors.SessionClosed),
                           (299, errors.StateError), (300, errors.CapacityError), (400, errors.AvailabilityError),
                           (401, errors.Indeterminate), (202, errors.Cancelled), (203, errors.DeadlineExceeded),
                           (501, errors.TaskFailed), (599, errors.ServiceError), (600, errors.InternalError),
                           (999, errors.InternalError), (0, errors.InternalError)):  # fmt: skip
            self.assertIs(type(errors.error(code)), kind)
        self.assertFalse(errors.error(399).retryable)
        for code in (203, 401):  # they are TimeoutErrors, and keep what they say
            e = errors.error(code, "late", "task")
            self.assertIsInstance(e, TimeoutError)
            self.assertEqual((e.code, e.message, e.op, str(e)), (code, "late", "task", f"task: late [{e.name}]"))

    def test_from_a_body(self) -> None:
        e = errors.from_body({"code": 300, "op": "Task", "msg": "full", "retry_after": 100_000_000})
        self.assertEqual((e.code, e.op, e.message, e.retry_after, e.retryable), (300, "Task", "full", 0.1, True))
        self.assertEqual(str(e), "Task: full [OVERLOADED]")
        self.assertEqual(errors.from_body({"code": "x", "msg": None}).code, 0)


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Shape:
    name: str = field(metadata={"weft": "Name"})
    points: list[Point] = field(default_factory=list)
    parent: Optional["Shape"] = None
    tags: dict[str, int] = field(default_factory=dict)


class Typed(unittest.TestCase):
    def test_there_and_back(self) -> None:
        shape = Shape("a", [Point(1, 2), Point(3.5)], Shape("b"), {"k": 1})
        data = typed.pack(shape)
        self.assertEqual(msgpack.unpackb(data)["Name"], "a")
        self.assertEqual(typed.unpack(data, Shape), shape)
        for value, kind in (
            (5, int), ("x", str), (None, None), ([1, 2], list[int]), ((1, "a"), tuple[int, str]), ((1, 2, 3), tuple[int, ...]),
            ({1: [Point(1, 1)]}, dict[int, list[Point]]), ({1, 2}, set[int]), (None, Optional[Point]), (2.0, float), (b"x", bytes),
            (3, Union[str, int]), (7, Any), (True, bool),
        ):  # fmt: skip
            with self.subTest(kind):
                self.assertEqual(typed.unpack(typed.pack(value), kind), value)
        self.assertIs(type(typed.unpack(typed.pack(3), float)), float)

    def test_what_is_not_of_the_type(self) -> None:
        for value, kind in (("x", int), (True, int), ([1, "x"], list[int]), ([1], tuple[int, str]), ({"x": "far"}, Point),
                            ({"y": 1.0}, Point), (5, Point), (5, Union[str, list[int]]), ({"a": 1}, dict[int, int])):  # fmt: skip
            with self.subTest(kind), self.assertRaises(ValueError):
                typed.unpack(typed.pack(value), kind)
        with self.assertRaises(ValueError):
            typed.unpack(b"\xc1", int)
        with self.assertRaises(TypeError):
            typed.pack(object())

    def test_nil_is_what_go_writes_for_an_empty_one(self) -> None:
        for kind, empty in ((list[int], []), (dict[str, int], {}), (bytes, b""), (set[int], set()), (list, [])):
            self.assertEqual(typed.unpack(typed.pack({"v": None}), dict[str, kind]), {"v": empty})  # type: ignore[valid-type]

    def test_keys_that_are_not_known_are_ignored(self) -> None:
        self.assertEqual(typed.unpack(typed.pack({"x": 1, "z": 9}), Point), Point(1.0))

    def test_keys_that_are_not_known_are_refused_when_strict(self) -> None:
        data = typed.pack({"x": 1, "yy": 9})
        for kind, wrapped in ((Point, data), (list[Point], b"\x91" + data), (Optional[Point], data)):
            with self.subTest(kind), self.assertRaisesRegex(typed.UnknownKey, "'yy': Point has the keys x, y: did you mean 'y'"):
                typed.unpack(wrapped, kind, strict=True)
        self.assertEqual(typed.unpack(typed.pack({"x": 1}), Point, strict=True), Point(1.0))


class Bodies(unittest.TestCase):
    def test_nil_is_zero_and_a_wrong_type_is_told(self) -> None:
        body = {"a": None, "b": "x", "c": True}
        self.assertEqual((wire.number(body, "a"), wire.text(body, "a"), wire.number(body, "d")), (0, "", 0))
        for read, key in ((wire.number, "b"), (wire.number, "c"), (wire.text, "c")):
            with self.assertRaises(wire.Malformed):
                read(body, key)  # type: ignore[operator]


if __name__ == "__main__":
    unittest.main()
