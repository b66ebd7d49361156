"""What commands take, read from their source: importing them would load torch, which takes seconds.

What is read so is shown, completed in a shell, and handed to the parser, which says what a command line means.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from noiseda.address import Url
from noiseda.extensions import Extension, presets_in

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Node = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, or a setting.

    Args:
        name: its name; of settings that stand in sections, dotted.
        choices: the values there are, where they can be listed.
        path: whether it takes a path.
        switch: whether it is false unless it is given.
        positional: whether it has no name on the command line.
    """

    name: str
    choices: tuple[str, ...] = ()
    path: bool = False
    switch: bool = False
    positional: bool = False


def summary(load: Callable[[], object]) -> str:
    """The first line of the docstring of what a function imports and returns.

    Args:
        load: a function that ends with ``from MODULE import NAME`` and ``return NAME``.
    """
    if isinstance(load, Extension) and _found(load.point.module, load.point.attr) is None:  # not among our packages
        return (load().__doc__ or "").split("\n")[0]
    _, node = _loaded(load)
    return (ast.get_docstring(node) or "").split("\n")[0] if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""


def parameters(load: Callable[[], object]) -> list[Parameter]:
    """The parameters of the function, or the settings of the class, that a function imports and returns.

    Args:
        load: as for :func:`summary`.
    """
    module, node = _loaded(load)
    if isinstance(node, ast.ClassDef):
        return list(_settings(module, node, ""))
    assert isinstance(node, ast.FunctionDef)
    if (tree := _tree(module, node)) is not None:
        return list(_settings(*tree, ""))
    named, usual = node.args, [*node.args.defaults, *node.args.kw_defaults]
    taken = [*named.args, *named.kwonlyargs]
    defaults = [*[None] * (len(taken) - len(usual)), *usual]
    return [
        _parameter(module, argument.arg, argument.annotation, default, positional=default is None)
        for argument, default in zip(taken, defaults, strict=True)
    ]


def outline(load: Callable[[], Callable[..., object]]) -> Callable[..., object]:
    """The function that a function imports and returns, without its body: all that a parser looks at.

    Args:
        load: as for :func:`summary`; of one that is written otherwise, the function itself is had.
    """
    try:
        module, node = _loaded(load)
    except TypeError:
        return load()
    if not isinstance(node, ast.FunctionDef) or node is _UNREAD:
        return load()
    bare = copy.copy(node)
    bare.name = f"_{node.name}"  # by a name and module of its own, or the parser would import the function after all
    bare.body, bare.decorator_list, bare.returns = [ast.Expr(ast.Constant(ast.get_docstring(node)))], [], None
    space = {"__name__": __name__, **_meant_by(module, node.args)}
    code = compile(ast.fix_missing_locations(ast.Module([bare], [])), str(_file(module)), "exec", dont_inherit=True)
    exec(code, space)
    function: Callable[..., object] = space[bare.name]
    function.__annotations__ = get_type_hints(function)  # without limits, which are not the parser's
    return function


def presets(load: Callable[[], object]) -> dict[str, Path]:
    """The files of settings that come with a command of another package: name -> YAML file; none of what is not read.

    Args:
        load: as for :func:`summary`.
    """
    module, node = _loaded(load)
    tree = _tree(module, node) if isinstance(node, ast.FunctionDef) else None
    match [one for one in (tree[1].body if tree else []) if isinstance(one, ast.AnnAssign) and _is_constant(one)]:
        case [ast.AnnAssign(target=ast.Name(id="PRESETS"), value=ast.Constant(value=str(folder)))]:
            return presets_in(Path(str(_file(module.partition(".")[0]))).parent / folder)
    return {}


def parameters_of(settings: type[DataclassInstance], prefix: str = "") -> list[Parameter]:
    """The settings of a class that is imported already, those of the dataclasses in it with dotted names.

    Args:
        settings: a dataclass, whose fields all have defaults.
        prefix: what their names begin with.
    """
    hints, found = get_type_hints(settings), list[Parameter]()
    for field in fields(settings):
        name, kind = prefix + field.name, hints[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            found += parameters_of(kind, f"{name}.")
            continue
        choices = tuple(str(one) for one in get_args(kind)) if get_origin(kind) is Literal else ()
        switch = field.default is False
        path = not {Path, Url}.isdisjoint({kind, *get_args(kind)})
        found.append(Parameter(name, ("true", "false") if kind is bool and not switch else choices, path, switch))
    return found


def _tree(module: str, node: ast.FunctionDef) -> tuple[str, ast.ClassDef] | None:
    """The class whose fields are the flags of a function that takes ``settings`` alone."""
    match [*node.args.args, *node.args.kwonlyargs]:
        case [ast.arg(arg="settings", annotation=ast.Name(id=name))]:
            found = _found(module, name)
            return (found[0], found[1]) if found and isinstance(found[1], ast.ClassDef) else None
    return None


def _settings(module: str, node: ast.ClassDef, prefix: str) -> Iterator[Parameter]:
    """The fields of a dataclass and of what it inherits from; those of the dataclasses in it with dotted names."""
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name) or _is_constant(field):
            continue
        name, kind = prefix + field.target.id, field.annotation
        inner = _found(module, kind.id) if isinstance(kind, ast.Name) and kind.id not in _PATHS else None
        if inner is not None and isinstance(inner[1], ast.ClassDef):
            yield from _settings(inner[0], inner[1], f"{name}.")
        else:
            yield _parameter(module, name, kind, field.value, positional=False)
    for base in node.bases:
        inherited = _found(module, base.id) if isinstance(base, ast.Name) else None
        if inherited is not None and isinstance(inherited[1], ast.ClassDef):
            yield from _settings(inherited[0], inherited[1], prefix)


