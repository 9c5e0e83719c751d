"""Frames, records and bodies: against the golden messages of the protocol, and against what cannot be read."""

from __future__ import annotations

import random
import unittest

import msgpack

from weft import wire
from weft.terms import RetryPolicy, Terms

from . import golden

BODIES = {
    wire.HELLO, wire.WELCOME, wire.REFER, wire.ERROR, wire.FAILURE, wire.BIND, wire.REFUSED, wire.OPEN_SESSION,
    wire.SESSION_OPENED, wire.CLOSE_SESSION, wire.SESSION_STATE, wire.REGISTER_SERVICE, wire.LIST_SERVICES,
    wire.LIST_SESSIONS, wire.LIST_NODES, wire.SERVICE_PAGE, wire.SESSION_PAGE, wire.NODE_PAGE, wire.INSTANCE_FAILED,
}  # fmt: skip


def encode(header: wire.Header, records: list[wire.Record], external: bool) -> bytes:
    frame = wire.pack_header(header)
    for kind, session, task, payload, more in records:
        pack = wire.pack_external if external else wire.pack_head
        head = bytearray(pack(kind, session, task, len(payload)))
        if more:
            head[0] += 1
        frame += bytes(head) + (b"" if external else payload) + more
    return frame


class Golden(unittest.TestCase):
    def test_there_are_examples_of_every_dialog(self) -> None:
        dialogs = {e.dialog for e in golden.examples()}
        self.assertLessEqual(
            {"conversation", "client-controller", "client-manager", "instance-manager", "operator-controller"}, dialogs
        )
        self.assertGreater(len(golden.examples()), 50)

    def test_each_is_read_and_written_again_to_the_same_bytes(self) -> None:
        for e in golden.examples():
            with self.subTest(f"{e.dialog} {e.name}"):
                header = wire.read_message(e.message)
                self.assertEqual(header.version, 1)
                records = wire.unpack_records(e.message)
                self.assertEqual(encode(header, records, bool(e.payload_sizes)), e.frame)

    def test_each_body_is_read_and_written_again_to_the_same_bytes(self) -> None:
        seen = 0
        for e in golden.examples():
            for kind, _, _, payload, _ in wire.unpack_records(e.message):
                if kind not in BODIES:
                    continue
                with self.subTest(f"{e.dialog} {e.name}"):
                    body = wire.unpack_body(payload)
                    self.assertEqual(wire.pack_body(body), payload)
                    seen += 1
        self.assertGreater(seen, 25)

    def test_the_identity_of_a_task(self) -> None:
        found = {}
        for e in golden.examples():
            for kind, _, _, _, more in wire.unpack_records(e.message):
                if kind == wire.DISPATCH:
                    found[e.name] = wire.identity_of(more)
        self.assertEqual(found["Dispatch"], (1 << 24, 1))
        self.assertEqual(found["Dispatch again"], (1 << 24, 2))
        self.assertEqual(found["Dispatch external"], (3 << 24 | 2, 1))

    def test_the_last_elements_of_tasks_and_parts(self) -> None:
        mores = {e.name: r[4] for e in golden.examples() for r in wire.unpack_records(e.message)}
        terms = Terms(0.0, None, 5.0, 10, RetryPolicy(attempts=2))
        terms.deadline = 30.0
        ours, golden_ones = (msgpack.unpackb(m, strict_map_key=False) for m in (terms.more(0.0), mores["Task with options"]))
        self.assertEqual(ours, golden_ones)
        self.assertEqual(wire.limits_of(mores["Dispatch with limits"]), (30.0, 5.0))
        self.assertEqual(wire.limits_of(mores["Dispatch"]), (float("inf"), float("inf")))
        self.assertTrue(wire.watched(mores["Dispatch with limits"]))
        parts = [m for name, m in mores.items() if name.startswith("Partial") and m]
        self.assertTrue(parts)
        for more in parts:
            numbered = wire.numbered(more)
            assert numbered is not None
            self.assertEqual(wire.pack_numbered(*numbered), more)
        for bad in (b"", b"\xc1", b"\x01", b"\x81\x01\x00", b"\x81\x02\x01", b"\x82\x01"):
            self.assertIsNone(wire.numbered(bad))
            self.assertEqual(wire.limits_of(bad)[0], float("inf"))


