"""The workers that compute shards: local processes, or a Dask cluster."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipeline.cache.config import CacheConfig
from pipeline.cache.shard import code_fingerprint
from pipeline.core import workspace
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import PARAMS_FILE, RuntimeConfig
from pipeline.core.process import worker_pool

SCHEDULER_TIMEOUT = 20  # seconds


def open_executor(config: CacheConfig, runtime: RuntimeConfig, shared: Path) -> AbstractContextManager[Executor]:
    """An executor that runs functions of this package; each of its workers must see the folder `shared`.

    Raises:
        ParamsError: the engine is dask, and no scheduler is configured.
        MelismaError: the scheduler or a worker cannot be used, or a local worker died.
    """
    return worker_pool(runtime.workers) if config.engine == "local" else _cluster(shared)


@contextmanager
def _cluster(shared: Path) -> Iterator[Executor]:
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MelismaError("cache.engine is dask, which is not installed: run `make setup EXTRAS=cluster`") from error
    address = dask.config.get("scheduler-address", None)
    if not address:
        raise ParamsError(
            f"{PARAMS_FILE}: cache.engine is dask, but no scheduler is configured: set DASK_SCHEDULER_ADDRESS "
            "(docs/cluster.md)"
        )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors are raised here, in one line each
    try:
        client = distributed.Client(address, timeout=SCHEDULER_TIMEOUT)
    except (OSError, ValueError) as error:
        raise MelismaError(f"no Dask scheduler answers at {address} (DASK_SCHEDULER_ADDRESS): {error}") from error
    with client:
        _check_workers(client, shared)
        workers = client.get_executor()
        try:
            yield workers
        except (distributed.KilledWorker, distributed.CancelledError) as error:
            hint = "perhaps out of memory; finished shards are kept, and `dvc repro` continues with them"
            raise MelismaError(f"the Dask cluster at {address} lost its workers or its scheduler, {hint}") from error
        finally:
            workers.shutdown(wait=False)  # cancels pending tasks


def _check_workers(client: "distributed.Client", shared: Path) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Refuse workers with other code or other storage."""
    if not client.scheduler_info()["workers"]:
        workspace.say(f"waiting for a worker of the Dask scheduler at {client.scheduler.address}")
    client.wait_for_workers(1)
    probe = shared / f".seen-by-workers.{os.getpid()}"
    probe.touch()
    try:
        for worker, (sees_probe, code) in client.run(_worker_state, str(probe)).items():
            if not sees_probe:
                raise MelismaError(f"the Dask worker {worker} does not see {shared}: it needs the same storage there")
            if code != code_fingerprint():
                raise MelismaError(
                    f"the Dask worker {worker} has other code of Melisma: start it again in this project"
                )
    except (ImportError, AttributeError) as error:
        hint = "start it in this project's environment"
        raise MelismaError(f"a Dask worker cannot import Melisma ({error}): {hint}") from error
    finally:
        probe.unlink(missing_ok=True)


def _worker_state(probe: str) -> tuple[bool, str]:
    return Path(probe).exists(), code_fingerprint()
