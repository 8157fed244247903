"""Answers: immutable, comparable, pickled, and no secret in what Python prints of them (S-41)."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import smalt
from smalt import Secret, Smalt, errors, types
from smalt._model import Model, Word

from .conftest import REPOSITORY

OPERATIONS = json.loads((REPOSITORY / "docs" / "schema" / "operations-1.json").read_text())
BRIDGE = json.loads((REPOSITORY / "docs" / "schema" / "bridge-1.json").read_text())
CANARY = "canary-4b1d77e2"
CLASSES = [cls for cls in types._classes.values() if issubclass(cls, Model)]


def sample(cls: type[Model]) -> Model:
    """An object of the class, with a canary in every text and secret."""
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        values[name] = value(str(parameter.annotation), f"{CANARY}-{name}.")
    return cls(**values)


def value(annotation: str, text: str) -> Any:
    first = annotation.split(" | ")[0]
    if first == "Any":
        return text
    if first.startswith("Sequence["):
        inner = first[9:-1]
        return [value(inner, text)] if inner != "Item" else [text]
    if first.startswith("Mapping["):
        return {"key": value(first[8:-1].split(", ", 1)[1], text)}
    simple: dict[str, Any] = {
        "str": text,
        "int": 7,
        "float": 0.5,
        "bool": True,
        "bytes": text.encode(),
        "Secret": Secret(text),
        "datetime": datetime(2026, 1, 31, tzinfo=timezone.utc),
        "timedelta": timedelta(seconds=1),
    }
    if first in simple:
        return simple[first]
    known = getattr(types, first, None)
    if inspect.isclass(known) and issubclass(known, Word):
        return list(known)[0]
    if inspect.isclass(known) and issubclass(known, Model):
        return sample(known)
    return {"key": text}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_s41_what_is_printed_shows_no_secret(cls: type[Model]) -> None:
    made = sample(cls)
    for shown in (repr(made), str(made), f"{made}", f"{made!r:>10}", repr([made]), repr({"a": made})):
        for name in cls._fields:
            field = getattr(made, name)
            if isinstance(field, Secret) or name in cls._hidden:
                assert f"{CANARY}-{name}." not in shown, shown
    assert cls.__name__ in repr(made)


# Of any shape, and Smalt's own or the organisation's: what is offered, and what happened.
PLAIN = {
    ("AuditEntry", "detail"),
    ("Delivery", "payload"),
    ("Event", "data"),
    ("FieldDef", "default"),
    ("FieldOption", "value"),
    ("Label", "value"),
    ("RuleDef", "lhs"),
}
# Texts, whose type does not tell what is in them: what stands for a user's consent, or was written by a user, a provider or a workflow.
TELLING = {
    ("DevicePrompt", "user_code"),
    ("DevicePrompt", "verification_uri_complete"),
    ("Executed", "reason"),
    ("NameValue", "value"),
    ("ParkedCallback", "return_to"),
    ("Portal", "return_to"),
    ("StartedConnect", "authorize_url"),
}


def test_s41_what_is_of_any_shape_or_tells_is_hidden() -> None:
    free = re.compile(r"(Any|Sequence\[Any\]|Mapping\[str, Any\])( \| None)?")
    written = {
        (cls.__name__, name)
        for cls in CLASSES
        for name, parameter in inspect.signature(cls).parameters.items()
        if free.fullmatch(str(parameter.annotation))
    }
    hidden = {(cls.__name__, name) for cls in CLASSES for name in cls._hidden}
    assert written - hidden == PLAIN
    assert TELLING <= hidden, TELLING - hidden


def test_s41_nothing_is_shown_as_such_in_place_of_what_is_hidden() -> None:
    prompt = types.DevicePrompt(user_code=CANARY, verification_uri="page", interval=5)
    assert "user_code=…" in repr(prompt) and "verification_uri_complete=None" in repr(prompt)
    answer = types.ApiAnswer(status=200, headers=(), body=b"")
    assert repr(answer) == "ApiAnswer(status=200, headers=…, body=…)"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_answers_are_immutable_values(cls: type[Model]) -> None:
    made, other = sample(cls), sample(cls)
    assert made == other and not (made != other) and hash(made) == hash(other)
    assert copy.copy(made) is made and copy.deepcopy(made) is made
    for name in cls._fields:
        with pytest.raises(AttributeError):
            setattr(made, name, None)
        with pytest.raises(AttributeError):
            delattr(made, name)
    assert not hasattr(made, "__dict__")


def has_secret(made: Any) -> bool:
    if isinstance(made, Model):
        return any(has_secret(getattr(made, name)) for name in made._fields)
    if isinstance(made, (tuple, list)):
        return any(map(has_secret, made))
    if hasattr(made, "values") and not isinstance(made, type):
        return any(map(has_secret, made.values()))
    return isinstance(made, Secret)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_s41_pickles_hold_no_secret(cls: type[Model]) -> None:
    made = sample(cls)
    if has_secret(made):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(made)
    else:
        assert pickle.loads(pickle.dumps(made)) == made


def test_s41_a_secret_gives_itself_away_on_request_only() -> None:
    secret = Secret(CANARY)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!s:>20}", "%s" % secret, repr([secret])):
        assert CANARY not in shown
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret.reveal() == CANARY and secret == Secret(CANARY) and secret != Secret("other") and secret != CANARY
    assert bool(secret) and not Secret("") and len({secret, Secret(CANARY)}) == 1


def test_every_operation_has_its_method_in_both_halves() -> None:
    """The operations table against the public surface."""
    from smalt import AsyncSmalt
    from smalt._async import AsyncAccount, AsyncSession
    from smalt._sync import Account, Session

    operations: dict[str, Any] = OPERATIONS["operations"]
    for name, row in operations.items():
        method: str = {"events": "events_page"}.get(name, name)
        for organisation, account, session in ((AsyncSmalt, AsyncAccount, AsyncSession), (Smalt, Account, Session)):
            found = [cls for cls in (organisation, account) if hasattr(cls, method)]
            assert found, f"`{name}` is nowhere in {organisation.__name__} and {account.__name__}"
            assert all(getattr(cls, method).__doc__ for cls in found), name
            if row["scope"] == "organisation":
                assert not hasattr(session, method), f"a session has `{name}`"
        async_names = {name for name in dir(AsyncSmalt) + dir(AsyncAccount) if not name.startswith("_")}
        sync_names = {name for name in dir(Smalt) + dir(Account) if not name.startswith("_")}
        assert {name.replace("aclose", "close") for name in async_names} - sync_names == {"asgi"}


def test_docstrings_name_the_errors() -> None:
    """What the schema says of an operation's own errors stands in its method's docstring, below the class that they have."""
    from smalt import _async_operations, _sync_operations

    named = 0
    for module, half in ((_async_operations, "Async"), (_sync_operations, "")):
        for owner in ("SharedOperations", "AccountOperations", "SmaltOperations"):
            for name, method in vars(getattr(module, half + owner)).items():
                for code in OPERATIONS["operations"].get(name, {"errors": []})["errors"]:
                    _, _, raises = (method.__doc__ or "").partition("Raises:")
                    assert f"`{code}`" in raises and errors.KINDS[errors.CODES[code]].__name__ in raises, f"{name}: {code}"
                    named += 1
    assert named > 100


def test_every_code_has_its_class() -> None:
    for row in BRIDGE["errors"]:
        error = errors._made(row["kind"], row["code"], "x", row["retry"], 1.5, row["http_status"], "r-1", {"a": "b"}, None)
        assert type(error) is errors.KINDS[row["kind"]] and row["code"] in (type(error).__doc__ or "")
        assert isinstance(error, smalt.SmaltError) and isinstance(error, TimeoutError) == (row["kind"] == "timeout")
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.retry, again.retry_after, again.request_id) == (str(error), row["retry"], timedelta(seconds=1.5), "r-1")


def test_words_are_texts() -> None:
    status = types.FlowStatus.CONNECTED
    assert status == "connected" and f"{status}" == str(status) == "connected" and json.dumps(status) == '"connected"'
    assert types.FlowStatus("connected") is status


def test_a_given_object_is_read_back() -> None:
    with Smalt.sandbox() as smalt:
        project = smalt.get_project()
        assert isinstance(project, types.Project) and project.sandbox.enabled
        smalt.set_project(project)
        assert smalt.get_project() == project
        smalt.account("a").ensure()
        smalt.account("a").connect("sandbox-oauth")
        seed = types.ConfigUpdate(workflows={}, fields={})
        assert smalt.account("a").config("sandbox-oauth", seed=seed).version == 1
