"""What a value is, as a hash that is the same in every process and on every host.

Sets and dictionaries count by what they hold, functions by their source, objects by their class and attributes; an
address, a device and the place of a folder never enter. What a library's object holds may change with the library's
version: it is kept apart (`beside`), so that another version is not taken for another model.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from assay.runner.identity.loaded import label_of
from assay.runner.identity.places import is_users_code, portable

_WRITTEN_OUT = (
    "complex",
    "range",
    "slice",
    "ellipsis",
    "NotImplementedType",
    "Decimal",
    "Fraction",
    "date",
    "datetime",
    "timedelta",
    "UUID",
    "Size",
    "dtype",
    "layout",
    "memory_format",
)
"""Types whose `repr` says all of a value, on any host."""
_DEEPEST = 200
_OWN_NOTES = ("transformers_version", "_name_or_path", "_commit_hash", "name_or_path")
"""What a configuration of transformers notes of where it came from."""


@dataclass(slots=True)
class Hasher:
    """Hashes values of one model: what was seen before is not hashed again."""

    folder: Path
    beside: list[str] = field(default_factory=list)
    """Hashes of what libraries' objects hold, in the order that they were met."""
    unseen: set[str] = field(default_factory=set)
    """Types whose values could not be seen into."""
    _known: dict[int, tuple[Any, str]] = field(default_factory=dict)
    _open: dict[int, int] = field(default_factory=dict)

    def of(self, value: Any) -> str:
        """SHA-256 of a value, as hexadecimal digits."""
        if value is None or (isinstance(value, (bool, int, float, str, bytes, complex)) and type(value) in _PLAIN):
            return joined(type(value).__name__, self._plain(value))
        if (known := self._known.get(id(value))) is not None:
            return known[1]
        if id(value) in self._open:
            return joined("again", str(len(self._open) - self._open[id(value)]))
        if len(self._open) > _DEEPEST:
            return self._not_seen(value)
        self._open[id(value)] = len(self._open)
        try:
            digest = self._of_object(value)
        finally:
            del self._open[id(value)]
        self._known[id(value)] = (value, digest)  # kept, so that its address is not another's
        return digest

    def _plain(self, value: Any) -> str:
        if isinstance(value, str):
            return portable(value, self.folder)
        return value.hex() if isinstance(value, (float, bytes)) else repr(value)

    def _of_object(self, value: Any) -> str:  # noqa: PLR0911  a table of kinds
        for kinds, how in _KINDS:
            if isinstance(value, kinds):
                return how(self, value)
        if type(value).__name__ in _WRITTEN_OUT:
            return joined(type(value).__name__, repr(value))
        if (tensor := _tensor_hash(self, value)) is not None:
            return tensor
        if _is_module(value):
            from assay.runner.identity.modules import parts_of_module

            parts = parts_of_module(value, self)
            return joined("module", *(f"{name}={parts[name]}" for name in sorted(parts)))
        if isinstance(value, Mapping):
            return joined(self.name_of(type(value)), self._pairs(dict(value).items()))
        if users_own(type(value)):
            return self._users_object(value)
        return self._librarys_object(value)

    def _pairs(self, items: Iterable[tuple[Any, Any]]) -> str:
        return joined(*sorted(joined(self.of(key), self.of(item)) for key, item in items))

    def attributes(self, names: Mapping[str, Any]) -> str:
        """Of attributes by name, whatever their order."""
        return joined(*(joined(name, self.of(names[name])) for name in sorted(names)))

    def name_of(self, thing: Any) -> str:
        """Module and name of a class or function."""
        module = str(getattr(thing, "__module__", "") or "")
        return f"{label_of(module)}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"

    def _users_object(self, value: Any) -> str:
        held: list[str] = []
        if isinstance(value, (list, tuple)):
            held = [self.of(item) for item in [*value]]
        return joined("object", self.of(type(value)), *held, self.attributes(state_of(value)))

    def _librarys_object(self, value: Any) -> str:
        """The class; what the object holds goes beside, as far as it can be read."""
        if callable(getattr(value, "to_diff_dict", None)):  # a configuration of transformers, without its defaults
            told = {key: item for key, item in value.to_diff_dict().items() if key not in _OWN_NOTES}
            self.beside.append(self._pairs(told.items()))
        elif callable(getattr(value, "initial_seed", None)):
            self.beside.append(joined("seed", str(value.initial_seed())))
        elif isinstance(value, np.random.Generator):
            self.beside.append(self.of(value.bit_generator.state))
        elif shown := {name: item for name, item in state_of(value).items() if _shows(name, item)}:
            self.beside.append(self.attributes(shown))
        else:
            self._not_seen(value)
        return joined("library", self.name_of(type(value)))

    def _not_seen(self, value: Any) -> str:
        name = self.name_of(type(value))
        self.unseen.add(name)
        return joined("unseen", name)

    def _sequence(self, value: Any) -> str:
        if type(value) not in (list, tuple) and users_own(type(value)):
            return self._users_object(value)
        return joined("list" if isinstance(value, list) else "tuple", *(self.of(item) for item in value))

    def _set(self, value: Any) -> str:
        return joined("set", *sorted(self.of(item) for item in value))

    def _array(self, value: Any) -> str:
        if value.dtype.hasobject:
            return joined("array", str(value.shape), *(self.of(item) for item in value.ravel().tolist()))
        return joined("array", value.dtype.str, str(value.shape), hashlib.sha256(value.tobytes()).hexdigest())

    def _mapping(self, value: Any) -> str:
        own = self.attributes(state_of(value)) if type(value) is not dict and users_own(type(value)) else ""
        return joined("dict", self._pairs(value.items()), own)

    def _class(self, value: Any) -> str:
        if not users_own(value):
            return joined("class", self.name_of(value))
        bases = [self.of(base) for base in value.__mro__[1:] if users_own(base)]
        held = {name: bare for name, member in vars(value).items() if _counts(name, bare := _bare(member))}
        return joined("class", self.name_of(value), *bases, self.attributes(held))

    def _function(self, value: Any) -> str:
        """A user's by its source, its defaults, what it encloses, and the globals that it names; a library's by name.

        What a library's wrapper encloses is looked through, so that a decorated function counts as itself.
        """
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        if not _users_function(value):
            return joined("function", self.name_of(value), *(self.of(c) for c in cells if _is_users_callable(c)))
        given = [self.of(value.__defaults__), self.of(value.__kwdefaults__)]
        named = {
            name: found
            for name in sorted(_names(value.__code__))
            if _worth_following(found := value.__globals__.get(name, _global_of_module(value, name)))
        }
        own = {n: item for n, item in vars(value).items() if not n.startswith("__")}
        enclosed = [self.of(cell) for cell in cells]
        return joined("function", _written(value), *given, *enclosed, self.attributes(named), self.attributes(own))


