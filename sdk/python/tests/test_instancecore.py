"""An instance without sockets and threads: its life, its sessions, which hook runs when, and what is said of it."""

from __future__ import annotations

import unittest
from typing import Optional

import msgpack

from weft import errors, wire
from weft.identity import Identity
from weft.instancecore import Hook, InstanceCore, Job, Phase

from .world import EPOCH, World

CONTROL, LOOP, OTHER = "tcp://h:7700", "tcp://h:7710", "tcp://h:7711"


class InstanceTest(unittest.TestCase):
    slots = 1

    def setUp(self) -> None:
        self.w = World()
        who = Identity("price", [CONTROL], "1", "c-17", "5f3a", "node-a", self.slots, 10, True)
        self.core = InstanceCore(self.w.process, who, "", self.w.now)
        self.w.core = self.core
        self.w.run()

    def refer(self, endpoint: str = LOOP) -> None:
        self.w.say(CONTROL, wire.REFER, 0, 0, {"service": "price", "endpoint": endpoint, "epoch": self.w.epoch})

    def take(self, tasks: bool = True, hooks: bool = True) -> Optional[Job]:
        return self.core.take(tasks, hooks, self.w.now)

    def hook(self, expected: Hook, error: Optional[errors.WeftError] = None) -> Job:
        """Run the next hook, which has to be this one."""
        job = self.take()
        assert job is not None, f"there is no {expected}"
        self.assertIs(job.hook, expected)
        self.core.returned(job, error, self.w.now)
        self.w.run()
        return job

    def serve(self) -> None:
        self.refer()
        self.hook(Hook.CREATE)
        self.assertIs(self.core.phase, Phase.SERVING)

    def bind(self, number: int = 7) -> None:
        self.w.say(LOOP, wire.BIND, number, 0, {"session": number, "name": "eod", "parameters": b"EUR"})
        self.hook(Hook.BIND)

    def dispatch(self, task: int, number: int = 7, payload: bytes = b"x", endpoint: str = LOOP) -> None:
        self.w.say(endpoint, wire.DISPATCH, number, task, payload, msgpack.packb(1 << 24))

    def begin(self) -> Job:
        job = self.take()
        assert job is not None
        self.assertIs(job.hook, Hook.EXEC)
        return job

    def end(self, job: Job, result: bytes = b"y", took: int = 1000) -> None:
        self.core.executed(job, wire.RESULT, result, None, took)
        self.w.run()

    def kinds(self, endpoint: str = LOOP) -> list[tuple[int, int, int]]:
        return [(r[0], r[1], r[2]) for r in self.w.said(endpoint)]


