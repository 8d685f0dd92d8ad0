"""The engines, and the errors of a cluster that cannot be used."""

import sys

import pytest

from pipeline.cache import engine
from pipeline.cache.config import CacheConfig
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import RuntimeConfig

DASK = CacheConfig(engine="dask")


def open_cluster(folder):
    with engine.open_executor(DASK, RuntimeConfig(), folder):
        pass


def test_a_missing_scheduler_address_is_an_error(tmp_path):
    dask = pytest.importorskip("dask")
    with dask.config.set({"scheduler-address": None}), pytest.raises(ParamsError, match="set DASK_SCHEDULER_ADDRESS"):
        open_cluster(tmp_path)


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    dask = pytest.importorskip("dask")
    monkeypatch.setattr(engine, "SCHEDULER_TIMEOUT", 0.5)
    address = "tcp://127.0.0.1:1"
    with dask.config.set({"scheduler-address": address}), pytest.raises(MelismaError, match=f"answers at {address}"):
        open_cluster(tmp_path)


def test_a_missing_dask_names_the_extra_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MelismaError, match="make setup EXTRAS=cluster"):
        open_cluster(tmp_path)
