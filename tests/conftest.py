"""What holds for every test process, and for the programs that tests start."""

import atexit
import gc
import os

import pytest

# Before libraries read it: as many threads as cores in each of as many workers would wait for each other.
for library in ("OMP", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# As in the stages: the objects of imported libraries stay, and are not to be searched for garbage again and again.
gc.set_threshold(10_000, 50, 100)
atexit.register(gc.freeze)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An mlflow.db without experiments, to be copied: making one takes seconds."""
    from pipeline.tracking import store

    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store.client()
    return folder / "mlflow.db"
