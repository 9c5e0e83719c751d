"""A broker of two ROUTERs in a thread, which serves every service by one function: enough for the client's shell."""

from __future__ import annotations

import threading
from typing import Callable

import msgpack
import zmq

from weft import wire

from .acceptor import Acceptor, Peer


class Broker:
    """Runs from start to stop."""

    def __init__(self, serve: Callable[[bytes], bytes], credit: int = 1000) -> None:
        self.serve = serve
        self.credit = credit
        self.tasks: list[int] = []
        self.most = 0  # unfinished tasks at once
        self.consumed = 0  # bytes of results, as the client told
        self.hold = False  # whether results are kept back
        self.refuse = 0  # tasks that are refused as Overloaded
        self.obey = True  # whether CANCEL is obeyed
        self.cancels: list[int] = []
        self.options: list[dict[int, int]] = []  # of the tasks that have some
        self.opened: list[dict[str, object]] = []
        self._context = zmq.Context()
        self._routers = [self._context.socket(zmq.ROUTER) for _ in range(2)]
        for router in self._routers:
            router.setsockopt(zmq.SNDHWM, 0)  # otherwise a ROUTER drops what its peer is slow to take
        self.endpoints = [f"tcp://127.0.0.1:{r.bind_to_random_port('tcp://127.0.0.1')}" for r in self._routers]
        self._acceptors = [Acceptor(0xB1, 7 << 8), Acceptor(0xB2, 7 << 8)]
        self._ids: list[dict[int, bytes]] = [{}, {}]
        self._waiting: list[tuple[Peer, int, int, bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the sockets."""
        self._stop.set()
        self._thread.join()
        for router in self._routers:
            router.close(0)
        self._context.term()

    def _run(self) -> None:
        while not self._stop.is_set():
            for which, router in enumerate(self._routers):
                while router.poll(2):
                    routing, *message = router.recv_multipart()
                    connection = int.from_bytes(routing, "big")
                    self._ids[which][connection] = routing
                    self._acceptors[which].receive(connection, message)
            self._control()
            self._loop()
            for which, router in enumerate(self._routers):
                self._acceptors[which].flush()
                while self._acceptors[which].out:
                    connection, message = self._acceptors[which].out.popleft()
                    router.send_multipart([self._ids[which][connection], *message])

    def _control(self) -> None:
        acceptor = self._acceptors[0]
        for peer in acceptor.peers.values():
            records, peer.records = peer.records, []
            for kind, _, task, payload, _ in records:
                body = wire.unpack_body(payload)
                if kind == wire.OPEN_SESSION and body["service"] == "none":
                    acceptor.say(peer, wire.ERROR, 0, task, {"code": 101, "msg": 'service "none" is not registered'})
                elif kind == wire.OPEN_SESSION:
                    self.opened.append(body)
                    opened = {"session": 7, "service": body["service"], "version": "1", "task_credit": self.credit,
                              "byte_credit": 1 << 20, "max_payload": 1 << 24}  # fmt: skip
                    acceptor.say(peer, wire.SESSION_OPENED, 0, task, opened)
                    refer = {"service": body["service"], "session": 7, "endpoint": self.endpoints[1], "epoch": 7 << 8}
                    acceptor.say(peer, wire.REFER, 0, 0, refer)
                elif kind == wire.CLOSE_SESSION:
                    acceptor.say(peer, wire.DONE, 0, task)
                    state = {"session": body["session"], "state": "closed"}
                    if body["mode"] == "kill":
                        state["error"] = {"code": 201, "msg": "killed"}
                    acceptor.say(peer, wire.SESSION_STATE, 0, 0, state)
                elif kind == wire.LIST_NODES:
                    first = "after" not in body
                    page = {"entries": [{"name": "a" if first else "b"}], "more": first}
                    acceptor.say(peer, wire.NODE_PAGE, 0, task, page)

    def _loop(self) -> None:
        acceptor = self._acceptors[1]
        for peer in acceptor.peers.values():
            records, peer.records = peer.records, []
            self.consumed = max([self.consumed, *(task for kind, _, task, _, _ in records if kind == wire.CREDIT)])
            for kind, session, task, payload, more in records:
                if kind == wire.TASK:
                    self._task(peer, session, task, payload, more)
                elif kind == wire.CANCEL:
                    self._cancel(peer, session, task)
        self.most = max(self.most, len(self._waiting))
        if self.hold:
            return
        waiting, self._waiting = self._waiting, []
        for peer, session, task, payload in waiting:
            self.tasks.append(task >> 24)
            if payload.startswith(b"tell "):
                self._tell(peer, session, task, payload[5:])
                continue
            try:
                acceptor.say(peer, wire.RESULT, session, task, self.serve(payload))
            except Exception as e:
                acceptor.say(peer, wire.FAILURE, session, task, {"code": 500, "msg": str(e)})

    def _task(self, peer: Peer, session: int, task: int, payload: bytes, more: bytes) -> None:
        if more:
            self.options.append(msgpack.unpackb(more, strict_map_key=False))
        if self.refuse:
            self.refuse -= 1
            why = {"code": 300, "msg": "there is no memory", "retry_after": 10**7}
            self._acceptors[1].say(peer, wire.FAILURE, session, task, why)
        else:
            self._waiting.append((peer, session, task, payload))

    def _cancel(self, peer: Peer, session: int, task: int) -> None:
        self.cancels.append(task >> 24)
        if not self.obey:
            return
        for each in [w for w in self._waiting if task in (0, w[2])]:
            self._waiting.remove(each)
            self._acceptors[1].say(peer, wire.FAILURE, session, each[2], {"code": 202, "msg": "cancelled"})

    def _tell(self, peer: Peer, session: int, task: int, parts: bytes) -> None:
        """Say each of the words as a part, and how far it has come; then the result."""
        said, words = 0, parts.split()
        for said, word in enumerate(words):
            progress = {"percent": 100.0 * said / len(words), "text": word.decode(), "attempt": 1}
            self._acceptors[1].say(peer, wire.PROGRESS, session, task, progress, wire.pack_numbered(1, said))
            self._acceptors[1].say(peer, wire.PARTIAL, session, task, word, wire.pack_numbered(1, said))
        self._acceptors[1].say(peer, wire.RESULT, session, task, parts.upper(), wire.pack_numbered(1, len(words)))
