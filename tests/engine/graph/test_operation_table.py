"""What the table of operations names is there, everywhere, and nothing else is."""

import operator
from typing import get_args

import pytest
import torch
from torch import fx

from elman.engine.explain.formulas import LoopText, Names
from elman.engine.graph.operations import (
    ARITY,
    NEUTRAL,
    TABLE,
    Kind,
    PointwiseName,
    ReduceName,
)
from elman.engine.graph.schemas import bound
from elman.engine.llvm import math
from elman.engine.plan.parts import Loop
from elman.engine.program import interpret, lower, views
from elman.engine.program.row_program import Input, Pointwise, RowProgram
from elman.engine.program.stages import stages_of

NAMES = set(get_args(PointwiseName))


def test_every_elementwise_function_is_known_to_all_that_run_it():
    assert ARITY.keys() == NAMES
    assert interpret._FUNCTIONS.keys() == NAMES
    assert math._FUNCTIONS.keys() == NAMES


def test_every_reduction_is_known_to_all_that_run_it():
    reductions = set(get_args(ReduceName))
    assert NEUTRAL.keys() == reductions
    assert interpret._REDUCTIONS.keys() == reductions
    assert math.JOINS.keys() == reductions
    used = {one.reduce for one in TABLE.values()} - {None}
    assert used == reductions - {"sum"}  # which has a handler: whole slices are added


def test_functions_of_the_c_library_are_functions():
    assert set(math.CALLS) <= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_elementwise_function_is_printed(name):
    count = ARITY[name]
    ops = (*(Input(2, index) for index in range(count)), Pointwise(2, name, tuple(range(count))))
    program = RowProgram(torch.float32, ops, (), (count,), (2,) * count)
    graph = fx.Graph()
    nodes = [graph.placeholder(letter) for letter in "abcr"[:count] + "r"]
    loop = Loop(program, nodes[:-1], nodes[-1:], [], [])
    names = Names({node: node.name for node in nodes})
    (((_, formula, _),),) = LoopText(loop, stages_of(program), names, []).stages()
    assert all(letter in formula for letter in "abc"[:count])
    infix = {"add": "+", "sub": "-", "mul": "*", "div": "/", "neg": "-", "and": "&", "or": "|",
             "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}  # fmt: skip
    assert infix.get(name, name) in formula


def test_every_function_of_the_table_has_a_use():
    used = {one.pointwise for one in TABLE.values()} | {one.on_flags for one in TABLE.values()}
    assert used - {None} == NAMES


def test_every_handler_is_there_once_and_used():
    here, there = set(lower._HANDLERS), set(views._HANDLERS)
    assert not here & there
    assert here | there == {one.handler for one in TABLE.values()} - {None}


@pytest.mark.parametrize("name", TABLE)
def test_every_operation_is_one_of_torch(name):
    known = [getattr(namespace, name, None) for namespace in (torch.ops.aten, torch.ops.prims)]
    assert name == "getitem" or any(known)
    operation = TABLE[name]
    assert operation.name == name
    assert sum(map(bool, (operation.pointwise, operation.reduce, operation.handler))) <= 1


def test_what_loops_compute_is_of_a_known_kind():
    for operation in TABLE.values():
        if operation.pointwise or operation.reduce or operation.handler:
            assert operation.kind is not Kind.OTHER, operation.name


def test_arguments_by_their_names():
    graph = fx.Graph()
    x = graph.placeholder("x")
    cut = graph.call_function(torch.ops.aten.slice.Tensor, (x, 1), {"end": 3})
    assert bound(cut) == {"self": x, "dim": 1, "start": None, "end": 3, "step": 1}
    part = graph.call_function(operator.getitem, (x, 0))
    assert bound(part) == {"self": x, "index": 0}
    scaled = graph.call_function(torch.ops.aten.add.Tensor, (x, x), {"alpha": 2})
    assert bound(scaled)["alpha"] == 2
    with pytest.raises(TypeError, match="needs mat2"):
        bound(graph.call_function(torch.ops.aten.mm.default, (x,)))
