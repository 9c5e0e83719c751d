#!/usr/bin/python3
"""The service typos: finds for words that are rare in some texts the word among the frequent ones that is nearest.

The session's parameters are the frequent words, most frequent first, and how far a near one may be; a task is a list of
rare words. Nothing but the standard library computes.
"""

import os
import pathlib
import sys
from dataclasses import dataclass
from typing import Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "sdk" / "python"))  # where it is not installed

import weft  # noqa: E402
from weft import typed  # noqa: E402


@dataclass
class Parameters:
    """What a session is about."""

    frequent: list[str]
    limit: int


@dataclass
class Match:
    """A rare word, the frequent one that is nearest, and how many letters have to be changed, added or left out."""

    word: str
    near: str
    distance: int


@dataclass
class Answer:
    """The matches of one task, and who found them."""

    instance: str
    matches: list[Match]


def letters(word: str) -> int:
    """Which letters a word has, as a set of bits."""
    bits = 0
    for c in word:
        bits |= 1 << (ord(c) % 61)
    return bits


class Index:
    """The frequent words by their lengths, so that few of them have to be looked at."""

    def __init__(self, parameters: Parameters) -> None:
        self.limit = parameters.limit
        self.lengths: dict[int, list[tuple[int, int, str]]] = {}
        for rank, word in enumerate(parameters.frequent):
            self.lengths.setdefault(len(word), []).append((letters(word), rank, word))

    def nearest(self, word: str) -> Optional[tuple[str, int]]:
        """The nearest word and its distance; of equally near ones the most frequent. None when none is near enough."""
        place = {c: sum(1 << i for i, each in enumerate(word) if each == c) for c in set(word)}
        mine, most = letters(word), 2 * self.limit
        best: Optional[tuple[int, int, str]] = None
        for length in range(len(word) - self.limit, len(word) + self.limit + 1):
            for theirs, rank, other in self.lengths.get(length, ()):
                # Each change makes at most two letters come or go.
                if (mine ^ theirs).bit_count() > most:
                    continue
                distance = self.distance(place, len(word), other)
                if distance <= self.limit and (best is None or (distance, rank) < best[:2]):
                    best = (distance, rank, other)
        return (best[2], best[0]) if best else None

    @staticmethod
    def distance(place: dict[str, int], length: int, other: str) -> int:
        """Levenshtein's distance, a column of the table in one step (Myers 1999): Python's integers are as wide as it
        takes."""
        mask, last = (1 << length) - 1, 1 << (length - 1)
        plus, minus, distance = mask, 0, length
        for c in other:
            equal = place.get(c, 0)
            across = equal | minus
            down = (((equal & plus) + plus) ^ plus) | equal
            up = minus | ~(down | plus) & mask
            less = plus & down
            distance += bool(up & last) - bool(less & last)
            up = up << 1 | 1
            plus = (less << 1 | ~(across | up)) & mask
            minus = up & across & mask
        return distance


class Typos(weft.Service):
    """The five hooks; two of them are enough here."""

    def on_session_bind(self, session: weft.SessionContext) -> None:
        """Make the index once for all tasks of the session."""
        session.state = Index(typed.unpack(session.parameters, Parameters))

    def on_task_exec(self, task: weft.TaskContext) -> bytes:
        """Look for each word of the task."""
        index: Index = task.session.state
        answer = Answer(str(os.getpid()), [])
        for word in typed.unpack(task.payload, list[str]):
            if found := index.nearest(word):
                answer.matches.append(Match(word, *found))
        return typed.pack(answer)


if __name__ == "__main__":
    weft.serve(Typos())
