"""A client without sockets: what it says to a broker, and what becomes of its tasks."""

from __future__ import annotations

import unittest
from typing import Any, Optional

import msgpack

from weft import wire
from weft.clientcore import ClientCore, Dialog, Entry, Receipt, Stage
from weft.errors import Code, WeftError
from weft.streams import Part, Progress, Said
from weft.terms import Terms

from .world import EPOCH, World

CONTROL, LOOP, OTHER = "tcp://h:7700", "tcp://h:7710", "tcp://h:7711"


class Outcome:
    """A sink that counts."""

    def __init__(self, deferred: bool = False) -> None:
        self.deferred = deferred
        self.results: list[Optional[bytes]] = []
        self.errors: list[WeftError] = []
        self.receipts: list[Receipt] = []

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        if error is not None:
            self.errors.append(error)
        else:
            self.results.append(result)
        if receipt is not None:
            self.receipts.append(receipt)

    @property
    def count(self) -> int:
        return len(self.results) + len(self.errors)


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        self.w = World()
        self.core = self.make([CONTROL])

    def make(self, endpoints: list[str]) -> ClientCore:
        core = ClientCore(self.w.process, endpoints, "test", "hosted", True, self.w.now)
        self.w.core = core
        self.w.run()
        return core

    def open(self, number: int = 7, refer: str = LOOP, credit: int = 4, **options: Any) -> Dialog:
        dialog = self.core.open({"service": "price", **options})
        self.w.run()
        self.answer_open(number, credit)
        if refer:
            self.refer(number, refer)
        return dialog

    def answer_open(self, number: int, credit: int = 4, which: int = -1) -> dict[str, Any]:
        asked = self.w.said(CONTROL, wire.OPEN_SESSION)[which]
        opened = {"session": number, "service": "price", "version": "3", "task_credit": credit, "byte_credit": 100,
                  "max_payload": 1000}  # fmt: skip
        self.w.say(CONTROL, wire.SESSION_OPENED, 0, asked[2], opened)
        return wire.unpack_body(asked[3])

    def refer(self, number: int, endpoint: str, epoch: Optional[int] = None) -> None:
        body = {"service": "price", "session": number, "endpoint": endpoint, "epoch": epoch or self.w.epoch}
        self.w.say(CONTROL, wire.REFER, 0, 0, body)

    def submit(self, dialog: Dialog, payload: bytes = b"x", deferred: bool = False) -> Outcome:
        outcome = Outcome(deferred)
        self.core.submit(dialog, payload, outcome)
        self.w.run()
        return outcome

    def tasks(self, endpoint: str = LOOP) -> list[int]:
        return [r[2] for r in self.w.said(endpoint, wire.TASK)]

    def result(self, task: int, payload: bytes = b"y", endpoint: str = LOOP, number: int = 7) -> None:
        self.w.say(endpoint, wire.RESULT, number, task, payload)


