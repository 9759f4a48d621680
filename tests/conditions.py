"""What a test may need of the machine and of the build: marks that say so."""

import os
import sys

import pytest

from fastconv import _core

linux = sys.platform == "linux"
sanitized = "-fsanitize" in _core.build_info()["flags"]  # whose shadow memory takes terabytes of addresses

needs_true_memory = pytest.mark.skipif(not linux or sanitized, reason="reads or limits the memory of the process")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