class Unreadable(unittest.TestCase):
    header = wire.Header(1, 7 << 8 | 1, 5, wire.stamp(1, 2), wire.stamp(1, 1))

    def frame(self, *records: bytes) -> bytes:
        return wire.pack_header(self.header) + b"".join(records)

    def test_what_was_before_counts(self) -> None:
        good = wire.pack_head(wire.RESULT, 7, 1, 2) + b"ok"
        for name, bad in {
            "cut off": b"\x94\x12",
            "no array": b"\x93" + good[1:],
            "kind 0": b"\x94\x00" + good[2:],
            "payload cut off": wire.pack_head(wire.RESULT, 7, 1, 9) + b"short",
            "short integer": b"\x94\x12\xcd\x00\x07" + bytes(30),
            "no payload frame": wire.pack_external(wire.RESULT, 7, 1, 9000),
            "missing last element": b"\x95" + good[1:],
        }.items():
            with self.subTest(name), self.assertRaises(wire.Malformed) as caught:
                wire.unpack_records([self.frame(good, bad)])
            self.assertEqual(caught.exception.read, [(wire.RESULT, 7, 1, b"ok", b"")])

    def test_numbers_of_payload_frames(self) -> None:
        frame = self.frame(wire.pack_external(wire.RESULT, 7, 1, 3))
        self.assertEqual(wire.unpack_records([frame, b"abc"])[0][3], b"abc")
        for message in ([frame], [frame, b"ab"], [frame, b"abc", b"d"]):
            with self.assertRaises(wire.Malformed):
                wire.unpack_records(message)
        with self.assertRaises(wire.Malformed):
            wire.read_message([frame, *[b""] * 17])
        with self.assertRaises(wire.Malformed):
            wire.read_message([])

    def test_headers(self) -> None:
        good = wire.pack_header(self.header)
        self.assertEqual(wire.unpack_header(good), self.header)
        for bad in (good[:-1], b"\x97" + good[1:], good[:3] + b"\xce" + good[4:], good + bytes(wire.MAX_RECORDS)):
            with self.assertRaises(wire.Malformed):
                wire.unpack_header(bad)

    def test_more_elements_are_skipped(self) -> None:
        record = bytearray(wire.pack_head(wire.RESULT, 7, 1, 2) + b"ok")
        for more in (1, "x", [1, [2]], {"a": {"b": None}}, 2.5, b"bytes", -3, msgpack.ExtType(5, b"1234567")):
            extra = msgpack.packb(more)
            record[0] = 0x96
            got = wire.unpack_records([self.frame(bytes(record), extra, extra, wire.pack_head(wire.BOUND, 1, 0, 0))])
            self.assertEqual([r[0] for r in got], [wire.RESULT, wire.BOUND])
            self.assertEqual(got[0][4], extra + extra)

    def test_bodies(self) -> None:
        self.assertEqual(wire.unpack_body(b""), {})
        deep = b"\x81\xa1a" * 40 + b"\xc0"
        many = msgpack.packb({"a": [0] * wire.MAX_VALUES})
        claims = b"\x81\xa1a\xdd\xff\xff\xff\xff"
        for bad in (b"\x81", b"\x90", b"\xc1", msgpack.packb({"a": 1}) + b"\x00", deep, many, claims, b"\x81\x01\x01",
                    msgpack.packb({"a": bytes(wire.MAX_BODY)})):  # fmt: skip
            with self.assertRaises(wire.Malformed):
                wire.unpack_body(bad)

    def test_noise_never_does_harm(self) -> None:
        chance = random.Random(7)
        good = [e.message for e in golden.examples()]
        for _ in range(3000):
            message = [bytearray(part) for part in chance.choice(good)]
            for _ in range(chance.randint(1, 4)):
                part = message[0]
                part[chance.randrange(len(part))] = chance.randrange(256)
            try:
                parts = [bytes(part) for part in message]
                wire.read_message(parts)
                for _, _, _, payload, more in wire.unpack_records(parts):
                    wire.unpack_body(payload)
                    wire.identity_of(more)
                    wire.numbered(more)
                    wire.limits_of(more)
            except wire.Malformed:
                pass


if __name__ == "__main__":
    unittest.main()