class Life(InstanceTest):
    def test_from_hello_to_bye(self) -> None:
        hello = self.w.peer(CONTROL).hello
        self.assertEqual(hello.pop("name")[:6], "price[")
        rest = {"min_version": 1, "max_version": 1, "role": "instance", "service": "price", "version": "1",
                "container": "c-17", "slots": 1, "sessions": 10, "keeps_scheme": True}  # fmt: skip
        self.assertEqual(hello, {**rest, "endpoint": CONTROL, "token": "5f3a"})
        self.serve()
        hello = self.w.peer(LOOP).hello
        del hello["name"]
        self.assertEqual(hello, {**rest, "endpoint": LOOP})
        self.bind()
        self.dispatch(3 << 32 | 12)
        job = self.begin()
        assert job.binding is not None
        self.assertEqual((job.binding.name, job.binding.parameters, job.payload), ("eod", b"EUR", b"x"))
        self.end(job, took=2500)
        self.assertEqual(
            self.kinds(), [(wire.BOUND, 7, 0), (wire.RESULT, 7, 3 << 32 | 12), (wire.EXECUTED, 1, 2500)]
        )
        self.core.drain()
        self.w.run()
        self.assertEqual(self.kinds(), [(wire.DRAIN, 0, 0)])
        self.w.say(LOOP, wire.UNBIND, 7)
        self.hook(Hook.UNBIND)
        self.assertEqual(self.kinds(), [(wire.UNBOUND, 7, 0)])
        self.w.say(LOOP, wire.LEAVE)
        self.hook(Hook.DESTROY)
        self.assertEqual(self.kinds(CONTROL)[-1], (wire.BYE, 0, 0))
        self.assertTrue(self.core.is_over(self.w.now))
        self.assertIsNone(self.core.failure)

    def test_create_fails(self) -> None:
        self.refer()
        self.hook(Hook.CREATE, errors.error(502, "no licence", "on_create_service"))
        said = self.w.said(CONTROL)
        self.assertEqual([r[0] for r in said], [wire.INSTANCE_FAILED])
        self.assertEqual(wire.unpack_body(said[0][3])["msg"], "no licence")
        self.assertTrue(self.core.is_over(self.w.now))
        self.assertIsNotNone(self.core.failure)

    def test_rejected(self) -> None:
        for stage in ("connecting", "serving"):
            with self.subTest(stage):
                self.setUp()
                if stage == "serving":
                    self.serve()
                    self.bind()
                self.w.acceptor(CONTROL).refusal = {"code": 507, "msg": "not what was started"}
                self.w.forget(CONTROL)
                self.w.pass_time(3)
                if stage == "serving":
                    self.hook(Hook.UNBIND)
                    self.hook(Hook.DESTROY)
                self.assertIs(self.core.phase, Phase.ENDED)
                assert self.core.failure is not None
                self.assertEqual(self.core.failure.code, 507)

    def test_unavailable_is_not_final(self) -> None:
        self.w.acceptor(CONTROL).refusal = {"code": 400, "msg": "not ready"}
        self.w.forget(CONTROL)
        self.w.pass_time(3)
        self.assertIs(self.core.phase, Phase.CONNECTING)

    def test_a_loop_that_refuses_for_long(self) -> None:
        self.w.acceptor(LOOP).refusal = {"code": 507, "msg": "not known"}
        self.refer()
        self.hook(Hook.CREATE)
        self.w.pass_time(5)
        self.assertGreater(self.w.peer(CONTROL).greetings, 2)
        self.assertIs(self.core.phase, Phase.SERVING)
        self.w.pass_time(12)
        self.assertIs(self.core.phase, Phase.LEAVING)

    def test_asked_to_end_at_any_time(self) -> None:
        self.core.drain()
        self.assertIs(self.core.phase, Phase.ENDED)
        self.setUp()
        self.refer()
        job = self.take()
        assert job is not None
        self.core.drain()
        self.assertIs(self.core.phase, Phase.DRAINING)
        self.core.returned(job, None, self.w.now)
        self.hook(Hook.DESTROY)
        self.assertIs(self.core.phase, Phase.ENDED)

    def test_a_silent_manager_is_given_up_when_draining(self) -> None:
        self.serve()
        self.bind()
        self.w.acceptor(LOOP).receive = lambda connection, message: None  # type: ignore[method-assign]
        self.core.drain()
        self.w.pass_time(9)
        self.assertIs(self.core.phase, Phase.DRAINING)
        self.w.pass_time(3)
        self.hook(Hook.UNBIND)
        self.hook(Hook.DESTROY)
        self.assertIs(self.core.phase, Phase.ENDED)

    def test_a_panic(self) -> None:
        self.serve()
        self.bind()
        self.dispatch(1)
        self.dispatch(2)
        job = self.begin()
        self.core.executed(job, wire.FAILURE, b"", {"code": 501}, 1)
        self.core.panic()
        self.w.run()
        self.assertIsNone(self.take())
        self.assertEqual([k[0] for k in self.kinds()], [wire.BOUND, wire.FAILURE, wire.DRAIN, wire.EXECUTED])


