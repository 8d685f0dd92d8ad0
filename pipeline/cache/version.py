"""What decides the bytes of a shard, besides its inputs."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

CODE = (
    *(f"audio/{name}.py" for name in ("cut", "decode", "mel", "resample", "scale")),
    *(f"cache/{name}.py" for name in ("arrays", "config", "plan", "shard", "statistics")),
)
LIBRARIES = ("librosa", "numpy", "pyarrow", "soundfile", "soxr", "torch")


@cache
def code_version() -> str:
    """Digest of code and libraries as they were when this process first asked; a worker may have begun earlier."""
    digest = hashlib.sha256(" ".join(f"{name}={version(name)}" for name in LIBRARIES).encode())
    for name in CODE:
        digest.update((Path(__file__).parents[1] / name).read_bytes())
    return digest.hexdigest()
