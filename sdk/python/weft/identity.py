"""Who an instance is: what its agent handed down by a descriptor, or what the user said by environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from . import endpoints, wire

_MAX_IDENTITY = 1 << 20


@dataclass(frozen=True)
class Identity:
    """What an instance needs to know to join the fabric."""

    service: str
    endpoints: list[str] = field(default_factory=list)
    version: str = ""
    container: str = ""
    token: str = field(default="", repr=False)
    node: str = ""
    slots: int = 1
    sessions: int = 10
    keeps_scheme: bool = False


def inherited() -> Identity | None:
    """Read the identity from the descriptor that WEFT_IDENTITY_FD names, once; None when there is none.

    Raises ValueError when it cannot be read.
    """
    number = os.environ.pop("WEFT_IDENTITY_FD", "")
    if not number:
        return None
    if not number.isdecimal() or int(number) < 3:
        raise ValueError(f"WEFT_IDENTITY_FD is {number!r}; it should be the number of a descriptor from 3 on")
    with os.fdopen(int(number), "rb") as stream:
        data = stream.read(_MAX_IDENTITY + 1)
    if len(data) > _MAX_IDENTITY:
        raise ValueError(f"the identity has more than {_MAX_IDENTITY} bytes")
    return parse(data)


def parse(data: bytes) -> Identity:
    """Read an identity. Raises ValueError."""
    body = wire.unpack_body(data)
    names = body.get("endpoints")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("the identity's endpoints should be texts, at least one")
    service = wire.text(body, "service")
    if not service:
        raise ValueError("the identity has no service")
    return Identity(
        service=service,
        endpoints=[endpoints.complete(name) for name in names],
        version=wire.text(body, "version"),
        container=wire.text(body, "container"),
        token=wire.text(body, "token"),
        node=wire.text(body, "node"),
        slots=max(1, wire.number(body, "slots")),
        sessions=max(1, wire.number(body, "sessions")),
        keeps_scheme=bool(body.get("keeps_scheme")),
    )


def by_hand(service: str | None, broker: str | None) -> Identity:
    """Give the identity of an instance that no agent started. Raises ValueError when nobody names the service."""
    name = service or os.environ.get("WEFT_SERVICE", "")
    if not name:
        raise ValueError("no agent started this instance: name its service by WEFT_SERVICE (and the broker by WEFT_BROKER)")
    return Identity(service=name, endpoints=endpoints.several(broker))
