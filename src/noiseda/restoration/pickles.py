"""A pickle as what it says: containers, numbers, texts and tensors, of which nothing is built and nothing called.

Unpickling calls whatever a file names. Here a name stays a name: a tensor becomes its description (:class:`Lying`),
other objects that are known and harmless become :class:`Other`, and any further name refuses the file. No instruction
may take longer than the text that holds it, so that a short pickle is read in a short time.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

STEPS = 400_000
"""The longest pickle, in instructions; a network of a thousand tensors, with its optimiser, takes some 80,000."""

LONGEST_NAME = 200
_ENDLESS = f"is a pickle of more than {STEPS:,} instructions, which no network needs"


class PickleError(Exception):
    """What is wrong with a pickle, as the end of a sentence about its file."""


@dataclass(frozen=True)
class Name:
    """The name of a function or class."""

    name: str


@dataclass(frozen=True)
class Other:
    """An object that is no weight, of a class of this name."""

    name: str


@dataclass(frozen=True)
class Place:
    """Numbers in the file: how many of which type (or of which type of storage), and under which key."""

    type: str
    key: str
    count: int


@dataclass(frozen=True)
class Lying:
    """A tensor as the file describes it.

    Attributes:
        place: the numbers; None where they are none of its own.
        dtype: their type, as float32.
        offset: where among the numbers it begins.
        shape: its sides.
        strides: how many numbers lie from one to the next along each side.
        odd: what keeps it from being a plain tensor; empty where nothing does.
    """

    place: Place | None = None
    dtype: str = ""
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    odd: str = ""


DTYPES = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}  # fmt: skip
_ODD = {
    "_rebuild_qtensor": "quantised",
    "_rebuild_sparse_tensor": "sparse",
    "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "without values (of the device meta)",
    "_rebuild_wrapper_subclass": "of a class of its own",
    "_rebuild_device_tensor_from_numpy": "of another device",
    "_rebuild_device_tensor_from_cpu_tensor": "of another device",
}
_REBUILT = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
_PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")
_MAPPINGS = (
    r"collections\.(OrderedDict|Counter|defaultdict)|(builtins|__builtin__)\.dict|easydict\.EasyDict|"
    r"yacs\.config\.CfgNode|(pytorch_lightning|lightning|lightning_fabric)\.[\w.]*AttributeDict"
)
_HARMLESS = (
    rf"{_MAPPINGS}|(builtins|__builtin__)\.(list|tuple|set|frozenset|int|long|float|complex|str|unicode|bytes|bytearray|"
    r"bool|object|slice|range)|collections\.deque|_codecs\.encode|copy_?reg\._reconstructor|argparse\.Namespace|"
    r"types\.SimpleNamespace|pathlib\.(_local\.)?(Pure)?(Posix|Windows)?Path|datetime\.\w+|decimal\.Decimal|uuid\.UUID|"
    r"numpy\.(dtype|ndarray|dtypes\.\w+|(float|u?int|complex|bool|str|bytes|longdouble|void)_?\d*)|"
    r"numpy\._?core\.(multiarray|numeric)\.(scalar|_reconstruct|_frombuffer)|"
    r"omegaconf\.(dictconfig\.DictConfig|listconfig\.ListConfig|base\.\w+|nodes\.\w+)|typing\.\w+|"
    r"torch\.(Size|device|Tensor|\w+Storage|cuda\.\w+Storage|storage\.\w+Storage|nn\.parameter\.(Parameter|Buffer)|"
    r"(float|u?int|complex|bfloat|q?u?int)\d+\w*|bool|long|half|double|per_\w+|serialization\._get_layout|"
    r"_tensor\._rebuild_from_type_v2|_utils\._rebuild_\w+)"
)


def read(stream: IO[bytes], places: list[Place] | None = None) -> object:
    """What the pickle that begins here says; the stream is left at its end.

    Args:
        stream: the pickle.
        places: gets every place that it names.

    Raises:
        PickleError: It is broken, too long, or names what no file of weights needs.
    """
    machine = _Machine([] if places is None else places)
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= STEPS:
                raise PickleError(_ENDLESS)
            machine.run(instruction.name, argument)
        return machine.stack[-1]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PickleError("is a broken pickle; it may be truncated") from error


class _Machine:
    """The stack that a pickle's instructions work on."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.copied = 0
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:  # noqa: ANN401 (numbers, texts and bytes)
        """Carry out one instruction."""
        if name in _CONSTANTS:
            self.stack.append(argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(name)

    def pop(self) -> Any:  # noqa: ANN401
        """The topmost value, which is taken away; none from below a mark."""
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError
        return self.stack.pop()

    def marked(self) -> list[Any]:
        """All values above the last mark, which are taken away with it."""
        at = self.marks.pop()
        values = self.stack[at:]
        del self.stack[at:]
        return values

    def put(self, argument: Any) -> None:  # noqa: ANN401
        """Remember the topmost value."""
        self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]

    def tuple_of(self, count: int) -> None:
        """Replace the topmost values by a tuple of them."""
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def items(self, values: list[Any]) -> None:
        """Add keys and values to the topmost mapping; a key that is neither text nor number names no weight."""
        target = self.stack[-1]
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(target, dict) and (type(key) is str or (type(key) is int and key.bit_length() < 64)):
                target[key] = value

    def mapping(self, values: list[Any]) -> None:
        """Put a mapping of keys and values on the stack."""
        self.stack.append({})
        self.items(values)

    def elements(self, values: list[Any]) -> None:
        """Add values to the topmost list."""
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def named(self, name: str) -> None:
        """Put a name on the stack.

        Raises:
            PickleError: It is none that a file of weights needs.
        """
        if len(name) > LONGEST_NAME or not re.fullmatch(_HARMLESS, name):
            raise PickleError(
                f"is a pickle of more than weights ({_shown(name)}): refused, since it could run any code when opened; "
                "save the state_dict alone (torch.save(model.state_dict(), file))"
            )
        self.stack.append(Name(name))

    def made(self, arguments: Any, kind: Any) -> None:  # noqa: ANN401
        """Put on the stack what a function or class would make."""
        if not isinstance(kind, Name) or not isinstance(arguments, tuple):
            raise TypeError
        self.copied += sum(len(argument) for argument in arguments[:1] if isinstance(argument, list | tuple))
        if self.copied > STEPS:  # the same list, again and again
            raise PickleError(_ENDLESS)
        self.stack.append(_made(kind.name, arguments))

    def persistent(self) -> None:
        """Put on the stack the numbers that an identity stands for."""
        what, kind, key, _, count = self.pop()[:5]
        if what != "storage" or not isinstance(kind, Name) or type(count) is not int or type(key) not in (str, int):
            raise TypeError
        self.places.append(Place(kind.name.rpartition(".")[2].removesuffix("Storage"), str(key), count))
        self.stack.append(self.places[-1])


