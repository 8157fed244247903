"""What every answer is made of: immutable, comparable, with a `repr` that shows no secret."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, TypeVar

    Self = TypeVar("Self", bound="Model")
    _Value = TypeVar("_Value")

set_ = object.__setattr__


def read_only(values: Mapping[str, _Value]) -> Mapping[str, _Value]:
    """The mapping, so that nobody changes what others see, too."""
    return values if isinstance(values, MappingProxyType) else MappingProxyType(dict(values))


class Word(str, Enum):
    """A word of a fixed list. It is its own text: `status == "active"`."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, spec: str) -> str:
        return format(str(self.value), spec)


class Model:
    """An answer: attributes that cannot be changed."""

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    _hidden: ClassVar[tuple[str, ...]] = ()
    _none_counts: ClassVar[tuple[str, ...]] = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed; `copy.replace` makes another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def _given(self) -> dict[str, Any]:
        """The fields that are set."""
        found = ((name, getattr(self, name)) for name in self._fields)
        return {name: value for name, value in found if value is not None or name in self._none_counts}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, name)) for name in self._fields)))

    def __repr__(self) -> str:
        shown = (f"{name}={'…' if name in self._hidden and value is not None else _shown(value)}" for name, value in self._all())
        return f"{type(self).__name__}({', '.join(shown)})"

    def _all(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self._fields]

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in self._given().items()}
        return _made_again, (type(self), plain)

    def __replace__(self: Self, **changes: Any) -> Self:
        """For `copy.replace`."""
        return type(self)(**{**self._given(), **changes})

    def __copy__(self: Self) -> Self:
        return self

    def __deepcopy__(self: Self, memo: object) -> Self:
        return self


def _shown(value: object) -> str:
    if isinstance(value, Word):
        return repr(str(value.value))
    if isinstance(value, MappingProxyType):
        return "{" + ", ".join(f"{_shown(name)}: {_shown(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, tuple):
        inner = ", ".join(_shown(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _hashable(value: object) -> object:
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(inner)) for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_hashable(item) for item in value)
    return value


def _made_again(cls: type[Self], values: dict[str, Any]) -> Self:
    return cls(**values)
