"""Which libraries have no build that tests can use on this Python."""

from __future__ import annotations

import importlib.util
import sys

IS_WITHOUT_TORCH = sys.version_info[:2] != (3, 11) and importlib.util.find_spec("torch") is None
"""For other versions of Python there is no build of PyTorch without CUDA."""
