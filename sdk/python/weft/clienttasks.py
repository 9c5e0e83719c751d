"""The tasks of a client: what has to be sent, again too, and what becomes of each. Without I/O."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import Any, Callable, Mapping, Optional, Protocol, Sequence

from . import errors, wire
from .errors import Code, WeftError
from .link import Link, Process, State
from .streams import Said, Stream
from .terms import Terms

RESULT_CREDIT = 64 << 20
_CREDIT_STEP = min(RESULT_CREDIT // 4, 1 << 20)
_REFUSED_MIN, _REFUSED_MAX = 0.05, 5.0  # seconds until a task is sent again that was refused, at first and at most
_VOID_MOST = 1000  # alarms of tasks that are over, which are kept


class Receipt:
    """What is to be said when something is consumed: how many bytes of which connection."""

    __slots__ = ("line", "generation", "size")

    def __init__(self, line: "Line", generation: int, size: int) -> None:
        self.line, self.generation, self.size = line, generation, size


class Sink(Protocol):
    """Where a task's outcome goes; finish is called once, on the engine's thread, without a lock."""

    deferred: bool  # whether the result counts as consumed only when its receipt is given back

    def finish(self, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]) -> None:
        """Take a result or an error."""


Listener = Callable[[Said, Optional[Receipt]], object]


class Fate:
    """What an entry has when there is more to be said of it than its payload."""

    __slots__ = ("terms", "again", "refusals", "refusal", "cancelled", "told", "listener", "parts", "stream")

    def __init__(self) -> None:
        self.terms: Optional[Terms] = None
        self.again = 0.0  # when it is sent again, since it was refused; 0: it was not, or was sent since
        self.refusals = 0
        self.refusal: Optional[WeftError] = None
        self.cancelled = False  # the fabric was told to end it
        self.told = False  # its end is decided for the application: what is to come is the fabric's answer
        self.listener: Optional[Listener] = None
        self.parts = False  # whether the listener wants parts
        self.stream: Optional[Stream] = None


class Entry:
    """A task that is not over."""

    __slots__ = ("payload", "sink", "dialog", "task", "over", "fate")

    def __init__(self, payload: bytes, sink: Sink, dialog: "Dialog") -> None:
        self.payload, self.sink, self.dialog = payload, sink, dialog
        self.task = 0  # its id; 0 while it is in the backlog
        self.over = False
        self.fate: Optional[Fate] = None

    def need_fate(self) -> Fate:
        """The entry's fate, made when there is none."""
        if self.fate is None:
            self.fate = Fate()
        return self.fate

    @property
    def cancelled(self) -> bool:
        """Whether the fabric was told to end it."""
        return self.fate is not None and self.fate.cancelled or 0 < self.task >> 24 <= self.dialog.cancelled


class Dialog:
    """One session as the core sees it. Its public face is client.Session."""

    def __init__(self, key: int, options: Mapping[str, Any], stage: Any) -> None:
        self.key = key
        self.options = options
        self.number = 0
        self.version = ""
        self.stage = stage
        self.running = False  # whether an instance is, or was, bound
        self.closing = ""  # finish or kill, when its end was asked for
        self.reason = ""
        self.error: WeftError | None = None  # why it ended, when not in order
        self.task_credit = 1
        self.byte_credit = 0
        self.max_payload = 0
        self.endpoint = ""  # as the last REFER said
        self.drain_by = 0.0  # when results that are on their way after the session's end are given up
        self.backlog: deque[Entry] = deque()  # without credit, or without a place to go to
        self.unfinished: dict[int, Entry] = {}  # by task id, in the order of their sequences
        self.bytes = 0  # of payload, of all of both
        self.sent_bytes = 0  # of payload, of unfinished
        self.sequence = 0  # of the last task that was sent
        self.cancelled = 0  # the sequence up to which all were cancelled

    @property
    def full(self) -> bool:
        """Whether another task would only wait here."""
        waiting = len(self.unfinished) + len(self.backlog)
        return waiting > 0 and (waiting >= self.task_credit or self.bytes >= self.byte_credit)

    def next_task(self) -> Entry | None:
        """Move a task from the backlog to the unfinished ones, if the session's credit allows."""
        if not self.backlog:
            return None
        entry = self.backlog[0]
        size = len(entry.payload)
        count = len(self.unfinished)
        if count and (count >= self.task_credit or self.sent_bytes + size > self.byte_credit):
            return None
        self.backlog.popleft()
        self.sequence += 1
        entry.task = self.sequence << 24  # the slot is the client's own: this one finds tasks by their whole id
        self.unfinished[entry.task] = entry
        self.sent_bytes += size
        return entry

    def remove(self, entry: Entry) -> None:
        """Take a task out; it is over."""
        size = len(entry.payload)
        if entry.task:
            del self.unfinished[entry.task]
            self.sent_bytes -= size
        else:
            self.backlog.remove(entry)
        self.bytes -= size
        entry.over, entry.payload = True, b""

    def ended(self, up_to: int) -> bool:
        """Whether no task with a sequence up to this one is unfinished."""
        return not self.unfinished or next(iter(self.unfinished)) >> 24 > up_to


