"""Settings shared by all tests: which instruction sets, how many threads, how many examples."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The helper modules lie beside the tests. Said here, they are found from any directory and under any import mode.
sys.path.insert(0, str(Path(__file__).parent))

import fastconv
from fastconv import _core

# The same examples on every run and machine. A fixture here is a setting that holds for all examples of a test, which
# is what that health check warns of; time limits on a shared machine measure the neighbours.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=40,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("deep", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def isas_under_test():
    """All that this CPU has, or the one that FASTCONV_ISA asks for."""
    forced = os.environ.get("FASTCONV_ISA")
    return (forced,) if forced else _core.available_isas()


@pytest.fixture(params=isas_under_test())
def isa(request):
    """Each instruction set in turn; layers built during the test use it."""
    before = _core.isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture(params=[1, 2], ids=["1thread", "2threads"])
def threads(request):
    with fastconv.threads(request.param):
        yield request.param


@pytest.fixture
def python(tmp_path):
    """Run code in a fresh interpreter, outside the checkout, on the very fastconv that is under test here."""

    def run(code, *, timeout=120, **environment):
        """Keywords are environment variables; None removes one."""
        home = str(Path(fastconv.__file__).parents[1])
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        changed = os.environ | {"PYTHONPATH": path} | environment
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            env={name: value for name, value in changed.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run
