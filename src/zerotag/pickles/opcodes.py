"""The opcodes of a pickle, walked one by one: each puts plain values on a stack, or puts those there together.

Arguments of opcodes are read by ``pickletools`` of the standard library, which executes nothing.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable
from io import BytesIO
from typing import Any

from zerotag.pickles.allowance import Refused
from zerotag.pickles.stack import Stack, asks_for

END, STOP = b"", b"."
NEWEST_PROTOCOL = 5
LONGEST_REASON = 300
Action = Callable[[Stack, Any], None]


def content_of(pickled: bytes) -> Any:
    """The plain data in a pickle.

    Raises:
        Refused: it is damaged, or holds something else.
    """
    opened, stack = BytesIO(pickled), Stack(len(pickled))
    read, tell = opened.read, opened.tell
    position = 0
    try:
        while (code := read(1)) != STOP:
            argument_of, act = OPCODES[code]
            act(stack, argument_of(opened))
            position = tell()
        if left := len(pickled) - tell():
            raise Refused(f"it goes on for {left:,} bytes after its end; a file of several pickles cannot be read")
        return stack.whole()
    except MemoryError:
        raise
    except Refused as error:
        reason = str(error)
    except Exception as error:  # what damage makes of an argument can raise anything
        reason = f"it is damaged ({error})"
    raise Refused(f"{reason[:LONGEST_REASON]} (at byte {position:,} of {len(pickled):,})")


def _python_2_text(opened: BytesIO) -> str:
    """The text of a quoted line; that of ``pickletools`` may hold no byte beyond ASCII."""
    line = opened.readline()
    quote = line[:1]
    if quote not in (b"'", b'"') or len(line) < 3 or not line.endswith(quote + b"\n"):
        raise Refused("it has a text that does not end, or is not in quotes")
    return codecs.escape_decode(line[1:-2])[0].decode("latin-1")


def _no_argument(_: BytesIO) -> None:
    return None


def _ask(stack: Stack, pair: str) -> None:
    stack.ask(pair.replace(" ", "."))


def _ask_for_last(stack: Stack, _: None) -> None:
    module, name = stack.last(2)
    if type(name) is not str or type(module) is not str:
        raise Refused("it asks for something whose name is no text")
    stack.ask(f"{module}.{name}")


def _make_dict(stack: Stack, _: None) -> None:
    entries = stack.since_mark()
    stack.push({})
    stack.update(entries)


def _check_protocol(_: Stack, number: int) -> None:
    if number > NEWEST_PROTOCOL:
        raise Refused(f"it is of protocol {number}; those up to {NEWEST_PROTOCOL} can be read")


def _refuse(name: str) -> Action:
    """Refuse an opcode of classes and their objects, whose argument may be the path of one."""

    def act(_: Stack, argument: Any) -> None:
        raise asks_for(argument.replace(" ", ".") if isinstance(argument, str) else name)

    return act


def _refuse_end(_: Stack, __: None) -> None:
    raise Refused("it ends before it is whole; it was cut off")


# what each opcode does, given the stack and the opcode's argument
ACTIONS: dict[str, Action] = {
    "PROTO": _check_protocol,
    "FRAME": lambda stack, length: None,
    "NONE": lambda stack, _: stack.push(None),
    "NEWTRUE": lambda stack, _: stack.push(True),
    "NEWFALSE": lambda stack, _: stack.push(False),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"), Stack.push_number),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), Stack.push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), Stack.push),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), Stack.push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), Stack.push),
    "EMPTY_LIST": lambda stack, _: stack.push([]),
    "EMPTY_DICT": lambda stack, _: stack.push({}),
    "EMPTY_TUPLE": lambda stack, _: stack.push(()),
    "MARK": lambda stack, _: stack.mark(),
    "TUPLE1": lambda stack, _: stack.push(stack.last(1)),
    "TUPLE2": lambda stack, _: stack.push(stack.last(2)),
    "TUPLE3": lambda stack, _: stack.push(stack.last(3)),
    "TUPLE": lambda stack, _: stack.push(tuple(stack.since_mark())),
    "LIST": lambda stack, _: stack.push(stack.since_mark()),
    "DICT": _make_dict,
    "APPEND": lambda stack, _: stack.extend([*stack.last(1)]),
    "APPENDS": lambda stack, _: stack.extend(stack.since_mark()),
    "SETITEM": lambda stack, _: stack.update([*stack.last(2)]),
    "SETITEMS": lambda stack, _: stack.update(stack.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Stack.put),
    "MEMOIZE": lambda stack, _: stack.put_next(),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Stack.get),
    "GLOBAL": _ask,
    "STACK_GLOBAL": _ask_for_last,
    "REDUCE": lambda stack, _: stack.call(*stack.last(1)),
    "BUILD": lambda stack, _: stack.set_state(*stack.last(1)),
}
READERS: dict[str, Callable[[BytesIO], Any]] = {
    opcode.name: opcode.arg.reader if opcode.arg else _no_argument for opcode in pickletools.opcodes
} | {"STRING": _python_2_text}
OPCODES = {
    opcode.code.encode("latin-1"): (READERS[opcode.name], ACTIONS.get(opcode.name, _refuse(opcode.name)))
    for opcode in pickletools.opcodes
} | {END: (_no_argument, _refuse_end)}