class Line:
    """A data connection: its link, and the bytes of results that were consumed."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.consumed = 0
        self.told = 0
        self.wanted = 0  # the total at which the manager wants to be told; 0: whenever
        self.asked = 0.0  # when the controller was asked because this endpoint knows nothing of the client


class Tasks:
    """The part of a client's core that deals with tasks. What is called from outside is called under the engine's lock."""

    def __init__(self, process: Process, now: float) -> None:
        self.process = process
        self.effects: deque[Callable[[], object]] = deque()
        self.news = False  # whether something changed for which callers may wait
        self._now = now
        self._lines: dict[str, Line] = {}
        self._numbers: dict[int, Dialog] = {}
        self._draining: set[Dialog] = set()  # closed in order by the broker, while results are on their way
        self._alarms: list[tuple[float, int, Entry]] = []
        self._alarm_numbers = itertools.count()
        self._void = 0  # alarms of tasks that are over

    def _lighter(self, dialog: Dialog) -> None:
        """A session has fewer unfinished tasks: others may leave."""
        line = self._lines.get(dialog.endpoint)
        if dialog.backlog and line is not None and line.link.state is State.UP:
            self._pump(dialog, line.link)

    def _answer_error(self, link: Link, number: int, code: Code, why: str) -> None:
        link.push_body(wire.ERROR, 0, number, {"code": int(code), "msg": why})

    # What callers ask for.

    def submit(
        self,
        dialog: Dialog,
        payload: bytes,
        sink: Sink,
        terms: Optional[Terms] = None,
        listener: Optional[Listener] = None,
        parts: bool = False,
        now: float = 0.0,
    ) -> Entry:
        """Take a task; the caller saw to it that the session is not over and there is room."""
        entry = Entry(payload, sink, dialog)
        if now > self._now:
            self._now = now
        if terms is not None or listener is not None:
            fate = entry.need_fate()
            fate.terms, fate.listener, fate.parts = terms, listener, parts
            if terms is not None and terms.deadline:
                self._arm(terms.deadline, entry)
        dialog.backlog.append(entry)
        dialog.bytes += len(payload)
        line = self._lines.get(dialog.endpoint)
        if line is not None and line.link.state is State.UP:
            self._pump(dialog, line.link)
        return entry

    def cancel(self, entry: Entry) -> bool:
        """Give a task up, and say whether nobody was told of its end. Its sink hears nothing more: the caller knows."""
        fate = entry.need_fate()
        if entry.over or fate.told:
            return False
        fate.told = self.news = True
        if not entry.task or fate.again:
            self._conclude(entry, None, None, None)
            self._lighter(entry.dialog)
            return True
        self._hush(fate)
        if fate.stream is not None and fate.stream.end is not None:
            self._conclude(entry, *fate.stream.end)
            self._lighter(entry.dialog)
        else:
            self._ask(entry)
        return True

    def cancel_all(self, dialog: Dialog) -> int:
        """Give all tasks of a session up. What cannot be begun any more ends at once; the others, up to the sequence that
        is returned, end as the fabric says."""
        before = len(dialog.unfinished) + len(dialog.backlog)
        for entry in [*dialog.backlog, *dialog.unfinished.values()]:
            if not entry.task:
                self._conclude(entry, None, errors.error(Code.CANCELLED, "it was cancelled, and never sent", "task"), None)
            elif entry.fate is not None and entry.fate.again:
                self._conclude(entry, None, errors.error(Code.CANCELLED, "it was cancelled, and never begun", "task"), None)
        line = self._lines.get(dialog.endpoint)
        if dialog.unfinished:
            dialog.cancelled = dialog.sequence
        if line is not None:
            # Each by its name: a word for all would end later ones too, when the manager comes back to where it is still
            # to be heard.
            for task in dialog.unfinished:
                line.link.push(wire.CANCEL, dialog.number, task)
        if len(dialog.unfinished) < before:
            self.news = True
            self._lighter(dialog)
        return dialog.sequence

    def consumed(self, receipt: Receipt) -> None:
        """Note that the application took something."""
        if receipt.generation == receipt.line.link.generation:
            self._consume(receipt.line, receipt.size)

    # Time.

    def _arm(self, when: float, entry: Entry) -> None:
        heapq.heappush(self._alarms, (when, next(self._alarm_numbers), entry))

    def _ring(self, now: float) -> None:
        """Do what is due with single tasks."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            _, _, entry = heapq.heappop(alarms)
            fate = entry.fate
            if entry.over or fate is None or fate.told:
                continue
            terms = fate.terms
            if terms is not None and terms.deadline and now >= terms.deadline:
                self._expire(entry, fate)
            elif fate.again and now >= fate.again:
                fate.again = 0.0
                line = self._lines.get(entry.dialog.endpoint)
                if line is not None:
                    self._write(entry, line.link)

    def _forget_void(self) -> None:
        self._void += 1
        if self._void > max(_VOID_MOST, len(self._alarms) // 2):
            self._alarms = [alarm for alarm in self._alarms if not alarm[2].over]
            heapq.heapify(self._alarms)
            self._void = 0

    def _expire(self, entry: Entry, fate: Fate) -> None:
        """A task's time is over."""
        if fate.stream is not None and fate.stream.end is not None:
            self._conclude(entry, *fate.stream.end)  # its result is here, and waits for parts
        elif not entry.task:
            why = "its time is over, and it was never sent: its session had no credit, or its manager was not reached"
            self._conclude(entry, None, errors.error(Code.DEADLINE, why, "task"), None)
        elif fate.again:
            why = f"its time is over, and it was never begun: it was refused {fate.refusals} times, at last by: {fate.refusal}"
            self._conclude(entry, None, errors.error(Code.DEADLINE, why, "task"), None)
        else:
            why = "its time is over, and there is no word of it: it was sent, and may have run, or run still"
            fate.told = True
            self._hush(fate)
            self.effects.append(_Finish(entry.sink, None, errors.error(Code.INDETERMINATE, why, "task"), None))
            if not entry.cancelled:
                self._ask(entry)
            return
        self.news = True
        self._lighter(entry.dialog)

    # What is sent.

    def _ask(self, entry: Entry) -> None:
        """Tell the fabric to end a task. Where its session is served nowhere, what is sent again there will say it."""
        entry.need_fate().cancelled = True
        line = self._lines.get(entry.dialog.endpoint)
        if line is not None:
            line.link.push(wire.CANCEL, entry.dialog.number, entry.task)

    def _write(self, entry: Entry, link: Link) -> None:
        fate = entry.fate
        more = b"" if fate is None or fate.terms is None else fate.terms.more(self._now)
        link.push(wire.TASK, entry.dialog.number, entry.task, entry.payload, more)

    def _pump(self, dialog: Dialog, link: Link) -> None:
        """Send what the session's credit allows."""
        while True:
            entry = dialog.next_task()
            if entry is None:
                break
            if entry.fate is None:
                link.push(wire.TASK, dialog.number, entry.task, entry.payload)
            else:
                self._write(entry, link)

    def _send_again(self, dialog: Dialog, link: Link) -> None:
        """Send what is unfinished again, and that it is cancelled. What waits since it was refused goes on waiting."""
        for task, entry in dialog.unfinished.items():
            if entry.fate is not None and entry.fate.again:
                continue
            self._write(entry, link)
            # One by one: where it is sent there may be later tasks already, which a cancel of all would end as well.
            if entry.cancelled:
                link.push(wire.CANCEL, dialog.number, task)

    # What is heard.

    def _outcomes(self, line: Line, records: Sequence[wire.Record]) -> None:
        """Take results and failures; the only part of a client that runs for each task."""
        link, effects, numbers = line.link, self.effects, self._numbers
        touched: set[Dialog] = set()
        consumed = 0
        for kind, number, task, payload, more in records:
            if kind != wire.RESULT and kind != wire.FAILURE and kind != wire.PROGRESS and kind != wire.PARTIAL:
                if kind == wire.ASK_CREDIT:
                    line.wanted = task
                elif kind not in (wire.BYE, wire.ERROR):
                    self._answer_error(link, task, Code.UNKNOWN_KIND, f"a client takes no record of kind {kind} here")
                continue
            dialog = numbers.get(number)
            entry = dialog.unfinished.get(task) if dialog is not None else None
            if kind == wire.PROGRESS or kind == wire.PARTIAL:
                consumed += self._said(line, entry, kind, payload, more)
                if entry is None:
                    continue
            elif dialog is None or entry is None:
                consumed += len(payload)
                continue
            elif entry.fate is not None or kind == wire.FAILURE:
                consumed += self._answered(line, entry, kind, payload, more)
            else:
                dialog.remove(entry)
                if entry.sink.deferred:
                    effects.append(_Finish(entry.sink, payload, None, Receipt(line, link.generation, len(payload))))
                else:
                    consumed += len(payload)
                    effects.append(_Finish(entry.sink, payload, None, None))
            if dialog is not None:
                touched.add(dialog)
        self._consume(line, consumed)
        for dialog in touched:
            self.news = True
            self._lighter(dialog)

    def _answered(self, line: Line, entry: Entry, kind: int, payload: bytes, more: bytes) -> int:
        """Take the answer of a task; give how many bytes of it are consumed at once."""
        fate, size = entry.fate, len(payload)
        told = fate is not None and fate.told
        error = _failure(payload) if kind == wire.FAILURE else None
        if error is not None and error.code == Code.OVERLOADED and not told:
            if line.link.endpoint != entry.dialog.endpoint:
                return size  # the session has left that loop, and the task was sent again where it is now
            if entry.cancelled:
                error = errors.error(Code.CANCELLED, "it was cancelled, and never begun", "task")
            elif entry.dialog in self._draining:
                error = errors.error(Code.SESSION_CLOSED, "the session was closed before the task was begun", "task")
            else:
                self._later(entry, error)
                return size
        receipt = None
        if error is None and entry.sink.deferred and not told:
            receipt = Receipt(line, line.link.generation, size)
        outcome = (None if error is not None else payload, error, receipt)
        numbered = wire.numbered(more) if more and fate is not None and fate.parts and not told else None
        if numbered is not None and fate is not None:
            stream = fate.stream = fate.stream or Stream()
            if stream.waits(*numbered):
                stream.end, stream.end_at = outcome, numbered
                return 0 if receipt is not None else size
        self._conclude(entry, *outcome)
        return 0 if receipt is not None else size

    def _later(self, entry: Entry, why: WeftError) -> None:
        """A task was not taken, since the manager is overloaded: send it again after a while."""
        fate = entry.need_fate()
        pause = max(min(_REFUSED_MIN * 2.0 ** min(fate.refusals, 16), _REFUSED_MAX), why.retry_after)
        fate.refusals += 1
        fate.refusal = why
        fate.again = self._now + pause * (1 + self.process.random() / 2)
        self._arm(fate.again, entry)

    def _said(self, line: Line, entry: Optional[Entry], kind: int, payload: bytes, more: bytes) -> int:
        """Take a part or a word of progress; give how much of it is consumed at once."""
        weight = len(payload) + wire.PARTIAL_HEAD
        fate = entry.fate if entry is not None else None
        numbered = wire.numbered(more)
        if entry is None or fate is None or fate.listener is None or fate.told or numbered is None:
            return weight
        stream = fate.stream = fate.stream or Stream()
        if kind == wire.PROGRESS:
            word = stream.word(numbered[1], payload)
            if word is not None:
                self.effects.append(_Say(fate.listener, word, None))
            return weight
        if not fate.parts:
            return weight
        ready, dropped = stream.part(*numbered, payload, Receipt(line, line.link.generation, weight))
        for part, receipt in ready:
            self.effects.append(_Say(fate.listener, part, receipt))
        for receipt in dropped:
            self.consumed(receipt)
        if stream.complete:
            self._conclude(entry, *stream.end)
        return 0

    def _hush(self, fate: Fate) -> None:
        """Drop the parts that are not passed on."""
        if fate.stream is not None:
            for receipt in fate.stream.hush():
                self.consumed(receipt)

    def _release_ends(self) -> None:
        """A conversation is over: answers that wait for parts which it was to bring wait no longer."""
        for dialog in list(self._numbers.values()):
            for entry in list(dialog.unfinished.values()):
                if entry.fate is not None and entry.fate.stream is not None and entry.fate.stream.end is not None:
                    self._conclude(entry, *entry.fate.stream.end)
                    self.news = True
                    self._lighter(dialog)

    def _begin_anew(self) -> None:
        """Another broker runs the tasks, and counts attempts from 1."""
        self._release_ends()
        for dialog in self._numbers.values():
            for entry in dialog.unfinished.values():
                if entry.fate is not None and entry.fate.stream is not None:
                    for receipt in entry.fate.stream.begin_anew():
                        self.consumed(receipt)

    def _conclude(
        self, entry: Entry, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]
    ) -> None:
        """A task is over: by what the fabric says of it, or since it is not to be sent."""
        entry.dialog.remove(entry)
        self._settle(entry, result, error, receipt)

    def _settle(
        self, entry: Entry, result: Optional[bytes], error: Optional[WeftError], receipt: Optional[Receipt]
    ) -> None:
        fate = entry.fate
        if fate is not None:
            self._hush(fate)
            if fate.terms is not None and fate.terms.deadline:
                self._forget_void()
        if fate is None or not fate.told:
            self.effects.append(_Finish(entry.sink, result, error, receipt))
        elif receipt is not None:
            self.consumed(receipt)

    def _fail_all(self, dialog: Dialog, failure: WeftError) -> None:
        """A session is over: what it has not finished fails, but for what has its answer."""
        entries = [*dialog.unfinished.values(), *dialog.backlog]
        dialog.unfinished.clear()
        dialog.backlog.clear()
        dialog.bytes = dialog.sent_bytes = 0
        for entry in entries:
            entry.over, entry.payload = True, b""
            if entry.fate is not None and entry.fate.stream is not None and entry.fate.stream.end is not None:
                self._settle(entry, *entry.fate.stream.end)
            else:
                self._settle(entry, None, failure, None)

    def _consume(self, line: Line, size: int) -> None:
        line.consumed += size
        asked = 0 < line.wanted <= line.consumed
        if line.consumed > line.told and (asked or line.consumed - line.told >= _CREDIT_STEP):
            line.told = line.consumed
            line.link.push(wire.CREDIT, 0, line.consumed)
        if asked:
            line.wanted = 0


class _Finish:
    """The call of a sink, as an effect: cheaper than a closure."""

    __slots__ = ("sink", "result", "error", "receipt")

    def __init__(self, sink: Sink, result: bytes | None, error: WeftError | None, receipt: Receipt | None) -> None:
        self.sink, self.result, self.error, self.receipt = sink, result, error, receipt

    def __call__(self) -> None:
        self.sink.finish(self.result, self.error, self.receipt)


class _Say:
    """The call of a listener, as an effect."""

    __slots__ = ("listener", "said", "receipt")

    def __init__(self, listener: Listener, said: Said, receipt: Receipt | None) -> None:
        self.listener, self.said, self.receipt = listener, said, receipt

    def __call__(self) -> None:
        self.listener(self.said, self.receipt)


def _failure(payload: bytes) -> WeftError:
    try:
        return errors.from_body(wire.unpack_body(payload))
    except wire.Malformed as e:
        return errors.error(Code.INTERNAL, f"the failure cannot be read: {e}")
