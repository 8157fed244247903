"""What all tests of the package share. They run outside of the source tree, against the installed wheel."""

from __future__ import annotations

from pathlib import Path

import smalt

# A test of the source tree would not be one of what users install.
assert "site-packages" in Path(str(smalt.__file__)).parts, f"smalt comes from {smalt.__file__}: use `make python`"

REPOSITORY = Path(__file__).resolve().parents[2]
