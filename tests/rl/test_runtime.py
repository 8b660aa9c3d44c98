"""A rank says what it computes on, refuses the CPU beside a GPU that torch does not see, and keeps the memory it frees."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from problems.errors import LabError
from rl import devices, runtime

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="about machines on which torch sees no GPU")


def test_a_machine_without_nvidia_devices_computes_on_its_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_DEVICES", tmp_path)
    (tmp_path / "nvidiactl").touch()  # the driver's, no device
    assert runtime.describe_device().startswith("the CPU, ")


def test_a_gpu_that_torch_does_not_see_is_an_error_unless_it_is_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_DEVICES", tmp_path)
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(LabError, match=r"\(nvidia0\) and torch .* sees none .*CUDA_VISIBLE_DEVICES= \(empty\)"):
        runtime.describe_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert runtime.describe_device().startswith("the CPU, ")


@pytest.mark.parametrize(("amx", "said"), [(True, False), (False, True)])
def test_bf16_is_called_slow_where_the_processor_has_no_matrix_unit_for_it(monkeypatch, amx, said):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    assert ("model.dtype=fp32" in runtime.slow_precision("bf16")) is said
    assert runtime.slow_precision("fp32") == ""


@pytest.mark.parametrize(
    ("amx", "dtype", "weights", "said"),
    [
        (True, "fp32", 135_000_000, True),
        (True, "fp32", 400_000, False),  # of the demo: too small for products to decide
        (True, "bf16", 135_000_000, False),
        (False, "fp32", 135_000_000, False),
    ],
)
def test_bf16_is_called_faster_where_the_processor_has_a_matrix_unit_for_it(monkeypatch, amx, dtype, weights, said):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    assert ("model.dtype=bf16" in runtime.faster_precision(dtype, weights)) is said


_TOUCHES = """
import resource
import torch
from rl.runtime import set_threads
set_threads(1)
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(50 * 2**20)  # 200 MiB
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_group_that_another_library_made_is_left_too():
    """As by accelerate, in a cold start that torchrun starts with one rank."""
    script = (
        "import torch\nfrom rl.runtime import process_group\n"
        "with process_group(even_alone=False):\n"
        "    torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)\n"
        "assert not torch.distributed.is_initialized()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
@pytest.mark.parametrize("tuned", [False, True])
def test_large_tensors_come_from_memory_that_the_process_already_has(tuned):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    environment.pop("GLIBC_TUNABLES", None)
    if tuned:  # a user's own settings stay: every tensor is mapped anew
        environment["MALLOC_MMAP_THRESHOLD_"] = str(2**20)
    ran = subprocess.run([sys.executable, "-c", _TOUCHES], env=environment, capture_output=True, text=True, check=True)
    # glibc aligns a block within a larger one, so a hole is a little too small for the next tensor of its size until two meet
    *_, before, last = map(int, ran.stdout.split())
    # 200 MiB are 51,200 pages of 4 KiB; where the system gives pages of 2 MiB, 100
    assert min(before, last) >= 50 if tuned else max(before, last) < 50
