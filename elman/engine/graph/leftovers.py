"""What torch keeps of every trace for as long as the process runs, let go again.

Its caches of sizes belong to a class and have no limit, so they hold every environment of symbols
that there ever was; and the source of every graph's code is kept for tracebacks.
"""

import linecache
from typing import Any

from torch.fx import GraphModule, graph_module
from torch.fx.experimental.symbolic_shapes import ShapeEnv

_CACHES = [value for value in vars(ShapeEnv).values() if hasattr(value, "cache_clear")]


def forget_sizes() -> None:
    """Of all environments: what another one asks again is computed again."""
    for cache in _CACHES:
        cache.cache_clear()


def without_source(module: GraphModule) -> GraphModule:
    """The module; its code is there, but no traceback shows its lines."""
    code = getattr(type(module).forward, "__code__", None)
    loader: Any = getattr(graph_module, "_loader", None)
    if code is not None and loader is not None:
        loader.eval_cache.pop(code.co_filename, None)
        linecache.cache.pop(code.co_filename, None)
    return module