class Tasks(InstanceTest):
    def test_fair_over_sessions_and_in_order_within_one(self) -> None:
        self.serve()
        self.bind(7)
        self.bind(8)
        for task, number in ((1, 7), (2, 7), (3, 7), (4, 8)):
            self.dispatch(task, number)
        order = []
        for _ in range(4):
            job = self.begin()
            order.append(job.number)
            self.assertIsNone(self.take())  # one slot
            self.end(job)
        self.assertEqual(order, [1, 4, 2, 3])

    def test_recall(self) -> None:
        self.serve()
        self.bind()
        for task in (1, 2, 3):
            self.dispatch(task)
        job = self.begin()
        self.kinds()
        for task in (1, 2, 2, 9):
            self.w.say(LOOP, wire.RECALL, 7, task)
        self.assertEqual(self.kinds(), [(wire.RECALLED, 7, 2)])
        self.end(job)
        self.assertEqual(self.begin().number, 3)
        self.assertEqual(self.core.ready, 0)

    def test_tasks_that_are_ended(self) -> None:
        self.serve()
        self.bind()
        for task in (1, 2, 3):
            self.dispatch(task)
        job = self.begin()
        cancelled: list[bool] = []
        job.on_cancel = lambda: cancelled.append(True)
        self.kinds()
        why = {"code": 202, "op": "task", "msg": "by test"}
        for task in (2, 1, 2, 9):
            self.w.say(LOOP, wire.ABORT, 7, task, why)
        self.assertEqual(self.kinds(), [(wire.FAILURE, 7, 2), (wire.STOPPING, 7, 1)])
        self.assertEqual(cancelled, [True])
        self.end(job)
        self.assertEqual(self.begin().number, 3)
        self.assertEqual(self.core.ready, 0)

    def test_the_beginning_of_a_task_is_told_where_that_is_asked_for(self) -> None:
        self.serve()
        self.bind()
        self.kinds()
        for task, more in ((1, {1: 1 << 24, 4: 1000000, 5: 1}), (2, {1: 1 << 24, 3: 1000000})):
            self.w.say(LOOP, wire.DISPATCH, 7, task, b"x", msgpack.packb(more))
            self.end(self.begin())
        told = [k for k in self.kinds() if k[0] != wire.EXECUTED]
        self.assertEqual(told, [(wire.STARTED, 7, 1), (wire.RESULT, 7, 1), (wire.RESULT, 7, 2)])

    def test_a_session_that_is_killed(self) -> None:
        self.serve()
        self.bind(7)
        self.bind(8)
        for task, number in ((1, 7), (2, 7), (3, 8)):
            self.dispatch(task, number)
        job = self.begin()
        cancelled: list[bool] = []
        job.on_cancel = lambda: cancelled.append(True)
        self.kinds()
        self.w.say(LOOP, wire.UNBIND, 7)
        self.assertEqual((cancelled, job.cancelled), ([True], True))
        self.assertIsNone(self.take())  # hooks wait for running tasks, and no task begins before them
        self.end(job)
        self.hook(Hook.UNBIND)
        told = [k for k in self.kinds() if k[0] != wire.EXECUTED]
        self.assertEqual(told, [(wire.STOPPING, 7, 0), (wire.RESULT, 7, 1), (wire.UNBOUND, 7, 0)])
        self.assertEqual(self.begin().number, 3)

    def test_sessions_that_are_bound_again_or_never(self) -> None:
        self.serve()
        self.bind()
        self.w.say(LOOP, wire.BIND, 7, 0, {"session": 7})
        self.w.say(LOOP, wire.UNBIND, 9)
        self.assertEqual(self.kinds(), [(wire.BOUND, 7, 0), (wire.BOUND, 7, 0), (wire.UNBOUND, 9, 0)])
        self.w.say(LOOP, wire.BIND, 8, 0, {"session": 8})
        self.w.say(LOOP, wire.UNBIND, 8)  # before its hook began
        self.assertIsNone(self.take())
        self.assertEqual(self.kinds(), [(wire.UNBOUND, 8, 0)])
        self.w.say(LOOP, wire.BIND, 8, 0, {"session": 8})
        job = self.take()
        assert job is not None
        self.w.say(LOOP, wire.UNBIND, 8)  # while it runs
        self.core.returned(job, None, self.w.now)
        self.hook(Hook.UNBIND)
        self.assertEqual(self.kinds(), [(wire.STOPPING, 8, 0), (wire.BOUND, 8, 0), (wire.UNBOUND, 8, 0)])
        self.w.say(LOOP, wire.BIND, 8, 0, {"session": 8})
        self.hook(Hook.BIND, errors.error(503, "no such market", "on_session_bind"))
        self.assertEqual(self.kinds(), [(wire.REFUSED, 8, 0)])

    def test_a_result_that_is_too_large(self) -> None:
        self.serve()
        self.bind()
        self.dispatch(1)
        self.kinds()
        self.end(self.begin(), bytes((1 << 24) + 1))
        failures = self.w.said(LOOP, wire.FAILURE)
        self.assertEqual([wire.unpack_body(r[3])["code"] for r in failures], [103])

    def test_results_that_nobody_acknowledges_hold_up_further_tasks(self) -> None:
        self.serve()
        self.bind()
        for task in range(4):
            self.dispatch(task)
        receive = self.w.acceptor(LOOP).receive
        self.w.acceptor(LOOP).receive = lambda connection, message: None  # type: ignore[method-assign]
        self.end(self.begin(), bytes(9 << 20))
        self.end(self.begin(), bytes(9 << 20))
        self.assertIsNone(self.take())
        self.w.acceptor(LOOP).receive = receive  # type: ignore[method-assign]
        self.w.pass_time(15)
        self.assertEqual(self.begin().number, 2)

    def test_unknown_kinds(self) -> None:
        self.w.say(CONTROL, wire.BIND, 0, 5, {})
        self.serve()
        self.w.say(LOOP, wire.TASK, 0, 6, b"")
        codes = [wire.unpack_body(r[3])["code"] for e in (CONTROL, LOOP) for r in self.w.said(e, wire.ERROR)]
        self.assertEqual(codes, [107, 107])


