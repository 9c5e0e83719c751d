"""Reads protocol/testdata/golden: messages in hexadecimal with notes, as docs/rfc shows them."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "protocol" / "testdata" / "golden"
_HEX = re.compile(r"^([0-9a-f]{2}(?: [0-9a-f]{2})*)(?:\s{2,}.*)?$")
_PAYLOAD = re.compile(r"^# payload frame \d+: (\d+) bytes$")


@dataclass
class Example:
    """One message of a dialog."""

    dialog: str
    name: str
    frame: bytes = b""
    payload_sizes: list[int] = field(default_factory=list)

    @property
    def message(self) -> list[bytes]:
        """The message, with payload frames of zeros."""
        return [self.frame, *(bytes(size) for size in self.payload_sizes)]


def examples() -> list[Example]:
    """All messages of all dialogs."""
    found: list[Example] = []
    for path in sorted(FOLDER.glob("*.txt")):
        begin = True  # an example begins with its name
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line:
                begin = True
                continue
            if begin and line.startswith("# "):
                found.append(Example(path.stem, line[2:]))
            elif match := _PAYLOAD.match(line):
                found[-1].payload_sizes.append(int(match[1]))
            elif match := _HEX.match(line):
                found[-1].frame += bytes.fromhex(match[1])
            elif not line.startswith("# "):
                raise ValueError(f"{path.name}: {line!r}")
            begin = False
    return found
