"""Calls of every public function with arguments of any kind: a clean exception or an answer, and no reference lost.

An argument is a Python expression, so that a failing call prints as something to paste. Clean are TypeError, ValueError
and MemoryError, and what an argument of the caller's own raises; IndexError, AttributeError and the like say that an
argument went further than it should have. Crashes and hangs are the runner's to see.
"""

import gc
import inspect
import itertools
import re
import resource
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

import fastconv
from fastconv import geometry, grad

MODULES = {"fastconv": fastconv, "grad": grad, "geometry": geometry}
FUNCTIONS = sorted(
    f"{name}.{function}"
    for name, module in MODULES.items()
    for function in module.__all__
    if callable(getattr(module, function)) and function not in ("set_num_threads", "threads", "show_config")
)
CLEAN = ("TypeError", "ValueError", "DTypePromotionError")
MOST_BYTES = 2 << 30  # of addresses beyond what the process has already


class Oops(Exception):  # noqa: N818
    """What objects below raise."""


class Raises:
    """An object of which one method raises; the others do what they should."""

    def __init__(self, method):
        def oops(self, *arguments, **options):
            raise Oops(method)

        self.__class__ = type("Raises", (Raises,), {method: oops, "__init__": object.__init__})


class Endless:
    """A sequence that says it has two entries, and never comes to its end."""

    def __len__(self):
        return 2

    def __iter__(self):
        return itertools.count(1)


class Turned(int):
    """An int that says it is another one."""

    def __index__(self):
        return -7


class Shifty:
    """What it makes of itself is different each time."""

    count = 0

    def __array__(self, dtype=None, copy=None):
        self.count += 1
        return np.ones((1,) * (self.count % 6), np.float32)


def ones(*shape, dtype="f4"):
    return np.ones(shape, dtype)


def vast(*shape, dtype="f4"):
    """An array of one entry that says it has very many."""
    return np.broadcast_to(np.ones((), dtype), shape)


NAMES = {
    "np": np, "ones": ones, "vast": vast, "inf": float("inf"), "nan": float("nan"), "Raises": Raises, "Turned": Turned,
    "Endless": Endless, "Shifty": Shifty, "itertools": itertools,
}  # fmt: skip


def each(text):
    """Expressions with semicolons between them."""
    return tuple(part.strip() for part in text.split(";"))


ARRAYS = each(r"""
    ones(1, 4, 6); ones(2, 4, 5, 7); ones(1, 4, 3, 4, 5); ones(4, 5, 7); ones(4, 4, 3, 3); ones(4, 1, 3, 3);
    ones(8, 4, 3, 3); ones(4, 4, 1); ones(4, 4, 2, 2, 2); ones(4); ones(8); ones(1); ones(0, 4, 5, 7);
    ones(1, 0, 5, 5); ones(1, 4, 0, 5); ones(3, 4, 4, 4, dtype='f8'); ones(2, 4, 5, 7, dtype='f2');
    ones(2, 4, 5, 7, dtype='i8')
""")
STRANGE_ARRAYS = each(r"""
    ones(); ones(1, 1, 1, 1, 1, 1, 1); ones(2, 4, 5, 7, dtype='O'); ones(2, 4, 5, 7, dtype='c8');
    np.array(['a']); np.zeros((1, 4, 5, 5), 'i2,f4'); np.ma.masked_array(ones(1, 4, 5, 5), True);
    [[1.0], [2, 3]]; vast(1, 1, 2**22, 2**22); vast(2**60, 1, 1); vast(1, 2**40, 1, 1); vast(0, 2**55, 3, 3);
    np.matrix([[1, 2]]); np.array(None); np.datetime64('2020-01-01'); memoryview(b'abcd'); bytearray(8);
    [[[[1.0, nan]]]]; Raises('__array__'); Raises('__dlpack__'); Raises('__getattr__'); Shifty();
    np.ones((1, 4, 5, 5), '>f4'); np.arange(4.0)[::-1]; np.array([nan, inf]); ones(2, 4, 5, 7)[..., ::-2];
    [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
""")
NUMBERS = each(r"""
    0; 1; 2; 3; 4; -1; 7; np.int64(2); np.uint8(3); np.array(2); True; 2.0; np.float32(2)
""")
HUGE = each(r"""
    2**31; 2**32 + 1; 2**62; 2**63 - 1; 2**63; -2**63; 10**40; 2**20; 5000; Turned(2)
""")
SEQUENCES = each(r"""
    (1, 2); (2, 2); [1, 1]; (1,); (1, 1, 1); ((1, 0), (0, 1)); ((1, 2),); range(2); (2.0, 1); np.array([1, 2]);
    (1, (2, 3)); (i for i in (1, 2)); (2**40, 1); (0, 0); (-1, 1); (); [[[1]]]; ((1, 1), (1, 1), (1, 1));
    (4, 4); (1, 4, 5, 5); (4, 4, 3, 3)
""")
STRINGS = each(r"""
    'same'; 'valid'; 'SAME'; ''; 'reflect'; 'zeros'; 'circular'; 'NHWC'; 'NCHW'; 'relu'; 'direct'; 'nearest';
    'bilinear'; 'auto'; 'dcr'; b'same'; '\ud800'; 'x' * 10000
""")
ANYTHING = each(r"""
    None; False; nan; inf; 1j; object(); int; {}; {'a': 1}; {1, 2}; lambda: 1; Ellipsis; slice(1);
    itertools.count(); Endless(); Raises('__index__'); Raises('__iter__'); Raises('__len__'); Raises('__eq__');
    Raises('__bool__'); Raises('__repr__'); Raises('__hash__'); Raises('__getitem__'); vast(2**40, dtype='i8');
    range(2**60); ('leaky_relu', 0.1); ('leaky_relu', nan); ('leaky_relu',); geometry.Conv(3);
    [geometry.Conv(3), geometry.Pool(2)]; np.float64; type('T', (), {})()
""")
POOLS = (ARRAYS, STRANGE_ARRAYS, NUMBERS, HUGE, SEQUENCES, STRINGS, ANYTHING)
IN_PLACE = ("input", "weight", "bias", "grad_output", "residual", "out", "indices")
WORDS = dict.fromkeys(("padding_mode", "layout", "algorithm", "mode", "order", "activation"), STRINGS)
WORDS["layers"] = each("[geometry.Conv(3), geometry.Pool(2)]; [geometry.Conv(3, 2)] * 4; []")