def _made(name: str, arguments: tuple[Any, ...]) -> object:
    own = name.rpartition(".")[2]
    if name.startswith("torch._utils."):
        if own in _REBUILT:
            return _lying(*arguments[:4], more=arguments[4:], typed=own.endswith("v3"))
        if own in _PARAMETERS:
            return arguments[0]
        return Lying(odd=_ODD.get(own, "of an unknown kind"))
    if name == "torch._tensor._rebuild_from_type_v2":  # a tensor of another class, or with attributes
        function, kind, inner = arguments[:3]
        if function.name == name:  # inside one another, as deep as it likes
            raise TypeError
        plain = kind.name in ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
        return _made(function.name, inner) if plain else Lying(odd="of a class of its own")
    if re.fullmatch(_MAPPINGS, name):
        given = arguments[0] if arguments else ()
        pairs = [pair for pair in given if isinstance(pair, list | tuple)] if isinstance(given, list | tuple) else ()
        return {key: value for key, value in pairs if type(key) is str}
    return Other(name)


def _lying(
    place: object, offset: object, shape: object, strides: object, *, more: tuple[Any, ...], typed: bool
) -> Lying:
    """A description of a tensor, if it makes sense."""
    if not isinstance(place, Place) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise TypeError
    if len(shape) > 64 or len(strides) > 64:  # torch's own limit
        raise TypeError
    if not all(type(number) is int for number in (offset, *shape, *strides)) or len(shape) != len(strides):
        raise TypeError
    dtype = more[2].name.removeprefix("torch.") if typed else DTYPES.get(place.type, "")
    odd = "" if dtype else "quantised" if place.type.startswith("Q") else f"of the type {_shown(place.type)}"
    flags = more[2 + typed] if len(more) > 2 + typed else None
    if isinstance(flags, dict) and (len(flags) > 2 or any(flags.values())):
        odd = odd or "negated or conjugated"
    assert type(offset) is int
    return Lying(place, dtype, offset, shape, strides, odd)


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])


_CONSTANTS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "NONE",
})  # fmt: skip

_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_SET": lambda m, _: m.stack.append(Other("set")),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP_MARK": lambda m, _: m.marked(),
    "POP": lambda m, _: m.pop(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), lambda m, argument: m.put(argument)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, argument: m.stack.append(m.memo[int(argument)])),
    "LIST": lambda m, _: m.stack.append(m.marked()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "DICT": lambda m, _: m.mapping(m.marked()),
    "FROZENSET": lambda m, _: m.stack.append(Other(f"frozenset of {len(m.marked())}")),
    "ADDITEMS": lambda m, _: m.marked(),
    "SETITEM": lambda m, _: m.items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.items(m.marked()),
    "APPEND": lambda m, _: m.elements([m.pop()]),
    "APPENDS": lambda m, _: m.elements(m.marked()),
    "GLOBAL": lambda m, argument: m.named(argument.replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda m, _: m.named(".".join([m.pop(), m.pop()][::-1])),
    "REDUCE": lambda m, _: m.made(m.pop(), m.pop()),
    "NEWOBJ": lambda m, _: m.made(m.pop(), m.pop()),
    "NEWOBJ_EX": lambda m, _: m.made([m.pop(), m.pop()][1], m.pop()),
    "BUILD": lambda m, _: m.pop(),  # attributes of what is no weight
    "BINPERSID": lambda m, _: m.persistent(),
}
