"""Bytes: frames of records and bodies, as docs/rfc/1-frames.md describes them. Nothing here keeps state."""

from __future__ import annotations

import struct
from typing import Any, Mapping, NamedTuple, Sequence, Union

import msgpack

VERSION = 1
MAX_PAYLOAD_FRAMES = 16
INLINE_PAYLOAD = 8192
CUT_FRAME = 114688
MAX_RECORDS = 2097152
MAX_BODY = 1048576
MAX_VALUES = 262144
BODY_DEPTH = 32
MORE_DEPTH = 8
PARTIAL_WINDOW = 262144
MAX_PARTIAL = 262144
MAX_DATA_KEY = 256
MAX_DATA_VALUE = 524288
PARTIAL_HEAD = 64  # what a part or a word of progress counts beside its octets

# Kinds of records.
HELLO, WELCOME, REHELLO, REFER, ERROR, BYE, DONE = 1, 2, 3, 4, 5, 6, 7
TASK, DISPATCH, RESULT, FAILURE, CREDIT, RECALL, RECALLED = 16, 17, 18, 19, 20, 21, 22
BIND, BOUND, REFUSED, UNBIND, UNBOUND, EXECUTED, DRAIN, LEAVE = 23, 24, 25, 26, 27, 28, 29, 30
OPEN_SESSION, SESSION_OPENED, CLOSE_SESSION, SESSION_STATE = 32, 33, 34, 35
REGISTER_SERVICE, DEREGISTER_SERVICE, LIST_SERVICES, LIST_SESSIONS, LIST_NODES = 40, 41, 42, 43, 44
SERVICE_PAGE, SESSION_PAGE, NODE_PAGE = 45, 46, 47
CREATE_ENVIRONMENT, DELETE_ENVIRONMENT, LIST_ENVIRONMENTS, ENVIRONMENT_PAGE = 48, 49, 50, 51
LIST_EVENTS, EVENT_PAGE, MOVE_SERVICE = 52, 53, 54
INSTANCE_FAILED = 61
CANCEL = 64
ABORT, STARTED, STOPPING = 65, 66, 67
PROGRESS, PARTIAL, PARTIAL_GRANT, PUT_DATA, GET_DATA, SESSION_DATA = 68, 69, 70, 71, 72, 73
ASK_CREDIT = 75

Bytes = Union[bytes, bytearray, memoryview]
# A record as it was read: kind, session field, task field, payload, the elements after it (as they were encoded).
Record = tuple[int, int, int, bytes, bytes]

_HEADER = struct.Struct(">BBBBQBQBQBQ")
_HEAD = struct.Struct(">BBBIBQBI")
HEADER_SIZE = _HEADER.size
_HEAD_SIZE = _HEAD.size
_EXTERNAL_SIZE = _HEAD_SIZE  # the same: a tag and four octets
_COUNT_MASK = (1 << 48) - 1


class Malformed(ValueError):
    """Bytes that cannot be read. ``read`` has the records before the place where reading ended."""

    def __init__(self, why: str, read: Sequence[Record] = ()) -> None:
        super().__init__(why)
        self.read = list(read)


class Header(NamedTuple):
    """The header of a frame of records."""

    version: int
    epoch: int
    incarnation: int
    sequence: int
    acknowledged: int


def stamp(conversation: int, count: int) -> int:
    """A stamp of a conversation and a count of frames."""
    return conversation << 48 | count


def conversation_of(value: int) -> int:
    """The conversation of a stamp."""
    return value >> 48


def count_of(value: int) -> int:
    """The count of a stamp."""
    return value & _COUNT_MASK


def pack_header(header: Header) -> bytes:
    """Write a header."""
    version, epoch, incarnation, sequence, acknowledged = header
    return _HEADER.pack(
        0x96, 0, version, 0xCF, epoch, 0xCF, incarnation, 0xCF, sequence, 0xCF, acknowledged
    )


def unpack_header(frame: bytes) -> Header:
    """Read the header at the begin of a frame of records."""
    if len(frame) < HEADER_SIZE:
        raise Malformed(f"a frame has {len(frame)} bytes; a header has {HEADER_SIZE}")
    if len(frame) > MAX_RECORDS:
        raise Malformed(f"a frame of records has {len(frame)} bytes; at most {MAX_RECORDS} are allowed")
    array, kind, version, t1, epoch, t2, incarnation, t3, sequence, t4, acknowledged = _HEADER.unpack_from(frame)
    if array != 0x96 or kind != 0 or version > 0x7F or not t1 == t2 == t3 == t4 == 0xCF:
        raise Malformed("a frame does not begin with a header")
    return Header(version, epoch, incarnation, sequence, acknowledged)


