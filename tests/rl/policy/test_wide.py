"""Logits of bf16 weights come out in float32, not rounded to bf16: from torch's blocks, and without them."""

import ctypes
import shutil

import pytest
import torch

from rl.policy import compiling, wide

HAS_BLOCKS = torch.cpu.get_capabilities().get("avx512_bf16", False) and shutil.which("cc") is not None


@pytest.mark.skipif(not HAS_BLOCKS, reason="needs a processor with bf16 products and a C compiler")
def test_blocks_are_taken_where_the_processor_has_them():
    assert wide.block_product() is not None


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize(("width", "inner"), [(64, 48), (150, 576), (5, 6), (700, 31)])  # whole blocks, a rest, less than one
@pytest.mark.parametrize("rows", [1, 32, 77])
def test_the_product_is_exact_up_to_float32(monkeypatch, blocks, width, inner, rows):
    if not blocks:
        monkeypatch.setattr(wide, "block_product", lambda: None)
    torch.manual_seed(0)
    weight, states = torch.randn(width, inner).bfloat16(), torch.randn(rows, inner).bfloat16()
    output = torch.full((rows, width), torch.nan)
    result = wide.WideProduct(weight)(states, output)
    assert result.dtype == torch.float32
    assert result.data_ptr() == output.data_ptr()
    # sums of 576 numbers near 1 reach 100, where float32 has steps of 8e-6
    assert torch.allclose(result.double(), states.double() @ weight.double().T, atol=1e-4, rtol=0)


def test_states_that_are_a_view_are_read_as_they_are():
    torch.manual_seed(0)
    weight, states = torch.randn(70, 16).bfloat16(), torch.randn(16, 9).bfloat16().T
    assert torch.allclose(wide.WideProduct(weight)(states), states.float() @ weight.float().T, atol=1e-4)


def test_without_a_compiler_there_is_no_library(monkeypatch, tmp_path):
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return ONE; }")
    found = compiling.library(source, "ONE=1")
    assert found is None or ctypes.c_int(found.one()).value == 1
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiling.library(source, "ONE=2") is None
