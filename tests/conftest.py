"""Fixtures of more than one file of tests."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Windows need no screen; a test of the real one sets another platform.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# Tests run beside each other and beside other work.
cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real clips and pictures, beside the checkout; skips where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside the checkout: real clips are not tested")
    return folder