def pack_head(kind: int, session: int, task: int, length: int) -> bytes:
    """Write a record of four elements up to its inline payload of that length, which has to follow."""
    return _HEAD.pack(0x94, kind, 0xCE, session, 0xCF, task, 0xC6, length)


def pack_external(kind: int, session: int, task: int, length: int) -> bytes:
    """Write a record of four elements whose payload of that length is the next payload frame."""
    return _HEAD.pack(0x94, kind, 0xCE, session, 0xCF, task, 0xCE, length)


def unpack_records(message: Sequence[bytes]) -> list[Record]:
    """Read the records of a message, whose first frame has a header that was read before.

    Raises Malformed, with the records before the one that cannot be read.
    """
    frame = message[0]
    end, at, used, frames = len(frame), HEADER_SIZE, 0, len(message) - 1
    records: list[Record] = []
    add, unpack = records.append, _HEAD.unpack_from
    while at < end:
        if at + _HEAD_SIZE > end:
            raise Malformed("a record is cut off", records)
        array, kind, t1, session, t2, task, tag, length = unpack(frame, at)
        if not 0x94 <= array <= 0x9F or not 0 < kind <= 0x7F or t1 != 0xCE or t2 != 0xCF:
            raise Malformed("what should be a record is none", records)
        at += _HEAD_SIZE
        if tag == 0xC6:
            begin, at = at, at + length
            if at > end:
                raise Malformed("a payload is cut off", records)
            payload = frame[begin:at]
        elif tag == 0xCE:
            used += 1
            if used > frames or len(message[used]) != length:
                raise Malformed(f"there is no payload frame of {length} bytes", records)
            payload = message[used]
        else:
            raise Malformed(f"a payload begins with {tag:#x}", records)
        if array == 0x94:
            add((kind, session, task, payload, b""))
            continue
        begin = at
        try:
            for _ in range(array - 0x94):
                at, _values = skip(frame, at, MORE_DEPTH, MAX_VALUES)
        except Malformed as e:
            raise Malformed(str(e), records) from None
        add((kind, session, task, payload, frame[begin:at]))
    if used != frames:
        raise Malformed(f"a message has {frames} payload frames, its records {used}", records)
    return records


def read_message(message: Sequence[bytes]) -> Header:
    """Read the header of a message and check what can be checked before its records are read."""
    if not message or len(message) > 1 + MAX_PAYLOAD_FRAMES:
        raise Malformed(f"a message has {len(message)} frames; 1 to {1 + MAX_PAYLOAD_FRAMES} are allowed")
    return unpack_header(message[0])


# Sizes of what follows a tag: (bytes of the length field, whether the length counts values: 1 array, 2 map).
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4,
          0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}  # fmt: skip
_SIZED = {0xC4: (1, 0), 0xC5: (2, 0), 0xC6: (4, 0), 0xC7: (1, 1), 0xC8: (2, 1), 0xC9: (4, 1), 0xD9: (1, 0), 0xDA: (2, 0),
          0xDB: (4, 0)}  # fmt: skip
_COUNTED = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def skip(data: bytes, at: int, depth: int, budget: int) -> tuple[int, int]:
    """Find the end of the msgpack value at a place, and how many values it has through all levels.

    Raises Malformed when it is cut off, nested deeper than depth or has more values than budget.
    """
    open_values = [1]  # values still to come, for each level
    seen = 0
    while open_values:
        if open_values[-1] == 0:
            open_values.pop()
            continue
        open_values[-1] -= 1
        seen += 1
        if seen > budget:
            raise Malformed(f"there are more than {budget} values")
        if at >= len(data):
            raise Malformed("a value is cut off")
        tag = data[at]
        at, inside = _skip_one(data, at + 1, tag)
        if at > len(data):
            raise Malformed("a value is cut off")
        if inside:
            if len(open_values) > depth:
                raise Malformed(f"values are nested more than {depth} deep")
            if inside > budget:
                raise Malformed(f"there are more than {budget} values")
            open_values.append(inside)
    return at, seen


