"""Endpoints: what a user may write for one, and the list of control endpoints."""

from __future__ import annotations

import hashlib
import os
from typing import Iterable, Union

BASE_PORT = 7700


def complete(endpoint: str) -> str:
    """Give an endpoint in full: the scheme tcp:// and the port may have been left out. Raises ValueError."""
    endpoint = endpoint.strip()
    if not endpoint:
        raise ValueError("an endpoint is empty; it should be like tcp://HOST:PORT or ipc:///PATH")
    scheme, sep, rest = endpoint.partition("://")
    if not sep:
        scheme, rest = "tcp", endpoint
    if scheme == "ipc":
        if not rest.startswith("/"):
            raise ValueError(f"endpoint {endpoint!r}: the path of an ipc endpoint begins with /")
        return endpoint
    if scheme != "tcp":
        raise ValueError(f"endpoint {endpoint!r}: the scheme should be tcp or ipc")
    host, port = _split(rest)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"endpoint {endpoint!r}: it should be like tcp://HOST:PORT")
    return f"tcp://{host}:{port}"


def _split(rest: str) -> tuple[str, str]:
    """Split HOST or HOST:PORT; HOST may be an IPv6 address in brackets."""
    if rest.startswith("["):
        host, _, port = rest.partition("]")
        return host + "]", port[1:] if port.startswith(":") else str(BASE_PORT) if not port else ""
    host, sep, port = rest.partition(":")
    return host, port if sep else str(BASE_PORT)


def several(endpoints: Union[str, Iterable[str], None]) -> list[str]:
    """Give control endpoints in full. Several in one text are separated by commas; none: WEFT_BROKER, or this machine."""
    if endpoints is None:
        endpoints = os.environ.get("WEFT_BROKER") or f"tcp://127.0.0.1:{BASE_PORT}"
    if isinstance(endpoints, str):
        endpoints = endpoints.split(",")
    all_of_them = [complete(e) for e in endpoints]
    if not all_of_them:
        raise ValueError("there is no endpoint; name at least one broker")
    return all_of_them


def host() -> str:
    """A text that is equal for processes that can meet over ipc: of one boot of one machine, one network namespace and
    one user; empty where that cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
            boot = f.read().strip()
        namespace = os.readlink("/proc/self/ns/net")
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}\0{namespace}\0{os.getuid()}".encode()).hexdigest()[:32] if boot else ""
