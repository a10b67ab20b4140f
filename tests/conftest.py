import os
import pathlib
import signal

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PROJECT = pathlib.Path(__file__).parents[1]

# Much of the time goes to XLA, which compiles small programs; without optimizing it takes half as
# long, and in one thread each a fifth less. `XLA_FLAGS= python -m pytest` compiles as for users;
# .ci/run optimizes as for users whatever promises digits.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1",
)
# On JAX each program is compiled once, for all processes and all runs to come.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(PROJECT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real data sets beside the project."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets of shared/data are not beside this checkout")
    return folder


@pytest.fixture
def ctrl_c():
    """Ctrl-C interrupts; a shell that starts the tests in the background lets them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
