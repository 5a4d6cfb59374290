"""A few words for writing loops and vector code with llvmlite."""

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir

I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
POINTER = ir.PointerType()
VOID = ir.VoidType()


def integer(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


class Code:
    """Writes into one function; `lanes` elements make a vector.

    All addresses are a pointer and an offset in elements.
    """

    def __init__(self, function: ir.Function, element: ir.Type, lanes: int) -> None:
        self.b = ir.IRBuilder(function.append_basic_block())
        self.function = function
        self.element = element
        self.lanes = lanes
        self.vector = ir.VectorType(element, lanes)
        self.align = 8 if isinstance(element, ir.DoubleType) else 4

    # Integers.

    def add(self, *terms: ir.Value | int) -> ir.Value:
        """The sum of 64-bit integers, one number; those that are known ahead are added here."""
        known = sum(term for term in terms if isinstance(term, int))
        values = [term for term in terms if not isinstance(term, int)]
        result = values[0] if values else integer(known)
        for value in values[1:]:
            result = self.b.add(result, value)
        return self.b.add(result, integer(known)) if values and known else result

    def mul(self, x: ir.Value, y: ir.Value | int) -> ir.Value:
        """The product of two 64-bit integers, one number."""
        return self.b.mul(x, integer(y) if isinstance(y, int) else y)

    def row(self, index: ir.Value, stride: ir.Value | int) -> ir.Value:
        """Where row `index` begins, one number: an offset in elements.

        Frozen, so that LLVM takes it for a number of its own and does not look for the best way to
        step all addresses through all loops around it: a fifth of the time of code generation, and
        no faster code.
        """
        start = self.mul(index, stride)
        frozen = ir.instructions.Instruction(self.b.block, start.type, "freeze", (start,))
        self.b._insert(frozen)  # llvmlite has no word for it
        return frozen

    def minimum(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """The smaller of two integers, one number."""
        return self.b.select(self.b.icmp_signed("<", x, y), x, y)

    # Memory.

    def at(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The address of one element."""
        if isinstance(offset, int):
            offset = integer(offset)
        return self.b.gep(pointer, [offset], source_etype=self.element)

    def slot(self, data: ir.Value, index: int, kind: ir.Type) -> ir.Value:
        """The 64-bit word `index` of an argument block, one number: an integer or a pointer."""
        word = self.b.gep(data, [integer(index)], source_etype=I64)
        return self.b.load(word, typ=kind, align=8)

    def load(self, pointer: ir.Value, offset: ir.Value | int, count: int | None = None) -> ir.Value:
        """A vector of `lanes` elements; or its first `count` lanes, and zeros beyond, where nothing
        is read."""
        place = self.at(pointer, offset)
        if count is None:
            return self.b.load(place, typ=self.vector, align=self.align)
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        function = self._masked("load", ir.FunctionType(
            self.vector, [POINTER, I32, ir.VectorType(I1, self.lanes), self.vector]
        ))  # fmt: skip
        align = ir.Constant(I32, self.align)
        return self.b.call(function, [place, align, self._mask(count), zero])

    def store(
        self, value: ir.Value, pointer: ir.Value, offset: ir.Value | int, count: int | None = None
    ) -> None:
        """Write a vector of `lanes` elements, or its first `count` lanes only."""
        place = self.at(pointer, offset)
        if count is None:
            self.b.store(value, place, align=self.align)
            return
        function = self._masked("store", ir.FunctionType(
            VOID, [self.vector, POINTER, I32, ir.VectorType(I1, self.lanes)]
        ))  # fmt: skip
        self.b.call(function, [value, place, ir.Constant(I32, self.align), self._mask(count)])

    def prefetch(self, pointer: ir.Value, offset: ir.Value | int) -> None:
        """Ask for the cache line of one element, which need not exist."""
        name = "llvm.prefetch.p0"
        signature = ir.FunctionType(VOID, [POINTER, I32, I32, I32])
        known = self.b.module.globals.get(name)
        function = known or ir.Function(self.b.module, signature, name)
        for_reading, to_first_cache, data = (ir.Constant(I32, value) for value in (0, 3, 1))
        place = self.at(pointer, offset)
        self.b.call(function, [place, for_reading, to_first_cache, data])

    def load_scalar(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """One element, a scalar."""
        return self.b.load(self.at(pointer, offset), typ=self.element, align=self.align)

    def _mask(self, count: int) -> ir.Constant:
        return ir.Constant(ir.VectorType(I1, self.lanes), [i < count for i in range(self.lanes)])

    def _masked(self, what: str, signature: ir.FunctionType) -> ir.Function:
        suffix = "f64" if isinstance(self.element, ir.DoubleType) else "f32"
        name = f"llvm.masked.{what}.v{self.lanes}{suffix}.p0"
        known = self.b.module.globals.get(name)
        return known or ir.Function(self.b.module, signature, name)

    def splat(self, scalar: ir.Value) -> ir.Value:
        """A vector with the scalar in every one of its lanes."""
        start = ir.Constant(self.vector, ir.Undefined)
        first = self.b.insert_element(start, scalar, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.b.shuffle_vector(first, start, order)

    # Control.

    def loop(
        self, start: ir.Value, end: ir.Value, step: int | ir.Value, body: Callable[[ir.Value], Any]
    ) -> ir.Value:
        """`i = start; while i + step <= end: body(i); i += step`, i one number; returns the last
        i."""
        if _is_once(start, end, step):
            body(start)
            return end
        before = self.b.block
        head = self.function.append_basic_block()
        inside = self.function.append_basic_block()
        after = self.function.append_basic_block()
        self.b.branch(head)
        self.b.position_at_end(head)
        index = self.b.phi(I64)
        index.add_incoming(start, before)
        following = self.add(index, step)
        self.b.cbranch(self.b.icmp_signed("<=", following, end), inside, after)
        self.b.position_at_end(inside)
        body(index)
        index.add_incoming(following, self.b.block)
        self.b.branch(head)
        self.b.position_at_end(after)
        return index

    def fold(
        self, count: ir.Value, start: list[ir.Value],
        step: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:  # fmt: skip
        """`values = start; for i in range(count): values = step(i, values)`, held in registers:
        each of them a vector or a scalar. count must be at least 1."""
        b, before = self.b, self.b.block
        head = self.function.append_basic_block("fold")
        after = self.function.append_basic_block()
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(I64)
        index.add_incoming(integer(0), before)
        running = [b.phi(value.type) for value in start]
        found = step(index, list(running))
        following = b.add(index, integer(1))
        index.add_incoming(following, head)
        for phi, first, new in zip(running, start, found, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(new, head)
        b.cbranch(b.icmp_signed("<", following, count), head, after)
        b.position_at_end(after)
        return found

    def when(self, condition: ir.Value, body: Callable[[], None]) -> None:
        """What `body` writes runs if the condition, one bit and no vector, is true."""
        inside = self.function.append_basic_block()
        after = self.function.append_basic_block()
        self.b.cbranch(condition, inside, after)
        self.b.position_at_end(inside)
        body()
        self.b.branch(after)
        self.b.position_at_end(after)


def _is_once(start: ir.Value, end: ir.Value, step: int | ir.Value) -> bool:
    """Whether it is known ahead that a loop runs just once, as over the tiles of a narrow block."""
    both_known = isinstance(start, ir.Constant) and isinstance(end, ir.Constant)
    return both_known and end.constant - start.constant == step
