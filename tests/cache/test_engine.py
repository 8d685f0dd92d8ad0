"""Who computes shards: what is said when it cannot."""

import sys

import pytest

from pipeline.cache import engine
from pipeline.cache.config import CacheConfig
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import RuntimeConfig

DASK = CacheConfig(engine="dask")


def opened(folder):
    with engine.executor(DASK, RuntimeConfig(), folder):
        pass


def test_no_scheduler_is_named_as_what_is_missing(tmp_path, monkeypatch):
    dask = pytest.importorskip("dask")
    with dask.config.set({"scheduler-address": None}), pytest.raises(ParamsError, match="set DASK_SCHEDULER_ADDRESS"):
        opened(tmp_path)


def test_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    dask = pytest.importorskip("dask")
    monkeypatch.setattr(engine, "PATIENCE", 0.5)
    nobody = "tcp://127.0.0.1:1"
    with dask.config.set({"scheduler-address": nobody}), pytest.raises(MelismaError, match=f"answers at {nobody}"):
        opened(tmp_path)


def test_missing_dask_is_answered_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MelismaError, match="make setup EXTRAS=cluster"):
        opened(tmp_path)


def test_local_engine_runs_functions_in_other_processes(tmp_path):
    with engine.executor(CacheConfig(), RuntimeConfig(workers=1), tmp_path) as workers:
        assert workers.submit(abs, -3).result() == 3
