"""Schema of the `cache` section."""

from typing import Literal

from pydantic import Field

from pipeline.core.params import Section


class CacheConfig(Section):
    """The workers that compute the cache. No result depends on them."""

    engine: Literal["local", "dask"] = Field(
        "local", description="processes here (runtime.workers), or the workers of the Dask scheduler that is configured"
    )
