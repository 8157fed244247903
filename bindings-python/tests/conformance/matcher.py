"""Whether an answer is what a case expects. `None` says where and how they differ otherwise.

Python's answers have no absent attributes: `None` stands for both, so `$absent` takes it."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

_MISSING = object()


class Differs(Exception):
    """Where and how."""


def matches(wanted: Any, got: Any) -> None:
    _at("", wanted, got)


def _at(path: str, wanted: Any, got: Any) -> None:
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        for key, value in wanted.items():
            _special(path, key, value, got)
        return
    place = path or "the answer"
    if got is _MISSING:
        raise Differs(f"{place}: expected {_text(wanted)}, but there is nothing")
    same = f"{place}: expected {_text(wanted)}, got {_text(got)}"
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            raise Differs(same)
        for key, inner in wanted.items():
            _at(f"{path}/{key}", inner, got.get(key, _MISSING))
    elif isinstance(wanted, list):
        if not isinstance(got, list) or len(wanted) != len(got):
            raise Differs(same)
        for number, (inner, value) in enumerate(zip(wanted, got)):
            _at(f"{path}/{number}", inner, value)
    elif _is_number(wanted) and _is_number(got):
        if wanted != got:
            raise Differs(same)
    elif type(wanted) is not type(got) or wanted != got:
        raise Differs(same)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def _special(path: str, key: str, given: Any, got: Any) -> None:
    place = path or "the answer"
    if key == "$absent":
        if got is not _MISSING and got is not None:
            raise Differs(f"{place}: expected nothing, got {_text(got)}")
        return
    if got is _MISSING:
        raise Differs(f'{place}: expected {{"{key}": {_text(given)}}}, but there is nothing')
    if key == "$any":
        fits = True
    elif key == "$type":
        fits = given == _type(got)
    elif key == "$match":
        fits = isinstance(got, str) and fnmatchcase(got, "".join(f"[{c}]" if c in "?[" else c for c in given))
    elif key == "$len":
        fits = isinstance(got, (str, list, dict)) and len(got) == given
    elif key == "$contains":
        return _contains(place, given, got)
    elif key == "$exact":
        if isinstance(given, dict) and (not isinstance(got, dict) or not _same_keys(given, got)):
            raise Differs(f"{place}: expected exactly {_text(given)}, got {_text(got)}")
        return _at(path, given, got)
    elif key == "$not":
        try:
            _at(path, given, got)
        except Differs:
            return
        fits = False
    else:
        raise Differs(f"{place}: `{key}` is no matcher: a mistake in the case")
    if not fits:
        raise Differs(f'{place}: expected {{"{key}": {_text(given)}}}, got {_text(got)}')


def _same_keys(given: dict[str, Any], got: dict[str, Any]) -> bool:
    # What is `None` here may be absent elsewhere.
    return set(given) <= set(got) and all(got[key] is None for key in set(got) - set(given))


def _contains(place: str, given: Any, got: Any) -> None:
    parts = given if isinstance(given, list) else [given]
    if isinstance(got, str):
        if not all(isinstance(part, str) and part in got for part in parts):
            raise Differs(f"{place}: expected a text with {_text(given)}, got {_text(got)}")
        return
    if not isinstance(got, list):
        raise Differs(f"{place}: expected a list with {_text(given)}, got {_text(got)}")
    for part in parts:
        for item in got:
            try:
                matches(part, item)
                break
            except Differs:
                continue
        else:
            raise Differs(f"{place}: no member matches {_text(part)}: {_text(got)}")


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]
