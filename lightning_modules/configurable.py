"""Objects that remember how they were built, so that a checkpoint can rebuild them from plain data."""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any, TypeVar

T = TypeVar("T", bound="Configurable")


class Configurable:
    """Mixin: records the constructor's arguments as ``self.spec``.

    ``spec`` is ``{"class_path": ..., "init_args": {...}}`` of plain values, LightningCLI's own form, safe to
    store in a checkpoint that is read with ``weights_only=True``. Arguments that are Configurable themselves
    are stored as their specs; a constructor's ``*args`` have no names and are not recorded.
    """

    spec: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        original = cls.__init__  # inherited where the class has none of its own: it must record this class
        signature = inspect.signature(original)

        @functools.wraps(original)
        def recording_init(self: Any, *args: Any, **kwds: Any) -> None:
            # The outermost constructor wins: it is the one the user called.
            if type(self) is cls:
                bound = signature.bind(self, *args, **kwds)
                bound.apply_defaults()
                class_path = f"{cls.__module__}.{cls.__qualname__}"
                object.__setattr__(self, "spec", {"class_path": class_path, "init_args": _init_args(bound)})
            original(self, *args, **kwds)

        cls.__init__ = recording_init  # type: ignore[method-assign]


def build(spec: Any, base: type[T]) -> T:
    """Rebuild an object of type ``base`` from its spec; an object is returned unchanged.

    Args:
        spec: ``{"class_path", "init_args"}`` or an instance of ``base``.
        base: what the object must be; a spec that names anything else is refused before it is called.

    Raises:
        ValueError: the spec names no subclass of ``base``.
    """
    if isinstance(spec, base):
        return spec
    if not isinstance(spec, dict) or "class_path" not in spec:
        raise ValueError(f"expected a {base.__name__} or its spec with a class_path, got {type(spec).__name__}")
    module_name, _, name = str(spec["class_path"]).rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"class_path {spec['class_path']!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"class_path {spec['class_path']!r} is not a {base.__name__}")
    return found(**spec.get("init_args", {}))


def _init_args(bound: inspect.BoundArguments) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:  # without self
        match bound.signature.parameters[name].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                pass
            case inspect.Parameter.VAR_KEYWORD:
                plain |= _plain(value)
            case _:
                plain[name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Configurable):
        return value.spec
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
