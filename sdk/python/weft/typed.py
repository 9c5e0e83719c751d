"""Values as msgpack: what a typed function takes and gives. Dataclasses travel as maps of their fields' names."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from typing import Any, Mapping, Optional, Sequence

import msgpack


_EMPTY: dict[Any, Any] = {list: list, dict: dict, bytes: bytes, set: set, frozenset: frozenset}


def pack(value: Any) -> bytes:
    """Write a value. Raises TypeError for what msgpack has no form for."""
    data: bytes = msgpack.packb(value, use_bin_type=True, default=_plain, datetime=True)
    return data


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {wire_name(f): getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a value of {type(value).__name__} cannot travel: give a dataclass, or what msgpack knows")


def wire_name(f: dataclasses.Field[Any]) -> str:
    """The key under which a field travels: its name, or what its metadata say under ``weft``."""
    return str(f.metadata.get("weft", f.name))


class UnknownKey(ValueError):
    """A map has a key that its dataclass does not know."""


def unpack(data: bytes, kind: Any = Any, strict: bool = False) -> Any:
    """Read a value as a type. Raises ValueError when it cannot be read or is not of that type; when strict, UnknownKey
    for keys of a dataclass that it does not know, which are ignored otherwise."""
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=3)
    except Exception as e:
        raise ValueError(f"{len(data)} bytes cannot be read as msgpack: {e}") from e
    return convert(value, kind, strict)


def convert(value: Any, kind: Any, strict: bool = False) -> Any:
    """Make of a value that msgpack gave one of a type: dataclasses, lists, tuples, maps, unions of such, and plain ones."""
    if kind is Any or kind is None or isinstance(kind, (str, typing.TypeVar)):
        return value
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if value is None and (origin or kind) in _EMPTY:
        return _EMPTY[origin or kind]()  # Go writes so what was never filled
    if origin in (typing.Union, types.UnionType):
        return _union(value, args, strict)
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, strict)
    if origin in (list, Sequence, set, frozenset) or origin is typing.get_origin(Sequence[Any]):
        each = args[0] if args else Any
        made = [convert(v, each, strict) for v in _expect(value, (list, tuple), kind)]
        return made if origin not in (set, frozenset) else origin(made)
    if origin is tuple:
        _expect(value, (list, tuple), kind)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(convert(v, args[0], strict) for v in value)
        if len(args) != len(value):
            raise ValueError(f"there are {len(value)} values; {kind} has {len(args)}")
        return tuple(convert(v, a, strict) for v, a in zip(value, args))
    if origin in (dict, typing.get_origin(Mapping[Any, Any])):
        _expect(value, (dict,), kind)
        return {convert(k, args[0], strict): convert(v, args[1], strict) for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, bool):
        raise ValueError("a bool is no int")
    return _expect(value, (kind,), kind) if isinstance(kind, type) else value


def _expect(value: Any, kinds: tuple[type, ...], wanted: Any) -> Any:
    if not isinstance(value, kinds):
        raise ValueError(f"a value is {type(value).__name__}; it should be {getattr(wanted, '__name__', wanted)}")
    return value


def _union(value: Any, kinds: Sequence[Any], strict: bool) -> Any:
    why: Optional[ValueError] = None
    for kind in kinds:
        if kind is type(None):
            if value is None:
                return None
            continue
        try:
            return convert(value, kind, strict)
        except ValueError as e:
            why = e
    if isinstance(why, UnknownKey) and len([k for k in kinds if k is not type(None)]) == 1:
        raise why
    raise ValueError(f"a value is of none of the types {kinds}: {why}")


def _dataclass(value: Any, kind: Any, strict: bool) -> Any:
    _expect(value, (dict,), kind)
    known = [wire_name(f) for f in dataclasses.fields(kind) if f.init]
    for key in value:
        if strict and key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise UnknownKey(f"key {key!r}: {kind.__name__} has the keys {', '.join(known)}{hint}")
    hints = typing.get_type_hints(kind)
    given = {}
    for f in dataclasses.fields(kind):
        if f.init and wire_name(f) in value:
            given[f.name] = convert(value[wire_name(f)], hints.get(f.name, Any), strict)
    try:
        return kind(**given)
    except TypeError as e:
        raise ValueError(f"{kind.__name__}: {e}") from e