def _is_constant(field: ast.AnnAssign) -> bool:
    """Whether a class has it, and not each of its instances."""
    return isinstance(field.annotation, ast.Subscript) and ast.unparse(field.annotation.value) == "ClassVar"


def _parameter(
    module: str, name: str, kind: ast.expr | None, default: ast.expr | None, *, positional: bool
) -> Parameter:
    switch = isinstance(default, ast.Constant) and default.value is False
    truth = isinstance(kind, ast.Name) and kind.id == "bool"
    choices = ("true", "false") if truth and not switch else tuple(_choices(module, kind))
    return Parameter(name, choices, _is_path(module, kind), switch, positional)


_PATHS = ("Path", "Url")


def _choices(module: str, kind: ast.expr | None) -> Iterator[str]:
    """The values that a type lists, of types that have a name too."""
    if isinstance(kind, ast.Constant):
        yield str(kind.value)
    elif isinstance(kind, ast.Tuple):
        for one in kind.elts:
            yield from _choices(module, one)
    elif isinstance(kind, ast.Subscript) and isinstance(kind.value, ast.Name) and kind.value.id == "Literal":
        yield from _choices(module, kind.slice)
    elif isinstance(kind, ast.Name) and (alias := _alias(module, kind.id)) is not None:
        yield from _choices(*alias)


def _is_path(module: str, kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.BinOp):
        return _is_path(module, kind.left) or _is_path(module, kind.right)
    if not isinstance(kind, ast.Name):
        return False
    alias = None if kind.id in _PATHS else _alias(module, kind.id)
    return kind.id in _PATHS or (alias is not None and _is_path(*alias))


def _alias(module: str, name: str) -> tuple[str, ast.expr] | None:
    """What a type with a name of its own stands for, and where."""
    found = _found(module, name)
    if found is None or not isinstance(found[1], ast.Assign | ast.AnnAssign) or found[1].value is None:
        return None
    return found[0], found[1].value


def _meant_by(module: str, tree: ast.AST) -> dict[str, Any]:
    """What the names in types and defaults stand for; of a type that only has another name, nothing is imported."""
    names = {one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and not hasattr(builtins, one.id)}
    return {name: _meant(module, name) for name in names}


def _meant(module: str, name: str) -> Any:  # noqa: ANN401 (a type, or a default)
    match _found(module, name):
        case where, ast.Assign(value=ast.expr() as value) | ast.AnnAssign(value=ast.expr() as value):
            return eval(compile(ast.Expression(value), where, "eval", dont_inherit=True), _meant_by(where, value))
        case where, ast.ClassDef(name=own) | ast.FunctionDef(name=own):
            return getattr(import_module(where), own)
    file = _file(module)
    for node in _statements(file) if file else []:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return getattr(import_module(node.module), alias.name)
    return getattr(import_module(module), name)


def _loaded(load: Callable[[], object]) -> tuple[str, Node]:
    """What a function imports and returns, and the module that defines it."""
    if isinstance(load, Extension):
        found = _found(load.point.module, load.point.attr)
        return found or (load.point.module, _UNREAD)
    match _found(load.__module__, load.__name__):
        case _, ast.FunctionDef(body=[*_, ast.ImportFrom() as imported, ast.Return(value=ast.Name(id=name))]):
            target = _among([imported], name)
            assert target is not None
            return target
    raise TypeError(f"{load} must end with `from MODULE import NAME` and `return NAME`")


def _found(module: str, name: str) -> tuple[str, Node] | None:
    """Where a module has a name from: the module that defines it, and the statement that does."""
    file = _file(module)
    return None if file is None else _among(_statements(file), name, module)


def _among(statements: list[ast.stmt], name: str, module: str = "") -> tuple[str, Node] | None:
    for node in statements:
        match node:
            case ast.FunctionDef() | ast.ClassDef() if node.name == name:
                return module, node
            case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
                if target == name:
                    return module, node
            case ast.ImportFrom(module=str(source)):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _found(source, alias.name)
    return None


@cache
def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body


@cache
def _file(module: str) -> Path | None:
    """The source of a module of ours."""
    package, *inner = module.split(".")
    if package not in _OURS:
        return None
    spec = find_spec(package)
    path = Path(str(spec and spec.origin)).parent.joinpath(*inner)
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


_UNREAD = ast.FunctionDef("command", ast.arguments([], [], None, [], [], None, []), [ast.Pass()], [])
"""Stands for a function of another package, whose source is not read."""

_OURS = ("noiseda", "noiseda_research")
"""Packages whose source is read; what others define is no path and has no choices."""
