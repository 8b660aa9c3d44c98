"""Products in bf16 that are taken in float32 are rounded once; all else is as torch has it."""

import subprocess
import sys

import pytest

# a process of its own: what is replaced stays replaced
_PRODUCTS = """
import torch
from torch.nn.functional import linear

def results(dtype):
    torch.manual_seed(0)
    leaf = lambda *shape: torch.randn(shape).to(dtype).requires_grad_()
    states, weight, bias, batch = leaf(2, 7, 33), leaf(20, 33), leaf(20), leaf(3, 33, 5)
    outputs = [
        linear(states, weight, bias), linear(states[0], weight, bias), states[0] @ weight.T, linear(states, weight),
        states[:1].expand(3, -1, -1) @ batch,
        torch.baddbmm(batch[:, :7, :4], states[:1].expand(3, -1, -1), batch[:, :, :4], beta=2),
    ]
    torch.manual_seed(1)
    torch.cat([(output * torch.randn_like(output)).flatten() for output in outputs]).sum().backward()
    return [*outputs, states.grad, weight.grad, bias.grad, batch.grad]

before = results(torch.float32)
from rl.policy.rounding import round_products
round_products()
for name in ("mm", "addmm", "bmm", "baddbmm"):
    assert "rl/policy/rounding.py" in torch._C._dispatch_dump(f"aten::{name}")  # torch's own may round as well
assert all(map(torch.equal, before, results(torch.float32)))
assert all(result.dtype == torch.bfloat16 for result in results(torch.bfloat16))

def is_rounded_once(result, exact):
    return bool(((result.double() - exact).abs() <= exact.abs() * 1.001 * 2**-8 + 1e-5).all())

states, weight, bias = (torch.randn(shape).bfloat16().requires_grad_() for shape in ((70, 40), (30, 40), (30,)))
given = torch.randn(70, 30).bfloat16()
result = linear(states, weight, bias)
result.backward(given)
assert is_rounded_once(result, states.double() @ weight.double().T + bias.double())
assert is_rounded_once(states.grad, given.double() @ weight.double())
assert is_rounded_once(weight.grad, given.double().T @ states.double())
"""


@pytest.mark.slow
def test_products_are_rounded_once_and_only_those_in_bf16():
    done = subprocess.run([sys.executable, "-c", _PRODUCTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