def joined(*words: str) -> str:
    digest = hashlib.sha256()
    for word in words:
        encoded = word.encode("utf-8", "surrogatepass")
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()


_PLAIN = {bool, int, float, str, bytes, complex}


def users_own(thing: Any) -> bool:
    """Whether a class is defined by the user, or in one of the models that ship."""
    name = str(getattr(thing, "__module__", "") or "")
    if name == "__main__":
        return True
    if name.split(".", maxsplit=1)[0] == "assay":
        return name.startswith("assay.runner.models.")
    if name and name not in sys.modules:  # made while the program ran
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and is_users_code(file)


def _users_function(function: Any) -> bool:
    file = function.__code__.co_filename
    if file.startswith("<"):  # made from text while the program ran
        return users_own(function) or function.__module__ in (None, "builtins")
    ours = str(function.__module__ or "").split(".")[0] == "assay"
    return users_own(function) if ours else is_users_code(file)


def _is_users_callable(value: Any) -> bool:
    return isinstance(value, types.FunctionType) and _users_function(value)


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018  reading an empty one raises
    except ValueError:
        return False
    return True


def _written(function: Any) -> str:
    """The source of a function; of one that has none, what its code names, holds and does."""
    code = function.__code__
    try:
        text = textwrap.dedent(inspect.getsource(function))
        where = [place for place in code.co_positions() if place[2]] if code.co_name == "<lambda>" else []
        return f"{text}@{min(column or 0 for _, _, column, _ in where)}" if where else text  # two may share a line
    except (OSError, TypeError, IndexError, SyntaxError):
        return _compiled(code)