class Sessions(ClientTest):
    def test_hello_says_who_it_is(self) -> None:
        hello = self.w.peer(CONTROL).hello
        self.assertEqual(
            hello,
            {"min_version": 1, "max_version": 1, "role": "client", "name": "test", "endpoint": CONTROL, "host": "hosted",
             "keeps_scheme": True},
        )  # fmt: skip

    def test_a_session_and_its_tasks(self) -> None:
        dialog = self.open(parameters=b"EUR")
        self.assertIs(dialog.stage, Stage.OPEN)
        self.assertEqual(self.w.peer(LOOP).hello["result_credit"], 64 << 20)
        a, b = self.submit(dialog), self.submit(dialog)
        self.assertEqual(self.tasks(), [1 << 24, 2 << 24])
        self.result(2 << 24, b"second")
        self.result(1 << 24, b"first")
        self.assertEqual((a.results, b.results), ([b"first"], [b"second"]))
        self.result(1 << 24, b"again")
        self.assertEqual(a.count, 1)

    def test_a_refused_session(self) -> None:
        dialog = self.core.open({"service": "prize"})
        self.w.run()
        asked = self.w.said(CONTROL, wire.OPEN_SESSION)[0]
        self.w.say(CONTROL, wire.ERROR, 0, asked[2], {"code": 101, "msg": "no such service"})
        self.assertIs(dialog.stage, Stage.OVER)
        assert dialog.error is not None
        self.assertEqual(dialog.error.code, Code.UNKNOWN_SERVICE)

    def test_tasks_wait_for_the_referral(self) -> None:
        dialog = self.open(refer="")
        outcome = self.submit(dialog)
        self.refer(7, LOOP)
        self.assertEqual(self.tasks(), [1 << 24])
        self.result(1 << 24)
        self.assertEqual(outcome.count, 1)

    def test_credit_in_tasks_and_in_bytes(self) -> None:
        dialog = self.open()
        outcomes = [self.submit(dialog) for _ in range(6)]
        self.assertTrue(dialog.full)
        self.assertEqual(len(self.tasks()), 4)
        self.result(1 << 24)
        self.assertEqual(self.tasks(), [5 << 24])
        for task in (2, 3, 4, 5, 6):
            self.result(task << 24)
        self.assertEqual([o.count for o in outcomes], [1] * 6)
        self.tasks()
        self.submit(dialog, bytes(90))
        self.submit(dialog, bytes(20))
        self.assertEqual(self.tasks(), [7 << 24])
        self.result(7 << 24)
        self.assertEqual(self.tasks(), [8 << 24])
        self.result(8 << 24)
        self.submit(dialog, bytes(500))  # beyond the credit, but alone
        self.assertEqual(self.tasks(), [9 << 24])

    def test_a_failure(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.w.say(LOOP, wire.FAILURE, 7, 1 << 24, {"code": 500, "msg": "no such trade", "retry": 2})
        self.assertEqual([(e.code, e.message) for e in outcome.errors], [(500, "no such trade")])

    def test_what_a_client_does_not_take(self) -> None:
        dialog = self.open()
        self.w.say(CONTROL, wire.BIND, 0, 99, {})
        self.w.say(LOOP, wire.BIND, 7, 98, {})
        self.w.say(CONTROL, wire.REFER, 0, 97, {"session": "seven", "epoch": EPOCH})
        found = [(r[2], wire.unpack_body(r[3])["code"]) for r in self.w.said(CONTROL, wire.ERROR)]
        found += [(r[2], wire.unpack_body(r[3])["code"]) for r in self.w.said(LOOP, wire.ERROR)]
        self.assertEqual(found, [(99, 107), (97, 108), (98, 107)])
        self.assertIs(dialog.stage, Stage.OPEN)


class Endings(ClientTest):
    def test_finish_follows_the_last_result(self) -> None:
        dialog = self.open(credit=1)
        outcomes = [self.submit(dialog) for _ in range(2)]
        self.core.close(dialog, "finish")
        self.w.run()
        self.assertEqual(self.w.said(CONTROL, wire.CLOSE_SESSION), [])
        self.result(1 << 24)
        self.result(2 << 24)
        asked = self.w.said(CONTROL, wire.CLOSE_SESSION)
        self.assertEqual([wire.unpack_body(r[3]) for r in asked], [{"session": 7, "mode": "finish"}])
        self.w.say(CONTROL, wire.DONE, 0, asked[0][2])
        self.w.say(CONTROL, wire.SESSION_STATE, 0, 0, {"session": 7, "state": "closed"})
        self.assertIs(dialog.stage, Stage.OVER)
        self.assertIsNone(dialog.error)
        self.assertEqual([o.count for o in outcomes], [1, 1])

    def test_kill_is_said_at_once_and_also_after_finish(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.core.close(dialog, "finish")
        self.core.close(dialog, "kill", "enough")
        self.core.close(dialog, "kill", "again")
        self.core.close(dialog, "finish")
        self.w.run()
        asked = [wire.unpack_body(r[3]) for r in self.w.said(CONTROL, wire.CLOSE_SESSION)]
        self.assertEqual(asked, [{"session": 7, "mode": "kill", "reason": "enough"}])
        killed = {"session": 7, "state": "closed", "error": {"code": 201, "msg": "killed"}}
        self.w.say(CONTROL, wire.SESSION_STATE, 0, 0, killed)
        self.assertEqual([e.code for e in outcome.errors], [201])

    def test_a_session_that_fails_takes_its_tasks_along(self) -> None:
        dialog = self.open(credit=1)
        outcomes = [self.submit(dialog), self.submit(dialog)]
        failed = {"session": 7, "state": "failed", "error": {"code": 503, "msg": "no such market"}}
        self.w.say(CONTROL, wire.SESSION_STATE, 0, 0, failed)
        self.assertEqual([[e.code for e in o.errors] for o in outcomes], [[503], [503]])
        self.result(1 << 24)
        self.assertEqual([o.count for o in outcomes], [1, 1])

    def test_last_results_come_after_the_end_by_another_connection(self) -> None:
        for arrives in (True, False):
            with self.subTest(arrives=arrives):
                self.setUp()
                dialog = self.open()
                outcome = self.submit(dialog)
                self.w.say(CONTROL, wire.SESSION_STATE, 0, 0, {"session": 7, "state": "closed"})
                self.assertIs(dialog.stage, Stage.OPEN)
                self.w.pass_time(9)
                self.assertEqual(outcome.count, 0)
                if arrives:
                    self.result(1 << 24)
                    self.assertEqual((outcome.results, dialog.error), ([b"y"], None))
                else:
                    self.w.pass_time(2)
                    self.assertEqual([e.code for e in outcome.errors], [200])
                self.assertIs(dialog.stage, Stage.OVER)

    def test_bye(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.core.bye(self.w.now)
        self.assertFalse(self.core.is_over(self.w.now))
        self.w.run()
        self.assertEqual([r[0] for r in self.w.said(CONTROL)][-1], wire.BYE)
        self.assertEqual([e.code for e in outcome.errors], [204])
        self.assertTrue(self.core.is_over(self.w.now))


class Elsewhere(ClientTest):
    def test_a_session_moves_with_tasks_under_way(self) -> None:
        dialog = self.open()
        outcomes = [self.submit(dialog) for _ in range(3)]
        self.tasks()
        self.result(2 << 24)
        self.refer(7, OTHER)
        self.assertEqual(self.tasks(OTHER), [1 << 24, 3 << 24])
        outcomes.append(self.submit(dialog))
        self.assertEqual((self.tasks(OTHER), self.tasks(LOOP)), ([4 << 24], []))
        self.result(1 << 24, endpoint=LOOP)  # said before the manager moved
        self.result(1 << 24, endpoint=OTHER)
        self.result(3 << 24, endpoint=OTHER)
        self.result(4 << 24, endpoint=OTHER)
        self.assertEqual([o.count for o in outcomes], [1] * 4)
        outcomes.append(self.submit(dialog))
        self.tasks(OTHER)
        self.refer(7, LOOP)  # back again, by the connection that is still there
        self.assertEqual(self.tasks(LOOP), [5 << 24])
        self.assertEqual(self.w.peer(LOOP).greetings, 1)
        self.refer(7, LOOP)
        self.assertEqual(self.tasks(LOOP), [])
        self.result(5 << 24)
        self.assertEqual(outcomes[-1].count, 1)

    def test_back_to_a_connection_that_is_being_resumed(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.tasks()
        self.refer(7, OTHER)
        late = self.submit(dialog)
        self.tasks(OTHER)
        self.core._lines[LOOP].link.greet(self.w.now)
        self.refer(7, LOOP)  # comes before the WELCOME
        self.assertEqual(self.tasks(LOOP), [1 << 24, 2 << 24])
        self.assertEqual(self.w.peer(LOOP).resumed, 1)
        self.result(1 << 24)
        self.result(2 << 24)
        self.assertEqual([outcome.count, late.count], [1, 1])

    def test_another_broker_takes_over(self) -> None:
        dialog = self.open()
        outcomes = [self.submit(dialog) for _ in range(3)]
        self.result(1 << 24)
        self.w.replace(EPOCH + 256)
        self.w.pass_time(3)
        asked = self.answer_open(9)
        self.assertEqual((asked["key"], asked["version"]), (1, "3"))
        outcomes.append(self.submit(dialog))
        self.refer(9, LOOP, EPOCH)  # of the reign before
        self.assertEqual(self.tasks(), [])
        self.refer(9, LOOP)
        self.assertEqual(self.tasks(), [2 << 24, 3 << 24, 4 << 24])
        for task in (2, 3, 4):
            self.result(task << 24, number=9)
            self.result(task << 24, number=7)
        self.assertEqual([o.count for o in outcomes], [1] * 4)

    def test_the_other_broker_does_not_know_the_service(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.w.replace(EPOCH + 256)
        self.w.pass_time(3)
        asked = self.w.said(CONTROL, wire.OPEN_SESSION)[-1]
        self.w.say(CONTROL, wire.ERROR, 0, asked[2], {"code": 101})
        self.assertEqual([e.code for e in outcome.errors], [101])
        self.assertIs(dialog.stage, Stage.OVER)

    def test_a_session_that_was_killed_is_not_opened_again(self) -> None:
        dialog = self.open()
        self.core.close(dialog, "kill")
        self.w.replace(EPOCH + 256)
        self.w.pass_time(3)
        self.assertEqual(self.w.said(CONTROL, wire.OPEN_SESSION), [])
        self.assertIs(dialog.stage, Stage.OVER)

    def test_a_loop_that_knows_nothing_sends_the_client_to_the_controller(self) -> None:
        dialog = self.open(refer="")
        self.w.acceptor(LOOP).refusal = {"code": 102, "msg": "ask again"}
        self.refer(7, LOOP)
        self.assertEqual(self.w.peer(CONTROL).greetings, 2)
        self.assertEqual(self.w.peer(CONTROL).resumed, 1)
        outcome = self.submit(dialog)
        self.w.acceptor(LOOP).refusal = None
        self.w.pass_time(3)
        self.assertEqual(self.tasks(), [1 << 24])
        self.result(1 << 24)
        self.assertEqual(outcome.count, 1)

    def test_endpoints_in_turn(self) -> None:
        for how in ("over", "silent"):
            with self.subTest(how):
                self.setUp()
                core = self.make([CONTROL, "tcp://h:7800"])
                self.assertTrue(core.connected)
                self.w.replace(EPOCH + 256)
                self.w.acceptor("tcp://h:7800")
                if how == "over":
                    self.w.acceptor(CONTROL).refusal = {"code": 400, "msg": "my reign is over"}
                else:
                    self.w.acceptor(CONTROL).receive = lambda connection, message: None  # type: ignore[method-assign]
                    core._control.link.greet(self.w.now)
                self.w.pass_time(8)
                self.assertEqual(self.w.peer("tcp://h:7800").greetings, 1)

    def test_what_is_asked_for_while_the_connection_is_broken_is_sent_when_it_is_resumed(self) -> None:
        dialog = self.open()
        got: list[Any] = []
        self.core._control.link.greet(self.w.now)
        self.core.request(wire.LIST_NODES, {}, lambda body, error: got.append(body))
        self.core.close(dialog, "kill")
        self.w.run()
        self.assertEqual(self.w.peer(CONTROL).resumed, 1)
        kinds = [r[0] for r in self.w.said(CONTROL)]
        self.assertEqual(kinds, [wire.LIST_NODES, wire.CLOSE_SESSION])

    def test_requests_that_were_not_answered_are_asked_again(self) -> None:
        got: list[Any] = []
        self.core.request(wire.LIST_NODES, {}, lambda body, error: got.append((dict(body), error)))
        self.w.run()
        self.w.replace(EPOCH + 256)
        self.w.pass_time(3)
        asked = self.w.said(CONTROL, wire.LIST_NODES)
        self.assertEqual(len(asked), 1)
        self.w.say(CONTROL, wire.NODE_PAGE, 0, asked[0][2], {"entries": []})
        self.w.say(CONTROL, wire.NODE_PAGE, 0, asked[0][2], {"entries": []})
        self.assertEqual(got, [({"entries": []}, None)])


class Credit(ClientTest):
    def told(self) -> list[int]:
        return [r[2] for r in self.w.said(LOOP, wire.CREDIT)]

    def test_results_are_consumed_when_they_are_taken(self) -> None:
        dialog = self.open()
        big = bytes(600_000)
        first, second, third = (self.submit(dialog, deferred=True) for _ in range(3))
        for n in (1, 2, 3):
            self.result(n << 24, big)
        self.assertEqual(self.told(), [])
        self.core.consumed(first.receipts[0])
        self.core.consumed(second.receipts[0])
        self.w.run()
        self.assertEqual(self.told(), [1_200_000])
        at_once = self.submit(dialog)
        self.result(4 << 24, big)
        self.result(4 << 24, big)  # of no known task
        self.w.run()
        self.assertEqual((at_once.count, self.told()), (1, [2_400_000]))
        self.w.forget(LOOP)  # the count begins anew
        self.submit(dialog)
        self.assertEqual(self.w.peer(LOOP).greetings, 1)
        self.core.consumed(third.receipts[0])  # of the conversation before
        self.submit(dialog)
        for n in (5, 6):
            self.result(n << 24, big)
        self.assertEqual(self.told(), [1_200_000])

    def test_the_manager_is_told_when_it_asks(self) -> None:
        dialog = self.open()
        first, second = (self.submit(dialog, deferred=True) for _ in range(2))
        self.result(1 << 24, b"12345")
        self.w.say(LOOP, wire.ASK_CREDIT, 0, 10)
        self.core.consumed(first.receipts[0])
        self.w.run()
        self.assertEqual(self.told(), [])  # it is not so many
        self.result(2 << 24, b"12345")
        self.core.consumed(second.receipts[0])
        self.w.run()
        self.assertEqual(self.told(), [10])
        self.submit(dialog)
        self.result(3 << 24, b"12345")  # it has not asked again
        self.w.run()
        self.assertEqual(self.told(), [])


OVERLOADED = {"code": 300, "msg": "no memory"}


class Fates(ClientTest):
    def start(self, dialog: Dialog, timeout: Optional[float] = None, payload: bytes = b"x") -> tuple[Entry, Outcome]:
        outcome = Outcome()
        entry = self.core.submit(dialog, payload, outcome, Terms(self.w.now, timeout, priority=1), now=self.w.now)
        self.w.run()
        return entry, outcome

    def refuse(self, task: int, code: int, endpoint: str = LOOP, **more: Any) -> None:
        self.w.say(endpoint, wire.FAILURE, 7, task, {"code": code, "msg": "so it is", **more})

    def code(self, outcome: Outcome) -> int:
        self.assertEqual((len(outcome.results), len(outcome.errors)), (0, 1))
        return outcome.errors[0].code

    def test_a_refused_task_is_sent_again_ever_later(self) -> None:
        dialog = self.open()
        outcome = self.submit(dialog)
        self.assertEqual(self.tasks(), [1 << 24])
        pauses = []
        for _ in range(10):
            self.refuse(1 << 24, 300)
            begin = self.w.now
            while not (again := self.tasks()):
                self.w.pass_time(0.01)
            pauses.append(round(self.w.now - begin, 2))
            self.assertEqual((again, outcome.count, len(dialog.unfinished)), ([1 << 24], 0, 1))
        self.assertEqual(pauses[:3] + pauses[-1:], [0.07, 0.13, 0.25, 6.25], pauses)
        self.refuse(1 << 24, 300, retry_after=20 * 10**9)
        self.w.pass_time(19)
        self.assertEqual(self.tasks(), [])
        self.w.pass_time(7)
        self.assertEqual(self.tasks(), [1 << 24])
        self.result(1 << 24)
        self.assertEqual(outcome.results, [b"y"])

    def test_a_refused_task_counts_against_the_credit_and_is_not_sent_before_its_time(self) -> None:
        dialog = self.open(credit=1)
        a, b = self.submit(dialog), self.submit(dialog)
        self.assertEqual(self.tasks(), [1 << 24])
        self.refuse(1 << 24, 300, retry_after=10**9)
        self.assertEqual(self.tasks(), [])
        self.w.forget(LOOP)
        self.w.pass_time(0.5)
        self.assertEqual(self.tasks(), [])  # the loop begins anew, and it is not sent again with the rest
        self.w.pass_time(2)
        self.assertEqual(self.tasks(), [1 << 24])
        self.result(1 << 24)
        self.result(2 << 24)
        self.assertEqual((a.count, b.count), (1, 1))

    def test_refused_tasks_that_nobody_wants(self) -> None:
        dialog = self.open()
        entry, outcome = self.start(dialog)
        self.refuse(1 << 24, 300)
        self.assertTrue(self.core.cancel(entry))
        self.assertTrue(entry.over)
        late, expired = self.start(dialog, 0.05)
        self.refuse(2 << 24, 300, retry_after=10**9)
        self.w.pass_time(0.2)
        self.assertEqual(self.code(expired), Code.DEADLINE)
        self.assertIn("refused 1 times", str(expired.errors[0]))
        third, cancelled = self.start(dialog)
        self.core.cancel_all(dialog)
        self.refuse(3 << 24, 300)
        self.assertEqual(self.code(cancelled), Code.CANCELLED)
        self.w.run()
        self.assertEqual(outcome.count, 0)
        self.assertEqual(dialog.bytes, 0)
        self.assertEqual([r[2] for r in self.w.said(LOOP, wire.CANCEL)], [3 << 24])

    def test_a_refusal_of_a_loop_that_the_session_has_left(self) -> None:
        dialog = self.open()
        _, outcome = self.start(dialog)
        self.refer(7, OTHER)
        self.assertEqual(self.tasks(OTHER), [1 << 24])
        self.refuse(1 << 24, 300)
        self.w.pass_time(5)
        self.assertEqual((self.tasks(OTHER), self.tasks()[1:]), ([], []))
        self.result(1 << 24, endpoint=OTHER)
        self.assertEqual(outcome.results, [b"y"])

    def test_a_deadline(self) -> None:
        dialog = self.open(credit=2)
        (_, a), (b, lost), (_, waits) = (self.start(dialog, t) for t in (2.0, 0.5, 0.4))
        said = self.w.said(LOOP, wire.TASK)
        options = [msgpack.unpackb(r[4], strict_map_key=False) for r in said]
        self.assertEqual(options, [{1: 1_900_000, 3: 129}, {1: 450_000, 3: 129}])
        self.refuse(1 << 24, 203)
        self.assertEqual(self.code(a), Code.DEADLINE)
        self.w.pass_time(1)
        self.assertEqual(self.code(lost), Code.INDETERMINATE)
        said = [(r[0], r[2] >> 24) for r in self.w.said(LOOP)]
        self.assertEqual(said, [(wire.TASK, 3), (wire.CANCEL, 3), (wire.CANCEL, 2)])
        self.assertEqual(waits.count, 1)
        self.assertFalse(b.over)
        self.result(2 << 24, bytes(50))
        self.assertTrue(b.over)
        self.assertEqual(lost.count, 1)

    def test_a_deadline_of_what_was_never_sent(self) -> None:
        dialog = self.open(refer="")
        _, outcome = self.start(dialog, 0.3)
        self.w.pass_time(0.2)
        self.assertEqual(outcome.count, 0)
        self.w.pass_time(0.2)
        self.assertEqual(self.code(outcome), Code.DEADLINE)
        self.refer(7, LOOP)
        self.assertEqual(self.tasks(), [])

    def test_what_is_left_of_a_timeout_is_told_when_it_is_sent_again(self) -> None:
        dialog = self.open()
        self.start(dialog, 10)
        for most in (9_900_000, 5_900_000):
            said = self.w.said(LOOP, wire.TASK)
            timeout = msgpack.unpackb(said[-1][4], strict_map_key=False)[1]
            self.assertTrue(most - 2_000_000 <= timeout <= most, timeout)
            self.w.pass_time(4)
            self.w.forget(LOOP)
            self.w.pass_time(2)

    def test_alarms_of_tasks_that_are_over_are_forgotten(self) -> None:
        dialog = self.open()
        for i in range(1, 3001):
            self.start(dialog, 1000)
            self.result(i << 24)
        self.assertLess(len(self.core._alarms), 2000)

    def test_cancel(self) -> None:
        dialog = self.open(credit=1)
        (a, sent), (b, waits) = self.start(dialog), self.start(dialog)
        self.assertTrue(self.core.cancel(b))
        self.assertTrue(self.core.cancel(a))
        self.assertFalse(self.core.cancel(a))
        self.w.run()
        self.assertEqual(([r[2] for r in self.w.said(LOOP, wire.CANCEL)], a.over, b.over), ([1 << 24], False, True))
        self.refuse(1 << 24, 202)
        self.assertEqual((a.over, sent.count, waits.count, dialog.bytes), (True, 0, 0, 0))

    def test_a_cancel_follows_what_is_sent_again(self) -> None:
        dialog = self.open()
        (a, _), (_, b) = self.start(dialog), self.start(dialog)
        self.core.cancel(a)
        self.w.run()
        self.w.said(LOOP)
        self.refer(7, OTHER)
        self.assertEqual(
            [(r[0], r[2]) for r in self.w.said(OTHER)], [(wire.TASK, 1 << 24), (wire.CANCEL, 1 << 24), (wire.TASK, 2 << 24)]
        )
        self.core.cancel_all(dialog)
        self.start(dialog)
        self.w.forget(OTHER)
        self.w.pass_time(2)
        again = [(r[0], r[2] >> 24) for r in self.w.said(OTHER)][-5:]
        self.assertEqual(again, [(wire.TASK, 1), (wire.CANCEL, 1), (wire.TASK, 2), (wire.CANCEL, 2), (wire.TASK, 3)])
        self.assertFalse(dialog.ended(2))
        self.result(1 << 24, endpoint=OTHER)
        self.refuse(2 << 24, 202, OTHER)
        self.assertTrue(dialog.ended(2))
        self.assertEqual(self.code(b), Code.CANCELLED)

    def test_a_session_that_closes_after_its_last_task_is_cancelled(self) -> None:
        dialog = self.open()
        a, _ = self.start(dialog)
        self.core.cancel(a)
        self.core.close(dialog, "finish")
        self.w.run()
        self.assertEqual(self.w.said(CONTROL, wire.CLOSE_SESSION), [])
        self.refuse(1 << 24, 202)
        self.assertEqual(len(self.w.said(CONTROL, wire.CLOSE_SESSION)), 1)


class Streams(ClientTest):
    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Said] = []
        self.receipts: list[Receipt] = []

    def hear(self, said: Said, receipt: Optional[Receipt]) -> None:
        self.heard.append(said)
        if receipt is not None:
            self.receipts.append(receipt)

    def start(self, dialog: Dialog, parts: bool = True) -> tuple[Entry, Outcome]:
        outcome = Outcome()
        entry = self.core.submit(dialog, b"x", outcome, None, self.hear, parts)
        self.w.run()
        return entry, outcome

    def part(self, number: int, data: bytes, attempt: int = 1, endpoint: str = LOOP) -> None:
        self.w.say(endpoint, wire.PARTIAL, 7, 1 << 24, data, wire.pack_numbered(attempt, number))

    def end(self, parts: int, attempt: int = 1, endpoint: str = LOOP) -> None:
        self.w.say(endpoint, wire.RESULT, 7, 1 << 24, b"end", wire.pack_numbered(attempt, parts))

    def data(self) -> list[bytes]:
        return [p.data for p in self.heard if isinstance(p, Part)]

    def test_in_order_each_attempt_anew(self) -> None:
        _, outcome = self.start(self.open())
        for n, data in ((1, b"b"), (0, b"a"), (0, b"a"), (3, b"d")):
            self.part(n, data)
        self.assertEqual(self.heard, [Part(b"a", 0, 1), Part(b"b", 1, 1)])
        self.part(0, b"A", 2)
        self.part(2, b"c")
        self.end(1, 2)
        self.assertEqual(self.heard[2:], [Part(b"A", 0, 2)])
        self.assertEqual(outcome.results, [b"end"])
        line = self.core._lines[LOOP]
        self.assertEqual(line.consumed, 3 * 65 + 3)  # what was dropped, and the result
        for receipt in self.receipts:
            self.core.consumed(receipt)
        self.assertEqual(line.consumed, 6 * 65 + 3)

    def test_the_answer_waits_for_parts(self) -> None:
        dialog = self.open()
        _, outcome = self.start(dialog)
        self.refer(7, OTHER)
        self.part(1, b"b", endpoint=OTHER)
        self.end(2, endpoint=OTHER)
        self.assertEqual(outcome.count, 0)
        self.part(0, b"a")
        self.assertEqual((self.data(), outcome.results), ([b"a", b"b"], [b"end"]))

    def test_the_answer_waits_no_longer_than_the_conversation(self) -> None:
        for how in ("anew", "deadline", "closed"):
            with self.subTest(how):
                self.setUp()
                dialog = self.open()
                outcome = Outcome()
                terms = Terms(self.w.now, 0.5 if how == "deadline" else None)
                self.core.submit(dialog, b"x", outcome, terms, self.hear, True)
                self.w.run()
                self.end(1)
                self.assertEqual(outcome.count, 0)
                if how == "anew":
                    self.w.forget(LOOP)
                    self.w.pass_time(3)
                elif how == "deadline":
                    self.w.pass_time(1)
                else:
                    self.w.say(CONTROL, wire.SESSION_STATE, 0, 0, {"session": 7, "state": "closed", "error": {"code": 201}})
                self.assertEqual(outcome.results, [b"end"])

    def test_progress(self) -> None:
        self.start(self.open(), parts=False)
        for n, percent, attempt in ((0, 10, 1), (2, 30.5, 1), (1, 20, 1), (3, 1, 2)):
            body = {"percent": percent, "text": "on", "attempt": attempt}
            self.w.say(LOOP, wire.PROGRESS, 7, 1 << 24, body, wire.pack_numbered(attempt, n))
        self.assertEqual(self.heard, [Progress(10.0, "on", 1), Progress(30.5, "on", 1), Progress(1.0, "on", 2)])
        self.part(0, b"nobody wants it")
        self.end(5)
        self.assertEqual(len(self.heard), 3)

    def test_another_broker_counts_attempts_anew(self) -> None:
        _, outcome = self.start(self.open())
        self.part(0, b"a")
        self.w.replace(EPOCH + 256)
        self.w.pass_time(15)
        self.answer_open(7)
        self.refer(7, LOOP)
        self.part(0, b"A")
        self.end(1)
        self.assertEqual(self.heard, [Part(b"a", 0, 1), Part(b"A", 0, 2)])
        self.assertEqual(outcome.results, [b"end"])

    def test_nothing_is_heard_after_a_cancel(self) -> None:
        entry, outcome = self.start(self.open())
        self.part(1, b"b")
        self.core.cancel(entry)
        self.part(0, b"a")
        self.end(2)
        self.assertEqual((self.heard, outcome.count, entry.over), ([], 0, True))
        self.assertEqual(self.core._lines[LOOP].consumed, 2 * 65 + 3)


if __name__ == "__main__":
    unittest.main()