FITTING = {  # by the number of spatial axes
    "input": ("ones(2, 4, 6)", "ones(2, 4, 5, 7)", "ones(1, 4, 3, 4, 5)"),
    "weight": ("ones(4, 4, 2)", "ones(4, 4, 3, 3)", "ones(4, 4, 2, 2, 2)"),
    "bias": ("ones(4)",) * 3,
    "grad_output": ("ones(2, 4, 5)", "ones(2, 4, 3, 5)", "ones(1, 4, 2, 3, 4)"),
    "input_size": ("(2, 4, 6)", "(2, 4, 5, 7)", "(1, 4, 3, 4, 5)"),
    "weight_size": ("(4, 4, 2)", "(4, 4, 3, 3)", "(4, 4, 2, 2, 2)"),
    "needs": ("(True, True, False)",) * 3,
}


class Arguments(NamedTuple):
    """A call with these expressions as arguments; those of a layer's own call behind."""

    function: str
    positional: tuple[str, ...]
    keywords: dict[str, str]
    called: tuple[str, ...] = ()


def parameters(function):
    """The names of a function's parameters, or of those of a class's construction."""
    return [name for name in inspect.signature(function).parameters if not name.startswith("_")]


def likely(rng, name, axes):
    if name in FITTING and rng.random() < 0.8:
        return FITTING[name][axes - 1]
    if name in IN_PLACE:
        return rng.choice(ARRAYS)
    return rng.choice(WORDS.get(name) or (NUMBERS if rng.random() < 0.6 else SEQUENCES))


def draw(rng):
    """A call whose arguments mostly make some sense: nothing gets far with two mistakes."""
    name = rng.choice(FUNCTIONS)
    names = parameters(resolve(name))
    axes = int(re.search(r"[123](?=d)|$", name).group() or 2)
    odd = rng.choice((0.0, 0.1, 0.1, 0.3, 0.8))
    given = names[: rng.randint(0 if rng.random() < 0.1 else min(2, len(names)), len(names))]
    values = [rng.choice(rng.choice(POOLS)) if rng.random() < odd else likely(rng, each, axes) for each in given]
    split = rng.randint(0, len(values))
    keywords = dict(zip(given[split:], values[split:], strict=True))
    if rng.random() < 0.05:
        keywords["surprise"] = "1"
    called = (rng.choice(ARRAYS if rng.random() < 0.7 else rng.choice(POOLS)),) if name[9].isupper() else ()
    return Arguments(name, tuple(values[:split]), keywords, called)


def resolve(name):
    module, function = name.split(".")
    return getattr(MODULES[module], function)


def evaluate(expression):
    return eval(expression, {**NAMES, "geometry": geometry})


def limit_memory():
    """A call for terabytes fails at once, and one for gigabytes does not wait for the disk."""
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def call(case, values: list[Any]):
    positional = values[: len(case.positional)]
    named = dict(zip(case.keywords, values[len(positional) :], strict=False))
    made = resolve(case.function)(*positional, **named)
    return made(*values[len(positional) + len(named) :]) if case.called and callable(made) else made


def check(case):
    """Make the call; raise if it ends in any but the allowed ways, or keeps hold of an argument."""
    values = [evaluate(text) for text in (*case.positional, *case.keywords.values(), *case.called)]
    before = [sys.getrefcount(value) for value in values]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(case, values)
        except (MemoryError, Oops):
            pass
        except (TypeError, ValueError) as error:
            if type(error).__name__ not in CLEAN:  # an AxisError is about an array that the caller never saw
                raise
            assert str(error), f"a {type(error).__name__} without a word"
    check_references(values, before)


def check_references(values, before):
    for _ in range(2):
        after = [sys.getrefcount(value) for value in values]
        if all(n <= m or is_shared(value) for value, n, m in zip(values, after, before, strict=True)):
            return
        gc.collect()
    held = [(type(v).__name__, m, n) for v, n, m in zip(values, after, before, strict=True) if n > m]
    raise AssertionError(f"references kept (type, before, after): {held}")


def is_shared(value):
    """Small numbers, names and the like belong to the whole process."""
    alone = (type(None), bool, int, str, bytes, type, type(Ellipsis))
    return isinstance(value, alone) or (isinstance(value, tuple) and not value)


KINDS = (Arguments,)