def _compiled(code: types.CodeType) -> str:
    inner = [_compiled(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    return f"{code.co_name}{code.co_names}{code.co_varnames}{inner}{code.co_code.hex()}"


def _constant(value: Any) -> str:
    return f"{sorted(map(repr, value))}" if isinstance(value, frozenset) else repr(value)


def _names(code: types.CodeType) -> set[str]:
    """Names that a function's code, and code inside it, asks for."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def _global_of_module(function: Any, name: str) -> Any:
    """What a user's module that the function names calls `name`: `helpers.SCALE`."""
    for other in _names(function.__code__):
        module = function.__globals__.get(other)
        if isinstance(module, types.ModuleType) and _users_module(module) and name in vars(module):
            return vars(module)[name]
    return None


def _users_module(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_users_code(file) and module.__name__.split(".")[0] != "assay"


def _worth_following(value: Any) -> bool:
    """Globals that a function's answer may depend on: values, and the user's own functions."""
    return _is_value(value) or _is_users_callable(value)


def _is_value(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_value(item) for item in value)
    if isinstance(value, dict):
        return all(_is_value(item) for pair in value.items() for item in pair)
    plain = (bool, int, float, str, bytes, complex, np.ndarray, np.generic, enum.Enum)
    return isinstance(value, plain) or _is_tensor(value) or type(value).__name__ in _WRITTEN_OUT


def _bare(member: Any) -> Any:
    """A member of a class without what wraps it."""
    if isinstance(member, property):
        return member.fget
    inner = getattr(member, "__func__", None) if isinstance(member, (staticmethod, classmethod)) else None
    return member.func if isinstance(member, functools.cached_property) else inner or member


def _counts(name: str, member: Any) -> bool:
    """Whether a member of a class is one that somebody wrote: a function with a source, or a value."""
    if isinstance(member, types.FunctionType):
        return not member.__code__.co_filename.startswith("<") and not name.startswith("__annotat")
    return not name.startswith(("__", "_abc_")) and _is_value(member)


def state_of(value: Any) -> dict[str, Any]:
    """An object's attributes, those in slots among them."""
    found = dict(vars(value)) if hasattr(value, "__dict__") else {}
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _shows(name: str, value: Any) -> bool:
    """Whether an attribute of a library's object is a value that it shows."""
    return not name.startswith("_") and _is_value(value)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _tensor_hash(hasher: Hasher, value: Any) -> str | None:
    if not _is_tensor(value):
        return None
    from assay.runner.identity.modules import hash_tensor

    return hash_tensor(value, hasher)


def _namespace(hasher: Hasher, value: Any) -> str:
    return joined(type(value).__name__, hasher.attributes(vars(value)))


def _method(hasher: Hasher, value: Any) -> str:
    owner = hasher.name_of(type(value.__self__)) if _is_module(value.__self__) else hasher.of(value.__self__)
    return joined("method", hasher.of(value.__func__), owner)


_KINDS: list[tuple[Any, Callable[[Hasher, Any], str]]] = [
    (enum.Enum, lambda h, v: joined("enum", h.name_of(type(v)), v.name)),
    ((bool, int, float, str, bytes, complex), lambda h, v: joined(h.name_of(type(v)), h._plain(v))),  # noqa: SLF001
    ((bytearray, memoryview), lambda _, v: joined("bytes", bytes(v).hex())),
    (PurePath, lambda h, v: joined("path", portable(v.as_posix(), h.folder))),
    (np.dtype, lambda _, v: joined("dtype", v.str)),
    (np.generic, lambda h, v: h._array(np.asarray(v))),  # noqa: SLF001
    (np.ndarray, Hasher._array),  # noqa: SLF001
    ((list, tuple), Hasher._sequence),  # noqa: SLF001
    ((set, frozenset), Hasher._set),  # noqa: SLF001
    (dict, Hasher._mapping),  # noqa: SLF001
    (type, Hasher._class),  # noqa: SLF001
    (types.FunctionType, Hasher._function),  # noqa: SLF001
    (types.MethodType, _method),
    ((types.BuiltinFunctionType, types.MethodWrapperType, np.ufunc), lambda h, v: joined("function", h.name_of(v))),
    (types.ModuleType, lambda _, v: joined("module", label_of(v.__name__))),
    (functools.partial, lambda h, v: joined("partial", h.of(v.func), h.of(v.args), h.of(v.keywords))),
    (types.SimpleNamespace, _namespace),
]  # fmt: skip
