"""What a device has left."""

import pytest
import torch

from pipeline.training import room

CPU = torch.device("cpu")
V2 = {"memory.max": "5000", "memory.current": "3000", "memory.stat": "anon 9\nactive_file 200\ninactive_file 300\n"}
V1 = {
    "memory.limit_in_bytes": "5000",
    "memory.usage_in_bytes": "3000",
    "memory.stat": "active_file 7\ntotal_active_file 200\ntotal_inactive_file 300\n",
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes files of a machine with 1,000 kB to spare."""
    monkeypatch.setattr(room, "PROC", tmp_path / "proc")
    monkeypatch.setattr(room, "CGROUP", tmp_path / "cgroup")

    def write(folder: str, files: dict[str, str]) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)

    write("proc", {"meminfo": "MemTotal:    9000 kB\nMemFree:  1 kB\nMemAvailable:    1000 kB\n"})
    write("proc/self", {"cgroup": "3:cpu:/\n0::/job/step\n"})
    return write


def test_without_a_limit_it_is_what_the_machine_has_to_spare(machine):
    assert room.available(CPU) == 1_024_000
    machine("cgroup/job", {"memory.max": "max", "memory.current": "3000", "memory.stat": ""})
    assert room.available(CPU) == 1_024_000


@pytest.mark.parametrize("folder", ["cgroup", "cgroup/job", "cgroup/job/step"])
def test_a_limit_anywhere_above_the_process_counts_and_cached_files_do_not(machine, folder):
    machine(folder, V2)
    assert room.available(CPU) == 2500


def test_limits_of_the_first_version_count_too(machine):
    machine("proc/self", {"cgroup": "4:memory:/box/abc\n0::/\n"})
    machine("cgroup/memory", V1)  # as a container sees it: its own folder is the top
    assert room.available(CPU) == 2500
    machine("cgroup/memory", {"memory.usage_in_bytes": "9000"})
    assert room.available(CPU) == 0


def test_where_nobody_knows_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "PROC", tmp_path / "nowhere")
    assert room.available(CPU) is None
    assert room.available(torch.device("mps")) is None


def test_this_machine_has_some_left():
    found = room.available(CPU)
    assert found is None or found > 2**20


@pytest.mark.gpu
def test_a_gpu_gives_back_what_torch_keeps_for_itself():
    device = torch.device("cuda")
    before = room.available(device)
    held = torch.zeros(2**28, device=device)
    assert room.available(device) <= before - held.nbytes + 2**22
    del held
    assert room.available(device) >= before - 2**22
