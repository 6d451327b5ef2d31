"""The stack on which the parts of a pickle lie until they are put together."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from zerotag.pickles.allowance import Allowance, Refused
from zerotag.pickles.forms import PERMITTED, Dtype, Unfinished, called, finished
from zerotag.pickles.plain import DEEPEST, check_plain, checked_keys

MOST_BITS = 64
MOST_MARKS = 2 * DEEPEST
LONGEST_PATH = 80


class Stack:
    """Values in lists, one for each mark, and the memo of those that the file may want again.

    Attributes:
        values: those since the last mark.
    """

    def __init__(self, size: int) -> None:
        self.values: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._allowance = Allowance(size)

    def push(self, value: Any) -> None:
        """Put a value on top."""
        self.values.append(value)

    def push_number(self, number: int) -> None:
        """Put a whole number on top."""
        if number.bit_length() > MOST_BITS:
            raise Refused(f"it has a number of {number.bit_length():,} bits; those of up to {MOST_BITS} can be read")
        self.values.append(number)

    def mark(self) -> None:
        """Begin a list."""
        if len(self._below) >= MOST_MARKS:
            raise Refused(f"it has lists within lists, more than {DEEPEST} deep")
        self._below.append(self.values)
        self.values = []

    def since_mark(self) -> list[Any]:
        """Take off what was put there since the last mark."""
        since, self.values = self.values, self._below.pop()
        return since

    def last(self, number: int) -> tuple[Any, ...]:
        """Take the last values off."""
        if len(self.values) < number:
            raise Refused("it has a tuple of more values than there are")
        found = tuple(self.values[-number:])
        del self.values[-number:]
        return found

    def put(self, key: int) -> None:
        """Keep the value on top in the memo."""
        if not 0 <= key <= self._allowance.size:
            raise Refused(f"it keeps a value under the number {key}")
        self._memo[key] = value = self.values[-1]
        if type(value) is Unfinished:
            value.memo_keys.append(key)

    def put_next(self) -> None:
        """Keep the value on top under the next number."""
        self.put(len(self._memo))

    def get(self, key: int) -> None:
        """Put a value of the memo on top."""
        if key not in self._memo:
            raise Refused(f"it wants the value number {key}, which it never kept")
        self.values.append(self._memo[key])

    def extend(self, items: list[Any]) -> None:
        """Add items to the list on top."""
        if type(target := self.values[-1]) is not list:
            raise Refused("it puts an item into something that is no list")
        target += items

    def update(self, entries: list[Any]) -> None:
        """Add keys and values, in turn, to the dict on top."""
        if type(target := self.values[-1]) not in (dict, OrderedDict):
            raise Refused("it puts an entry into something that is no dict")
        target.update(zip(checked_keys(entries[::2]), entries[1::2], strict=True))

    def ask(self, path: Any) -> None:
        """Put a permitted function or class on top, which is but a name."""
        if path not in PERMITTED:
            raise asks_for(path)
        self.push(PERMITTED[path])

    def call(self, arguments: Any) -> None:
        """Replace the function on top by what it makes."""
        self.push(called(self.values.pop(), arguments, self._allowance))

    def set_state(self, state: Any) -> None:
        """Finish the array or dtype on top, here and in the memo."""
        target = self.values[-1]
        if type(target) is Dtype:
            target.set_state(state)
        elif type(target) is Unfinished:
            self.values[-1] = made = finished(state, self._allowance)
            self._memo |= {key: made for key in target.memo_keys if self._memo[key] is target}
        else:
            raise Refused("it asks for a change of something that is no array")

    def whole(self) -> Any:
        """The one value that is left at the end."""
        if self._below or len(self.values) != 1:
            raise Refused("it ends in the midst of a value")
        check_plain(self.values[0], self._allowance.size)
        return self.values[0]


def asks_for(path: str) -> Refused:
    """Why a pickle with a function or class is refused."""
    return Refused(f"it asks for '{path[:LONGEST_PATH]}', which is no array, list, dict, text or number")
