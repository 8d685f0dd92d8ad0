"""Schema of the `cache` section."""

from typing import Literal

from pydantic import Field

from pipeline.core.params import Section


class CacheConfig(Section):
    """Where the cache is made. No result depends on it."""

    engine: Literal["local", "dask"] = Field(
        "local", description="processes here (runtime.workers), or the workers of the Dask scheduler that is configured"
    )