def _skip_one(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Give the place after a tag's own octets, and how many values it has inside."""
    if tag <= 0x7F or tag >= 0xE0:
        return at, 0
    if tag <= 0x8F:
        return at, 2 * (tag & 0x0F)
    if tag <= 0x9F:
        return at, tag & 0x0F
    if tag <= 0xBF:
        return at + (tag & 0x1F), 0
    if tag in _FIXED:
        return at + _FIXED[tag], 0
    if tag in _SIZED:
        width, extra = _SIZED[tag]
        return at + width + extra + int.from_bytes(data[at : at + width], "big"), 0
    if tag in _COUNTED:
        width, each = _COUNTED[tag]
        return at + width, each * int.from_bytes(data[at : at + width], "big")
    raise Malformed(f"there is no msgpack value that begins with {tag:#x}")


def pack_body(body: Mapping[str, Any]) -> bytes:
    """Write a body, leaving out keys whose value is None."""
    data: bytes = msgpack.packb({key: value for key, value in body.items() if value is not None}, use_bin_type=True)
    return data


def unpack_body(payload: bytes) -> dict[str, Any]:
    """Read a body: one map with string keys, or nothing at all. Raises Malformed."""
    if not payload:
        return {}
    if len(payload) > MAX_BODY:
        raise Malformed(f"a body has {len(payload)} bytes; at most {MAX_BODY} are allowed")
    end, _ = skip(payload, 0, BODY_DEPTH, MAX_VALUES)
    if end != len(payload):
        raise Malformed("something follows a body")
    try:
        body = msgpack.unpackb(payload, raw=False, strict_map_key=True, unicode_errors="replace")
    except Exception as e:
        raise Malformed(f"a body cannot be read: {e}") from e
    if not isinstance(body, dict):
        raise Malformed("a body is not a map")
    return body


def text(body: Mapping[str, Any], key: str) -> str:
    """A str of a body; the empty one when it is missing or nil. Raises Malformed."""
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{key} is {type(value).__name__}; it should be str")
    return value


def number(body: Mapping[str, Any], key: str) -> int:
    """An int of a body; 0 when it is missing or nil. Raises Malformed."""
    value = body.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"{key} is {type(value).__name__}; it should be int")
    return value


def watched(more: bytes) -> bool:
    """Whether the last element of a dispatch asks to be told when the task begins."""
    if not more or more[0] == 0xCF:
        return False
    end, _ = skip(more, 0, MORE_DEPTH, MAX_VALUES)
    try:
        value = msgpack.unpackb(more[:end], raw=False, strict_map_key=False)
    except (ValueError, msgpack.UnpackException):
        return False
    return isinstance(value, dict) and bool(value.get(5))


def limits_of(more: bytes) -> tuple[float, float]:
    """Seconds until the manager gives a task up, and those that it may execute, from DISPATCH; infinite when not limited."""
    value: Any = None
    if more and more[0] != 0xCF:
        try:
            end, _ = skip(more, 0, MORE_DEPTH, MAX_VALUES)
            value = msgpack.unpackb(more[:end], raw=False, strict_map_key=False)
        except Exception:
            value = None
    if not isinstance(value, dict):
        return float("inf"), float("inf")
    timeout, run = value.get(3), value.get(4)
    return (
        timeout / 1e6 if isinstance(timeout, int) and timeout > 0 else float("inf"),
        run / 1e6 if isinstance(run, int) and run > 0 else float("inf"),
    )


def numbered(more: bytes) -> tuple[int, int] | None:
    """The attempt and the number of the last element of a part, of progress, or of an answer; None when it has none."""
    if not more:
        return None
    try:
        end, _ = skip(more, 0, MORE_DEPTH, MAX_VALUES)
        value = msgpack.unpackb(more[:end], raw=False, strict_map_key=False)
    except Exception:
        return None
    if not isinstance(value, dict):
        return None
    attempt, count = value.get(1), value.get(2, 0)
    if not isinstance(attempt, int) or not isinstance(count, int) or attempt < 1:
        return None
    return attempt, count


def pack_numbered(attempt: int, count: int) -> bytes:
    """Write the last element of a part."""
    return b"\x82\x01\xcc" + bytes([attempt]) + b"\x02\xce" + count.to_bytes(4, "big")


def identity_of(more: bytes) -> tuple[int, int]:
    """The client's task id and the attempt, from the elements after the payload of DISPATCH."""
    if not more:
        return 0, 1
    if more[0] == 0xCF and len(more) >= 9:
        return int.from_bytes(more[1:9], "big"), 1
    end, _ = skip(more, 0, MORE_DEPTH, MAX_VALUES)
    try:
        value = msgpack.unpackb(more[:end], raw=False, strict_map_key=False)
    except Exception as e:
        raise Malformed(f"the identity of a task cannot be read: {e}") from e
    if isinstance(value, int):
        return value, 1
    if not isinstance(value, dict):
        raise Malformed(f"the identity of a task is {type(value).__name__}; it should be uint or map")
    task, attempt = value.get(1, 0), value.get(2, 1)
    if not isinstance(task, int) or not isinstance(attempt, int):
        raise Malformed("the identity of a task has a key of a wrong type")
    return task, attempt
