import torch

from noiseda.adaptation.permutation import draw_order, shuffle


def test_blocks_swap_half_the_time_and_whole_conditions():
    order = draw_order("blocks", 4000, 3, torch.Generator().manual_seed(0))
    stay, swapped = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([3, 4, 5, 0, 1, 2])
    is_swapped = (order == swapped).all(dim=1)
    assert ((order == stay).all(dim=1) ^ is_swapped).all()
    assert abs(is_swapped.float().mean() - 0.5) < 0.03


def test_channels_are_permuted_uniformly():
    order = draw_order("channels", 6000, 3, torch.Generator().manual_seed(0))
    assert (order.sort(dim=1).values == torch.arange(6)).all()
    shares = torch.nn.functional.one_hot(order).float().mean(dim=0)  # (position, channel)
    assert (shares - 1 / 6).abs().max() < 0.02


def test_off_keeps_all_in_place():
    assert (draw_order("off", 5, 1, torch.Generator()) == torch.tensor([0, 1])).all()


def test_shuffle_takes_each_channel_from_where_the_order_says():
    first, second = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    order = torch.tensor([[5, 0, 1, 2, 3, 4], [3, 4, 5, 0, 1, 2]])
    out = torch.cat(shuffle(first, second, order), dim=1)
    assert torch.equal(out[0, 0], second[0, 2])
    assert torch.equal(out[0, 1], first[0, 0])
    assert torch.equal(out[1], torch.cat([second[1], first[1]]))
