"""A product with weights laid out beforehand is the plain product, to the bit; logits are not rounded."""

import pytest
import torch

from rl.policy.rounding import fit_products
from rl.sampling.products import Head, Product


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 32, 100])  # prepared for 32
def test_a_prepared_product_is_the_plain_one(dtype, biased, rows):
    fit_products("bf16")  # as load_model does
    torch.manual_seed(0)
    weight, states, total = (torch.randn(shape).to(dtype) for shape in ((96, 48), (rows, 48), (rows, 96)))
    bias = torch.randn(96).to(dtype) if biased else None
    product = Product((weight, bias), 32)
    expected = torch.nn.functional.linear(states, weight, bias)
    assert torch.equal(product(states), expected)
    exact = total.double() + states.double() @ weight.double().T + (0 if bias is None else bias.double())
    product.add_to(total, states)
    # of bf16, two roundings of 2**-9 of numbers below 40
    assert torch.allclose(total.double(), exact, atol=0.2 if dtype == torch.bfloat16 else 1e-5)


def test_logits_of_bf16_are_rounded_to_float32_alone():
    torch.manual_seed(0)
    weight, bias, states = (torch.randn(shape).bfloat16() for shape in ((90, 48), (90,), (5, 48)))
    logits = Head((weight, bias))(states)
    assert logits.dtype == torch.float32
    assert torch.allclose(logits.double(), states.double() @ weight.double().T + bias.double(), atol=1e-5, rtol=0)
