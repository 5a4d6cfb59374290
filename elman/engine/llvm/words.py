"""Argument blocks: 64-bit words, put in order by Python and loaded by compiled code.

A block is made of records. Each is a NamedTuple of numbers and addresses, and one class serves both
sides: an instance of integers is the words themselves, in their order, and `load` gives an instance
of LLVM's values for them.
"""

from typing import Annotated, Any, TypeVar, get_type_hints

import llvmlite.ir as ir

from elman.engine.llvm.builder import I64, POINTER, Code, integer

Number = Annotated[Any, I64]
Address = Annotated[Any, POINTER]

R = TypeVar("R", bound=tuple[Any, ...])


def load(code: Code, block: ir.Value, record: type[R], start: int = 0) -> R:
    """The record that begins at the word `start` of a block; each field is one number or
    address."""
    hints = get_type_hints(record, include_extras=True)
    kinds = [hints[name].__metadata__[0] for name in record._fields]  # type: ignore[attr-defined]
    return record(*[code.slot(block, start + index, kind) for index, kind in enumerate(kinds)])


def place_of(
    code: Code, block: ir.Value, record: type[tuple[Any, ...]], start: int, number: ir.Value
) -> Any:
    """The address, one number, of record `number`, of several of a kind that begin at the word
    `start`."""
    size = len(record._fields)  # type: ignore[attr-defined]
    first = code.b.gep(block, [integer(start)], source_etype=I64)
    return code.b.gep(first, [code.mul(number, size)], source_etype=I64)
