"""Fixtures for tests of whoever uses Smalt; pytest finds them by itself once the package is installed.

- `smalt`: a blocking `Smalt.sandbox()`, closed at the end of the test.
- `async_smalt`: how to open an `AsyncSmalt.sandbox()` on the loop of the test: `async with async_smalt() as smalt: …`
- `smalt_sandbox`: a sandbox provider that the test steers, named in a project as `sandbox.url`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Iterator

import pytest

if TYPE_CHECKING:
    from ._async import AsyncOpening
    from ._sync import Smalt
    from .testing import Sandbox


@pytest.fixture
def smalt() -> Iterator[Smalt]:
    """An engine in memory, with the sandbox applications and scripted consent."""
    from . import Smalt

    with Smalt.sandbox() as opened:
        yield opened


@pytest.fixture
def async_smalt() -> Callable[[], AsyncOpening]:
    """Opens an engine in memory on the loop of the test."""
    from . import AsyncSmalt

    return AsyncSmalt.sandbox


@pytest.fixture
def smalt_sandbox() -> Iterator[Sandbox]:
    """A sandbox provider of the test's own."""
    from .testing import Sandbox

    with Sandbox() as sandbox:
        yield sandbox