class Elsewhere(InstanceTest):
    def test_a_manager_that_moves_takes_everything_along(self) -> None:
        self.serve()
        self.bind()
        for task in (1, 2):
            self.dispatch(task)
        job = self.begin()
        self.kinds()
        # The same conversation goes on at the other loop.
        self.w.acceptors[OTHER] = self.w.acceptors[LOOP]
        self.refer(OTHER)
        self.end(job)
        self.assertFalse(job.cancelled)
        self.end(self.begin())
        peer = self.w.peer(OTHER)
        self.assertEqual((peer.resumed, peer.hello["endpoint"]), (1, OTHER))
        self.assertEqual([r[2] for r in peer.records if r[0] == wire.RESULT], [1, 2])

    def test_a_manager_that_knows_nothing(self) -> None:
        for how in ("forgets", "epoch"):
            with self.subTest(how):
                self.setUp()
                self.serve()
                self.bind()
                for task in (1, 2):
                    self.dispatch(task)
                job = self.begin()
                if how == "forgets":
                    self.w.forget(LOOP)
                else:
                    self.w.replace(EPOCH + 256)
                self.w.pass_time(3)
                if how == "epoch":
                    self.refer()
                self.assertTrue(job.cancelled)
                self.w.say(LOOP, wire.BIND, 7, 0, {"session": 7})  # at once, while the old one is let go
                self.assertIsNone(self.take())
                self.end(job)
                self.hook(Hook.UNBIND)
                self.hook(Hook.BIND)
                self.assertEqual(self.kinds(), [(wire.BOUND, 7, 0)])
                self.dispatch(5)
                self.end(self.begin())
                self.assertEqual(self.kinds(), [(wire.RESULT, 7, 5), (wire.EXECUTED, 1, 1000)])

    def test_a_resumed_conversation_changes_nothing(self) -> None:
        self.serve()
        self.bind()
        self.dispatch(1)
        job = self.begin()
        assert self.core._data is not None
        self.core._data.greet(self.w.now)
        self.w.run()
        self.end(job)
        self.assertEqual([k[0] for k in self.kinds()], [wire.BOUND, wire.RESULT, wire.EXECUTED])

    def test_draining_is_said_again_to_who_knows_nothing(self) -> None:
        self.serve()
        self.core.drain()
        self.w.run()
        self.w.forget(LOOP)
        self.w.pass_time(3)
        self.assertEqual(self.kinds(), [(wire.DRAIN, 0, 0)])


