import torch
from torch import nn

from noiseda.training.ema import MovingAverage


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.register_buffer("count", torch.tensor(0.0))


def test_it_equals_the_formula_written_out_number_by_number() -> None:
    """v_n = d_n v_(n-1) + (1 - d_n) w_n with d_n = min(decay, (1 + n) / (10 + n)), n from 0."""
    generator = torch.Generator().manual_seed(0)
    network = Network()
    average = MovingAverage(network, decay=0.6)
    expected = [1.0, -2.0]
    for n in range(40):
        with torch.no_grad():
            network.weight.copy_(torch.randn(2, generator=generator))
        average.update(network, n)
        d = min(0.6, (1 + n) / (10 + n))
        expected = [d * v + (1 - d) * w for v, w in zip(expected, network.weight.tolist(), strict=True)]
        torch.testing.assert_close(average.network.weight.data, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_the_random_start_is_forgotten_within_some_dozens_of_steps() -> None:
    network = Network()
    average = MovingAverage(network, decay=0.9999)
    with torch.no_grad():
        network.weight.fill_(5.0)
    for n in range(30):
        average.update(network, n)
    torch.testing.assert_close(average.network.weight.data, torch.full((2,), 5.0), rtol=1e-3, atol=0)


def test_buffers_are_copied() -> None:
    network = Network()
    average = MovingAverage(network, decay=0.9)
    network.count.fill_(7)
    average.update(network, 0)
    assert average.network.count.item() == 7
    network.count.fill_(8)
    assert average.network.count.item() == 7, "copied, not shared"


def test_it_is_a_network_apart_in_evaluation_mode() -> None:
    network = Network()
    average = MovingAverage(network, decay=0.9)
    assert network.training
    assert not average.network.training
    assert not average.network.weight.requires_grad
    with torch.no_grad():
        network.weight.zero_()
    assert average.network.weight.tolist() == [1.0, -2.0]
