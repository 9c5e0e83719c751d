"""Conversations over a network that loses: every record once, in order, both ways; and each rule of sections 2.2 to 2.7."""

from __future__ import annotations

import random
import unittest
from collections import deque

from weft import wire
from weft.link import Link, Process, Raised, Records, Refused, State, Welcomed

from .acceptor import Acceptor, Peer

HELLO = {"min_version": 1, "max_version": 1, "role": "client", "endpoint": "tcp://h:1"}


class World:
    """A dialler, an acceptor and connections between them that break."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 100.0
        self.process = Process(0xC1, self.chance.random)
        self.link = Link(self.process, "tcp://h:1", HELLO, self.now)
        self.link.always = True
        self.acceptor = Acceptor(0xB1, 7 << 8)
        self.connection = 1
        self.up: deque[tuple[int, list[bytes]]] = deque()
        self.down: deque[tuple[int, list[bytes]]] = deque()
        self.late: list[tuple[int, list[bytes]]] = []  # of connections that broke
        self.got: list[wire.Record] = []
        self.events: list[object] = []
        self.fresh = 0

    @property
    def peer(self) -> Peer:
        return self.acceptor.peers[0xC1]

    def send(self) -> None:
        while (message := self.link.next_message()) is not None:
            self.up.append((self.connection, message))
            self.link.sent(self.now)
        self.acceptor.flush()
        self.down.extend(self.acceptor.out)
        self.acceptor.out.clear()

    def deliver(self) -> None:
        """Carry a few messages over."""
        for _ in range(self.chance.randint(1, 4)):
            if self.up and self.chance.random() < 0.6:
                self.acceptor.receive(*self.up.popleft())
            elif self.down:
                connection, message = self.down.popleft()
                if connection == self.connection:
                    self.take(message)

    def take(self, message: list[bytes]) -> None:
        for event in self.link.receive(message, self.now):
            self.events.append(event)
            if isinstance(event, Records):
                self.got += event.records
            elif isinstance(event, Welcomed) and not event.resumed:
                self.fresh += 1

    def break_up(self) -> None:
        """The connection breaks: what was on its way is lost, or comes late; what arrived already is still read."""
        for item in self.up:
            if self.chance.random() < 0.3:
                self.late.append(item)
        self.up.clear()
        self.down.clear()
        self.connection += 1

    def settle(self) -> None:
        for _ in range(400):
            self.now += 0.25
            self.link.tick(self.now)
            self.send()
            while self.up or self.down:
                self.deliver()
                self.send()
            if self.link.state is State.UP and self.link.settled and not self.peer.kept and not self.peer.queue:
                return
        raise AssertionError(f"it does not settle: {self.link.state}")


class EveryRecordOnce(unittest.TestCase):
    def test_property(self) -> None:
        resumed = 0
        for seed in range(400):
            with self.subTest(seed=seed):
                w = World(seed)
                w.settle()
                there, back = 0, 0
                for _ in range(w.chance.randint(20, 200)):
                    w.now += w.chance.choice([0.0, 0.0, 0.01, 0.3, 1.1])
                    op = w.chance.random()
                    if op < 0.3:
                        for _ in range(w.chance.choice([1, 2, 30])):
                            there += 1
                            w.link.push(wire.TASK, 1, there, bytes(w.chance.choice([0, 16, 9000])))
                    elif op < 0.5:
                        back += 1
                        w.acceptor.say(w.peer, wire.RESULT, 1, back, bytes(w.chance.choice([1, 16, 9000])))
                    elif op < 0.56:
                        w.break_up()
                    elif op < 0.59:
                        w.link.greet(w.now)
                    elif op < 0.63 and w.late:
                        w.acceptor.receive(*w.late.pop(w.chance.randrange(len(w.late))))
                    elif op < 0.75:
                        w.link.tick(w.now)
                    if w.chance.random() < 0.7:
                        w.send()
                    w.deliver()
                w.settle()
                tasks = [r[2] for r in w.peer.records if r[0] == wire.TASK]
                self.assertEqual(tasks, list(range(1, there + 1)))
                self.assertEqual([r[2] for r in w.got], list(range(1, back + 1)))
                self.assertEqual(w.fresh, 1)
                self.assertEqual(w.link.holding, 0)
                resumed += w.peer.resumed
        self.assertGreater(resumed, 800, "connections hardly broke: the test shows nothing")

    def test_conversation_numbers_wrap(self) -> None:
        w = World(1)
        w.process.note_conversation("tcp://h:1", 65533)
        w.link = Link(w.process, "tcp://h:1", HELLO, w.now)
        w.settle()
        for i in range(6):
            w.link.push(wire.TASK, 1, i, b"x")
            w.send()
            w.break_up()
            w.link.greet(w.now)
            w.settle()
        self.assertEqual([r[2] for r in w.peer.records if r[0] == wire.TASK], list(range(6)))
        self.assertEqual(w.fresh, 1)

    def test_the_next_link_to_an_endpoint_is_not_late(self) -> None:
        w = World(1)
        w.settle()
        w.link.greet(w.now)
        w.settle()
        w.link = Link(w.process, "tcp://h:1", HELLO, w.now)
        w.settle()
        self.assertEqual(w.peer.greetings, 3)

    def test_a_link_moves_with_its_manager(self) -> None:
        w = World(3)
        w.settle()
        w.link.push(wire.TASK, 1, 1, b"x")
        w.send()
        w.break_up()
        w.link.push(wire.TASK, 1, 2, b"x")
        w.link.move("tcp://h:2", {**HELLO, "endpoint": "tcp://h:2"}, w.now)
        self.assertTrue(w.link.redial)
        w.settle()
        self.assertEqual([r[2] for r in w.peer.records], [1, 2])
        self.assertEqual((w.peer.resumed, w.peer.hello["endpoint"]), (1, "tcp://h:2"))


class Rules(unittest.TestCase):
    def setUp(self) -> None:
        self.w = World(5)
        self.w.settle()

    def test_a_new_process_at_the_other_end_drops_everything(self) -> None:
        w = self.w
        w.link.push(wire.TASK, 1, 1, b"x")
        w.send()
        w.up.clear()
        w.acceptor = Acceptor(0xB2, 7 << 8)
        w.link.push(wire.TASK, 1, 2, b"x")
        w.now += 1.5
        w.settle()
        self.assertEqual(w.fresh, 2)
        self.assertEqual([r for r in w.peer.records if r[0] == wire.TASK], [])

    def test_who_was_given_up_and_missed_the_new_beginning_begins_anew(self) -> None:
        w = self.w
        del w.acceptor.peers[0xC1]
        w.link.greet(w.now)
        w.send()
        w.acceptor.receive(*w.up.popleft())
        w.break_up()
        w.acceptor.out.clear()  # the WELCOME is lost
        w.link.greet(w.now)
        w.settle()
        self.assertEqual(w.fresh, 2)

    def test_silence_is_noticed_only_where_an_answer_is_due(self) -> None:
        w = self.w
        w.now += 60
        w.link.tick(w.now)
        self.assertIs(w.link.state, State.UP)
        w.link.push(wire.TASK, 1, 1, b"x")
        w.send()
        w.now += 9.9
        w.link.tick(w.now)
        self.assertIs(w.link.state, State.UP)
        w.now += 0.2
        w.link.tick(w.now)
        self.assertIs(w.link.state, State.OPENING)
        self.assertTrue(w.link.redial)

    def test_signs_of_life(self) -> None:
        w = self.w
        for always in (False, True):
            w.link.always = always
            w.now += 1.1
            w.link.tick(w.now)
            self.assertIs(w.link.has_message, always)

    def test_sixteen_frames_are_acknowledged_at_once(self) -> None:
        w = self.w
        for i in range(15):
            w.acceptor.say(w.peer, wire.RESULT, 1, i, b"x")
        w.send()
        while w.down:
            w.take(w.down.popleft()[1])
        self.assertFalse(w.link.has_message)
        w.acceptor.say(w.peer, wire.RESULT, 1, 15, b"x")
        w.send()
        while w.down:
            w.take(w.down.popleft()[1])
        message = w.link.next_message()
        assert message is not None
        self.assertEqual(len(message[0]), wire.HEADER_SIZE)

    def test_records_share_a_frame_up_to_its_limits(self) -> None:
        w = self.w
        for i in range(5000):
            w.link.push(wire.TASK, 1, i, b"0123456789abcdef")
        w.send()
        sizes = [len(message[0]) for _, message in w.up]
        self.assertLess(len(sizes), 5)
        self.assertLess(max(sizes), wire.CUT_FRAME + 100)
        w.up.clear()
        for i in range(20):
            w.link.push(wire.TASK, 1, i, bytes(9000))
        w.send()
        self.assertEqual([len(message) for _, message in w.up], [17, 5])

    def test_lower_epochs_are_ignored_and_higher_ones_taken(self) -> None:
        w = self.w
        w.acceptor.epoch = 6 << 8
        w.acceptor.say(w.peer, wire.RESULT, 1, 1, b"x")
        w.send()
        w.take(w.down.popleft()[1])
        self.assertEqual(w.got, [])
        w.acceptor.epoch = 9 << 8
        w.acceptor._bare(w.connection, wire.REHELLO)
        w.send()
        w.take(w.down.popleft()[1])
        self.assertIn(Raised(9 << 8), w.events)
        self.assertEqual(w.process.epoch, 9 << 8)
        self.assertIs(w.link.state, State.OPENING)

    def test_a_refusal_and_then_a_welcome(self) -> None:
        w = self.w
        w.acceptor.refusal = {"code": 400, "msg": "not ready", "retry_after": 3 * 10**9}
        w.link.greet(w.now)
        w.send()
        w.acceptor.receive(*w.up.popleft())
        w.send()
        w.take(w.down.popleft()[1])
        refused = w.events[-1]
        assert isinstance(refused, Refused)
        self.assertEqual((refused.error.code, refused.error.retry_after), (400, 3.0))
        w.now += 2.9
        w.link.tick(w.now)
        self.assertFalse(w.link.has_message)
        w.acceptor.refusal = None
        w.now += 0.2
        w.settle()

    def test_frames_of_others_change_nothing(self) -> None:
        w = self.w
        record = wire.pack_head(wire.RESULT, 1, 1, 1) + b"x"
        c = w.peer.conversation
        for header in (
            wire.Header(1, 7 << 8, 0xBAD, wire.stamp(c, 2), 0),  # of another incarnation
            wire.Header(1, 7 << 8, 0xB1, wire.stamp(c + 1, 2), 0),  # of another conversation
            wire.Header(1, 7 << 8, 0xB1, wire.stamp(c, 1), 0),  # seen before
        ):
            w.take([wire.pack_header(header) + record])
            self.assertEqual(w.got, [])
            self.assertIs(w.link.state, State.UP)
        w.take([wire.pack_header(wire.Header(1, 7 << 8, 0xB1, wire.stamp(c, 4), 0)) + record])  # a gap
        self.assertEqual(w.got, [])
        self.assertIs(w.link.state, State.OPENING)

    def test_what_cannot_be_read_is_refused(self) -> None:
        w = self.w
        c = w.peer.conversation
        head = wire.pack_header(wire.Header(1, 7 << 8, 0xB1, wire.stamp(c, 2), 0))
        for frame, code in ((b"?" * 50, 108), (head[:2] + b"\x02" + head[3:], 105), (head + b"\x94\x12", 108)):
            w.take([frame])
            w.send()
            w.acceptor.receive(*w.up.popleft())
            self.assertEqual(w.acceptor.errors[-1]["code"], code)

    def test_a_resumption_of_what_another_process_had_is_no_answer(self) -> None:
        w = self.w
        w.link.greet(w.now)
        w.send()
        w.up.clear()
        body = wire.pack_body({"version": 1, "resumed": True})
        c = w.process.last_conversation("tcp://h:1")
        header = wire.Header(1, 7 << 8, 0xBAD, wire.stamp(c, 1), 0)
        w.take([wire.pack_header(header) + wire.pack_head(wire.WELCOME, 0, 0, len(body)) + body])
        self.assertIs(w.link.state, State.OPENING)

    def test_after_bye_somebody_is_looked_for(self) -> None:
        w = self.w
        w.acceptor.say(w.peer, wire.BYE)
        w.send()
        w.take(w.down.popleft()[1])
        self.assertIs(w.link.state, State.DOWN)
        w.acceptor = Acceptor(0xB2, 8 << 8)
        w.settle()
        self.assertEqual(w.fresh, 2)

    def test_an_unanswered_hello_is_repeated_less_and_less_often(self) -> None:
        w = World(9)
        times = []
        while w.now < 120:
            w.link.tick(w.now)
            if w.link.has_message:
                w.link.next_message()
                w.link.sent(w.now)
                times.append(w.now)
            w.now = max(w.now + 0.001, w.link.deadline())
        waits = [b - a for a, b in zip(times, times[1:])]
        self.assertTrue(0.09 < waits[0] < 0.2, waits[0])
        self.assertTrue(all(1.9 < wait < 2.6 for wait in waits[6:]), waits)


if __name__ == "__main__":
    unittest.main()