class Slots(InstanceTest):
    slots = 2

    def test_as_many_tasks_as_slots_and_hooks_alone(self) -> None:
        self.serve()
        self.bind()
        for task in (1, 2, 3):
            self.dispatch(task)
        first, second = self.begin(), self.begin()
        self.assertIsNone(self.take())
        self.w.say(LOOP, wire.BIND, 8, 0, {"session": 8})
        self.end(first)
        self.assertIsNone(self.take())
        self.end(second)
        self.assertIsNone(self.take(tasks=True, hooks=False))
        self.hook(Hook.BIND)
        self.assertEqual(self.begin().number, 3)


class Words(InstanceTest):
    def setUp(self) -> None:
        super().setUp()
        self.serve()
        self.bind()
        self.kinds()

    def run_task(self, attempt: int = 2) -> Job:
        self.w.say(LOOP, wire.DISPATCH, 7, 5, b"x", msgpack.packb({1: 1 << 24, 2: attempt}))
        return self.begin()

    def test_parts(self) -> None:
        job = self.run_task()
        for part in (b"a", b"", bytes(20_000)):
            self.core.emit(job, part)
        self.w.run()
        self.end(job)
        said = [(r[0], r[1], r[2], len(r[3]), wire.numbered(r[4])) for r in self.w.said(LOOP)]
        self.assertEqual(said[:3], [(wire.PARTIAL, 7, 5, 1, (2, 0)), (wire.PARTIAL, 7, 5, 0, (2, 1)),
                                    (wire.PARTIAL, 7, 5, 20_000, (2, 2))])  # fmt: skip
        self.assertEqual(said[3][0], wire.RESULT)
        with self.assertRaises(errors.AvailabilityError):
            self.core.emit(job, b"late")

    def test_the_window(self) -> None:
        job = self.run_task()
        sent = 0
        while not self.core.is_full(job):
            self.core.emit(job, bytes(1000))
            sent += 1
        self.assertEqual(sent, -(-wire.PARTIAL_WINDOW // 1064))
        over = sent * 1064 - wire.PARTIAL_WINDOW
        self.w.run()
        self.w.say(LOOP, wire.PARTIAL_GRANT, 7, 5, {"bytes": over})
        self.assertTrue(self.core.is_full(job))
        self.w.say(LOOP, wire.PARTIAL_GRANT, 7, 6, {"bytes": 1000})
        self.assertTrue(self.core.is_full(job))
        self.w.say(LOOP, wire.PARTIAL_GRANT, 7, 5, {"bytes": 1})
        self.assertFalse(self.core.is_full(job))
        self.w.say(LOOP, wire.PARTIAL_GRANT, 7, 5, {"bytes": 1 << 40})
        assert job.stream is not None
        self.assertEqual(job.stream.out, 0)

    def progress(self) -> list[tuple[float, str, int]]:
        bodies = [wire.unpack_body(r[3]) for r in self.w.said(LOOP, wire.PROGRESS)]
        return [(b["percent"], b.get("text", ""), b["attempt"]) for b in bodies]

    def test_progress_is_told_now_and_then_and_at_the_end(self) -> None:
        job = self.run_task()
        for percent in range(50):
            self.core.progress(job, percent, "on", self.w.now)
        self.w.run()
        self.assertEqual(self.progress(), [(0.0, "on", 2)])
        self.w.pass_time(0.2)
        self.assertEqual(self.progress(), [(49.0, "on", 2)])
        self.core.progress(job, float("nan"), "x" * 5000, self.w.now)
        self.core.progress(job, 101, "", self.w.now)
        self.end(job)
        said = self.progress()
        self.assertEqual([(p, len(t)) for p, t, _ in said], [(0.0, 4096), (100.0, 0)])
        self.assertFalse(self.core.progress(job, 5, "late", self.w.now))
        self.assertEqual(self.core.deadline() > self.w.now, True)

    def test_data(self) -> None:
        binding = self.run_task().binding
        assert binding is not None
        put = self.core.ask(binding, wire.PUT_DATA, {"key": "k", "value": b"v"})
        get = self.core.ask(binding, wire.GET_DATA, {"key": "k"})
        self.w.run()
        said = self.w.said(LOOP)
        self.assertEqual([(r[0], r[1], r[2]) for r in said], [(wire.PUT_DATA, 7, put), (wire.GET_DATA, 7, get)])
        self.assertEqual(wire.unpack_body(said[0][3]), {"key": "k", "value": b"v"})
        self.w.say(LOOP, wire.DONE, 7, put)
        self.w.say(LOOP, wire.SESSION_DATA, 7, get, {"key": "k", "value": b"v", "found": True})
        self.assertEqual(self.core.requests.answers[put], ({}, None))
        self.assertEqual(self.core.requests.answers[get].body["value"], b"v")
        full, dropped = (self.core.ask(binding, wire.PUT_DATA, {"key": "k"}) for _ in range(2))
        self.core.requests.forget(dropped)
        for request in (full, dropped, 99):
            self.w.say(LOOP, wire.ERROR, 7, request, {"code": 300, "msg": "full"})
        why = self.core.requests.answers[full].error
        assert why is not None
        self.assertEqual(why.code, 300)
        self.assertEqual(self.core.requests.answers.keys(), {put, get, full})

    def test_data_of_a_manager_that_is_gone(self) -> None:
        job = self.run_task()
        assert job.binding is not None
        before = self.core.ask(job.binding, wire.GET_DATA, {"key": "k"})
        self.core.emit(job, b"part")
        self.w.forget(LOOP)
        self.w.pass_time(3)
        after = self.core.ask(job.binding, wire.GET_DATA, {"key": "k"})
        for request in (before, after):
            why = self.core.requests.answers[request].error
            assert why is not None
            self.assertEqual(why.code, errors.Code.UNAVAILABLE)
        self.assertFalse(self.core.is_full(job))
        self.assertEqual((job.cancelled, job.cause and job.cause.code), (True, errors.Code.UNAVAILABLE))
        with self.assertRaises(errors.AvailabilityError):
            self.core.emit(job, b"part")

    def test_an_abort_says_why(self) -> None:
        job = self.run_task()
        self.w.say(LOOP, wire.ABORT, 7, 5, {"code": 203, "msg": "too long"})
        self.assertEqual(self.kinds(), [(wire.STOPPING, 7, 5)])
        self.assertIsInstance(job.cause, errors.DeadlineExceeded)

    def test_dismissed(self) -> None:
        told: list[int] = []
        self.core.on_dismissed = lambda: told.append(1)
        job = self.run_task()
        self.dispatch(6)
        self.w.say(LOOP, wire.LEAVE, 0, 0, {"code": 202, "msg": "a hook does not end"})
        self.assertEqual((told, job.cancelled, self.core.runs), ([1], True, (1, False)))
        self.assertIs(self.core.phase, Phase.ENDED)
        self.core.executed(job, wire.RESULT, b"late", None, 1)
        self.w.say(LOOP, wire.BIND, 8, 0, {"session": 8})
        self.assertIsNone(self.take())
        self.assertEqual(self.kinds(CONTROL)[-1], (wire.BYE, 0, 0))
        self.assertTrue(self.core.is_over(self.w.now))
        self.assertIsInstance(self.core.failure, errors.Cancelled)


if __name__ == "__main__":
    unittest.main()
