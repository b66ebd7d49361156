"""The layers written for speed compute what torch's own do."""

import pytest
import torch
import torch.nn.functional as F

from noiseda.diffusion.layers import Dropout, NormSiLU


def plain(layer, x, scale=None, shift=None):
    y = F.group_norm(x, layer.num_groups, layer.weight, layer.bias, layer.eps)
    return F.silu(y if scale is None else y * (1 + scale[:, :, None, None]) + shift[:, :, None, None])


def layer_and_inputs(dtype=torch.float64, *, memory=torch.contiguous_format, modulated=True):
    g = torch.Generator().manual_seed(0)

    def draw(*shape):
        return (3 + 2 * torch.randn(shape, generator=g, dtype=torch.float64)).to(dtype)

    layer = NormSiLU(4, 8).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(draw(8))
        layer.bias.copy_(draw(8))
    x = draw(2, 8, 5, 6).contiguous(memory_format=memory)
    inputs = [x, draw(2, 8), draw(2, 8)] if modulated else [x]
    return layer, [tensor.requires_grad_() for tensor in inputs]


@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_norm_and_silu_are_torchs_and_so_are_their_gradients(memory, modulated):
    layer, inputs = layer_and_inputs(torch.float32, memory=memory, modulated=modulated)
    found, wanted = layer(*inputs), plain(layer, *inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert found.is_contiguous(memory_format=memory)
    variables = [*inputs, layer.weight, layer.bias]
    upstream = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1))
    both = (torch.autograd.grad(y, variables, upstream) for y in (found, wanted))
    for mine, theirs in zip(*both, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_it_is_as_near_to_exact_as_torchs_own():
    layer, exact = layer_and_inputs()
    reference = plain(layer, *exact)
    wanted = torch.autograd.grad(reference.sum(), exact)
    reference = reference.detach()
    rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in exact]
    low = layer.float()

    def errors(y):
        gradients = torch.autograd.grad(y.float().sum(), rounded)
        return [
            float((a.double() - b).norm() / b.norm())
            for a, b in zip((y.detach(), *gradients), (reference, *wanted), strict=True)
        ]

    mine = errors(low(*rounded))
    torchs = errors(plain(low.bfloat16(), *rounded))
    assert all(error < 1.5 * theirs + 2e-3 for error, theirs in zip(mine, torchs, strict=True)), (mine, torchs)


def test_it_keeps_only_its_input():
    layer, inputs = layer_and_inputs(torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(*inputs)
    images = [tensor for tensor in kept if tensor.ndim == 4]
    assert [tensor.data_ptr() for tensor in images] == [inputs[0].data_ptr()]


@pytest.mark.parametrize("shape", [(3, 8, 7, 5), (1, 1, 1, 1), (1001,)])
@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_zeroes_a_share_and_keeps_the_mean(shape, rate):
    torch.manual_seed(0)
    drop, x = Dropout(rate), torch.ones(shape, requires_grad=True)
    drawn = torch.stack([drop(x) for _ in range(200)])
    kept = drawn[drawn != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=1e-4, atol=0)
    count = drawn.numel()
    assert abs((drawn == 0).float().mean().item() - rate) < 5 * (rate * (1 - rate) / count) ** 0.5
    assert drawn.flatten(1).float().std(dim=0).min() > 0, "every element is dropped at times"
    y = drop(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, y)


def test_dropout_depends_on_the_seed_alone_and_rests_in_evaluation():
    drop, x = Dropout(0.3), torch.rand(2, 8, 6, 6)
    drawn = []
    for memory in (torch.contiguous_format, torch.contiguous_format, torch.channels_last):
        torch.manual_seed(7)
        drawn.append(drop(x.contiguous(memory_format=memory)))
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[2].is_contiguous(memory_format=torch.channels_last)
    assert drop.eval()(x) is x
