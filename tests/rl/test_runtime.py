"""A rank says what it computes on, and refuses the CPU beside a GPU that torch does not see."""

import pytest
import torch

from problems.errors import LabError
from rl import runtime

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="about machines on which torch sees no GPU")


def test_a_machine_without_nvidia_devices_computes_on_its_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_NVIDIA_DEVICES", tmp_path)
    (tmp_path / "nvidiactl").touch()  # the driver's, no device
    assert runtime.describe_device().startswith("the CPU, ")


def test_a_gpu_that_torch_does_not_see_is_an_error_unless_it_is_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "_NVIDIA_DEVICES", tmp_path)
    (tmp_path / "nvidia0").touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(LabError, match=r"\(nvidia0\) and torch .* sees none .*CUDA_VISIBLE_DEVICES= \(empty\)"):
        runtime.describe_device()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert runtime.describe_device().startswith("the CPU, ")
