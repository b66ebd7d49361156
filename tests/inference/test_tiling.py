"""Tiles must not show: identity is exact, and a small network gives what it gives on the whole image."""

import inspect
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from noiseda.errors import UserError
from noiseda.inference.tiling import Tiler, inferring, restore_tensor, spans
from noiseda.restoration import UNet
from tests.restoration.networks import Doubling


def draw(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def convolutions(channels=3, *, sees=4):
    """A network that sees ``sees`` pixels far."""
    torch.manual_seed(0)
    inner = [layer for _ in range(sees - 1) for layer in (nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU())]
    net = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), *inner, nn.Conv2d(8, channels, 1), nn.Sigmoid())
    net.channels = channels
    return net


class Halving(nn.Module):
    """Averages blocks of 8 x 8: what it gives depends on where the blocks start."""

    channels, multiple_of = 3, 8

    def forward(self, images):
        small = nn.functional.avg_pool2d(images, 8, ceil_mode=True, count_include_pad=False)
        large = nn.functional.interpolate(small, scale_factor=8)
        return large[..., : images.shape[-2], : images.shape[-1]]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4000), st.integers(2, 40), st.floats(0, 0.5), st.sampled_from([16, 32]), st.integers(1, 4))
def test_windows_sum_to_one_and_neighbours_share_the_overlap(length, size, share, grid, scale):
    tile = size * grid + length % grid
    overlap = int(share * tile)
    cuts = spans(length, tile, overlap, grid, scale)
    total = torch.zeros(length * scale)
    for start, stop, window in cuts:
        assert stop - start <= tile
        assert start % grid == 0
        assert window.min() >= 0
        total[start * scale : stop * scale] += window
    torch.testing.assert_close(total, torch.ones(length * scale), atol=1e-6, rtol=0)
    assert (cuts[0][0], cuts[-1][1]) == (0, length)
    assert all(before[1] - after[0] >= overlap for before, after in itertools.pairwise(cuts))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (257, 129), (64, 65), (100, 700)])
@pytest.mark.parametrize(("tile", "overlap"), [(64, 16), (64, 32), (32, 0), (None, 0), (47, 10)])
def test_identity_is_exact(size, tile, overlap):
    pixels = draw(3, *size)
    restored = restore_tensor(nn.Identity(), pixels, tile=tile, overlap=overlap)
    torch.testing.assert_close(restored, pixels, atol=1e-6, rtol=0)


def test_tiled_equals_whole_for_a_network_that_sees_less_than_the_overlap():
    net, pixels = convolutions(sees=4), draw(2, 3, 150, 201)
    whole = restore_tensor(net, pixels, tile=None)
    tiled = restore_tensor(net, pixels, tile=64, overlap=16)
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(whole, net(pixels), atol=1e-6, rtol=0)


def test_tiles_start_on_the_networks_grid():
    pixels = draw(3, 203, 333)
    whole = restore_tensor(Halving(), pixels, tile=None)
    torch.testing.assert_close(restore_tensor(Halving(), pixels, tile=72, overlap=24), whole, atol=1e-6, rtol=0)


def test_a_u_net_that_sees_further_shows_no_seam():
    torch.manual_seed(0)
    net, pixels = UNet(width=8, depth=3), draw(3, 200, 300)
    for weight in net.parameters():  # its last layer starts at zero, where it would change nothing
        if weight.ndim == 4:
            nn.init.kaiming_normal_(weight, a=0.2)
    whole = restore_tensor(net, pixels, tile=None)
    assert (whole - pixels).abs().mean() > 0.05
    error = (restore_tensor(net, pixels, tile=128, overlap=64) - whole).abs()
    assert error.max() < 0.01
    assert error.mean() < 1e-4


def _extended(pixels, by):
    return nn.functional.pad(pixels[None], (by,) * 4, mode="replicate")


@pytest.mark.parametrize(("stride", "by"), [(1, 8), (8, 8), (3, 9), (16, 16), (32, 0)])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_border_is_repeated_before_and_cut_off_after(scale, stride, by):
    seen = []

    class Bordered(nn.Module):
        channels, border = 3, 8

        def forward(self, images):
            seen.append(images.clone())
            return images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    net, pixels = Bordered(), draw(3, 40, 50)
    net.scale, net.multiple_of = scale, stride
    restored = restore_tensor(net, pixels)
    assert torch.equal(restored, pixels.repeat_interleave(scale, 1).repeat_interleave(scale, 2))
    assert torch.equal(seen[0], _extended(pixels, by))


@pytest.mark.parametrize("net", [convolutions(sees=4), Halving(), Doubling().eval()])
def test_tiled_equals_whole_with_a_border_that_only_the_image_has(net):
    net.border = 8
    pixels = draw(3, 150, 201)
    with torch.inference_mode():
        whole = net(_extended(pixels, 8))[0]
    scale = getattr(net, "scale", 1)
    whole = whole[:, 8 * scale : -8 * scale, 8 * scale : -8 * scale].clamp(0, 1)
    torch.testing.assert_close(restore_tensor(net, pixels, tile=None), whole, atol=1e-6, rtol=0)
    tiled = restore_tensor(net, pixels, tile=64, overlap=16)
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=0)


def test_tiles_that_become_smaller_keep_the_border_where_it_was():
    class Cramped(Doubling):
        border = 8

        def restore(self, images):
            if images.shape[-1] > 50:
                raise torch.OutOfMemoryError
            return super().restore(images)

    pixels = draw(1, 3, 60, 100)
    tiler = Tiler(Cramped().eval(), tile=64, overlap=16, shrunk=lambda *sides: None)
    with inferring(tiler.model):
        rows = [rows for _, rows in tiler.rows(lambda *sides: _part(pixels, *sides), pixels.shape, "fp32")]
    whole = Doubling().eval()
    whole.border = 8
    torch.testing.assert_close(torch.cat(rows, dim=2), restore_tensor(whole, pixels, tile=None), atol=1e-6, rtol=0)


def test_few_tiles_at_a_time():
    """No tile is larger than asked for, and each is restored once."""
    seen = []

    class Counting(nn.Module):
        def forward(self, images):
            seen.append(tuple(images.shape))
            return images

    restore_tensor(Counting(), draw(3, 100, 100), tile=64, overlap=8)
    assert seen == [(1, 3, h, w) for h in (64, 52) for w in (64, 52)]


def test_a_batch_is_its_images_one_by_one():
    net, pixels = convolutions(), draw(3, 3, 90, 70)
    together = restore_tensor(net, pixels, tile=64, overlap=16)
    for image, restored in zip(pixels, together, strict=True):
        torch.testing.assert_close(restore_tensor(net, image, tile=64, overlap=16), restored, atol=1e-6, rtol=0)


def test_grey_through_a_colour_network_is_the_mean_of_three():
    net, grey = convolutions(3), draw(1, 40, 50)
    restored = restore_tensor(net, grey, tile=None)
    assert restored.shape == (1, 40, 50)
    torch.testing.assert_close(restored[0], net(grey.expand(1, 3, 40, 50))[0].mean(0), atol=1e-6, rtol=0)


def test_colour_through_a_grey_network_is_restored_channel_by_channel():
    net, pixels = convolutions(1), draw(2, 3, 40, 50)
    restored = restore_tensor(net, pixels, tile=None)
    for image, result in zip(pixels, restored, strict=True):
        for channel in range(3):
            expected = net(image[channel][None, None])[0, 0]
            torch.testing.assert_close(result[channel], expected, atol=1e-6, rtol=0)


def test_the_result_is_clamped_and_of_use_in_training():
    class Wild(nn.Module):
        def forward(self, images):
            return 4 * images - 1

    restored = restore_tensor(Wild(), draw(3, 20, 20))
    assert (restored.min(), restored.max()) == (0, 1)
    assert not restored.is_inference()
    weight = torch.ones(1, requires_grad=True)
    (weight * restored).sum().backward()


def test_the_input_and_the_networks_mode_are_as_before():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5))
    net[0].eval()
    pixels = draw(3, 30, 30)
    before = pixels.clone()
    first = restore_tensor(net, pixels)
    assert torch.equal(first, restore_tensor(net, pixels))  # no dropout
    assert (net.training, net[0].training, net[1].training) == (True, False, True)
    assert torch.equal(pixels, before)


def test_the_mode_comes_back_after_a_failure_too():
    class Failing(nn.Module):
        def forward(self, images):
            raise RuntimeError("broken")

    net = Failing()
    with pytest.raises(RuntimeError, match="broken"):
        restore_tensor(net, draw(3, 8, 8))
    assert net.training


def test_bf16_is_near_fp32():
    net, pixels = convolutions(), draw(3, 40, 40)
    exact, fast = (restore_tensor(net, pixels, precision=p) for p in ("fp32", "bf16"))
    assert fast.dtype == torch.float32
    assert 0 < (exact - fast).abs().max() < 0.02
    assert torch.equal(restore_tensor(net, pixels, precision="auto"), exact)  # on a CPU


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (0, 0, "--tile must be at least 32 for this network, not 0"),
        (31, 0, "--tile must be at least 32"),
        (64, 33, r"--overlap must be at most half of --tile \(32\), not 33"),
        (64, -1, "--overlap must not be negative, but is -1"),
    ],
)
def test_tiles_that_cannot_work(tile, overlap, message):
    with pytest.raises(UserError, match=message):
        restore_tensor(nn.Identity(), draw(3, 8, 8), tile=tile, overlap=overlap)


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (4, 8, 8), (3, 0, 8), (1, 1, 3, 8, 8)])
def test_shapes_that_are_no_images(shape):
    with pytest.raises(UserError, match="expected an image"):
        restore_tensor(nn.Identity(), torch.zeros(shape))


def test_a_network_that_changes_the_shape_is_named():
    with pytest.raises(UserError, match="expected the same shape"):
        restore_tensor(nn.AvgPool2d(2), draw(3, 8, 8))


def test_a_network_that_enlarges_gives_in_tiles_what_it_gives_on_the_whole_image():
    net, pixels = Doubling().eval(), draw(2, 3, 150, 201)
    tiled = restore_tensor(net, pixels, tile=64, overlap=16)
    assert tiled.shape == (2, 3, 300, 402)
    with torch.inference_mode():
        torch.testing.assert_close(tiled, net(pixels).clamp(0, 1), atol=1e-6, rtol=0)
    assert torch.equal(restore_tensor(net, pixels[0], tile=64, overlap=16), tiled[0])


@pytest.mark.parametrize(("channels", "wanted"), [(1, 3), (3, 1)])
def test_grey_and_colour_through_a_network_that_enlarges(channels, wanted):
    net, pixels = Doubling(wanted).eval(), draw(channels, 90, 70)
    restored = restore_tensor(net, pixels, tile=64, overlap=16)
    with torch.inference_mode():
        expected = Doubling(channels).eval()(pixels[None])[0].clamp(0, 1)
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)


def test_an_enlarged_image_is_within_its_white_level_too():
    net, pixels = Doubling().eval(), draw(3, 20, 20) * 0.06
    plain = restore_tensor(net, pixels)
    net.white_level = 4095
    torch.testing.assert_close(restore_tensor(net, pixels), plain, atol=1e-6, rtol=0)  # it is linear


def _part(pixels, top, bottom, left, right):
    return pixels[:, :, top:bottom, left:right]


def test_progress_of_a_network_that_enlarges_ends_at_the_whole():
    told, pixels = [], draw(1, 3, 100, 90)
    tiler = Tiler(Doubling(), tile=64, overlap=16)
    with inferring(tiler.model):
        rows = list(tiler.rows(lambda *sides: _part(pixels, *sides), pixels.shape, "fp32", told.append))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert [top for top, _ in rows] == [0, rows[0][1].shape[2]]


@pytest.mark.parametrize("scale", [1, 3])
def test_a_network_that_enlarges_otherwise_than_it_states_is_named(scale):
    net = Doubling()
    net.scale = scale
    net.forward = lambda images: net.restore(images)
    words = "expected the same shape" if scale == 1 else r"expected \(1, 3, 24, 24\), since it states a scale of 3"
    with pytest.raises(UserError, match=words):
        restore_tensor(net, draw(3, 8, 8))


@pytest.mark.parametrize("scale", [0, 1.5, "2"])
def test_a_scale_that_is_no_whole_number_is_named(scale):
    net = nn.Identity()
    net.scale = scale
    with pytest.raises(UserError, match="expected a whole number of 1 and more"):
        restore_tensor(net, draw(3, 8, 8))


def test_a_gpu_without_room_enlarges_in_smaller_tiles():
    class Cramped(Doubling):
        def restore(self, images):
            if images.shape[-1] > 40:
                raise torch.OutOfMemoryError
            return super().restore(images)

    pixels, shrunk = draw(1, 3, 60, 100), []
    tiler = Tiler(Cramped().eval(), tile=64, overlap=16, shrunk=lambda *sides: shrunk.append(sides))
    with inferring(tiler.model):
        rows = [rows for _, rows in tiler.rows(lambda *sides: _part(pixels, *sides), pixels.shape, "fp32")]
    assert shrunk == [(64, 32)]
    expected = restore_tensor(Doubling().eval(), pixels, tile=None)
    torch.testing.assert_close(torch.cat(rows, dim=2), expected, atol=1e-6, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_as_on_a_cpu():
    net, pixels = convolutions(), draw(3, 100, 150)
    expected = restore_tensor(net, pixels, tile=64, overlap=16)
    found = restore_tensor(net.cuda(), pixels, tile=64, overlap=16, precision="fp32")
    assert found.device.type == "cpu"
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert (restore_tensor(net, pixels, tile=64, overlap=16) - expected).abs().max() < 0.02


# --- row by row ------------------------------------------------------------------------------------------------------


def rows_of(tiler, pixels, precision="fp32", advance=None):
    with inferring(tiler.model):
        cut = lambda top, bottom, left, right: pixels[None, :, top:bottom, left:right]  # noqa: E731
        yield from tiler.rows(cut, (1, *pixels.shape), precision, advance)


@pytest.mark.parametrize(("channels", "wanted"), [(3, 3), (1, 3), (3, 1)])
def test_rows_come_once_in_order_and_are_those_of_the_tensor(channels, wanted):
    net, pixels = convolutions(wanted), draw(channels, 333, 150)
    found = list(rows_of(Tiler(net, tile=64, overlap=16), pixels))
    assert [top for top, _ in found] == [0, *itertools.accumulate(rows.shape[2] for _, rows in found[:-1])]
    assert len(found) > 5
    assert max(rows.shape[2] for _, rows in found) <= 64
    whole = torch.cat([rows for _, rows in found], dim=2)
    assert torch.equal(whole[0], restore_tensor(net, pixels, tile=64, overlap=16, precision="fp32"))


def test_rows_may_take_the_place_of_those_they_came_from():
    net, pixels = convolutions(), draw(3, 300, 100)
    expected = restore_tensor(net, pixels, tile=64, overlap=32)
    buffer = pixels.clone()
    for top, rows in rows_of(Tiler(net, tile=64, overlap=32), buffer):
        buffer[:, top : top + rows.shape[2]] = rows[0]
    assert torch.equal(buffer, expected)


def test_progress_ends_at_one():
    shares = []
    list(rows_of(Tiler(nn.Identity(), tile=64, overlap=16), draw(3, 130, 200), advance=shares.append))
    assert len(shares) == 12
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[-1] == pytest.approx(1)


def test_the_default_tiles_change_less_than_one_255th():
    """A U-Net of the paper's depth, which sees some 60 pixels far; its weights are random, its gain a denoiser's."""
    torch.manual_seed(1)
    net = UNet(width=8).eval()
    nn.init.normal_(net.head.weight, std=0.01)
    tile, overlap = (inspect.signature(restore_tensor).parameters[name].default for name in ("tile", "overlap"))

    def error(overlap):
        pixels = draw(3, 48, tile + (tile - overlap) // 16 * 16)  # two tiles that share no more than they must
        whole = restore_tensor(net, pixels, tile=None)
        assert 255 * (whole - pixels).abs().mean() > 5
        return 255 * (restore_tensor(net, pixels, tile=tile, overlap=overlap) - whole).abs().max()

    assert error(overlap) < 1
    assert error(0) > 10


def test_whatever_computes_a_tile_will_do():
    pixels = draw(1, 100, 90)
    restored = restore_tensor(lambda tile: 1 - tile, pixels, tile=64, overlap=8)
    torch.testing.assert_close(restored, 1 - pixels, atol=1e-6, rtol=0)


# --- want of memory --------------------------------------------------------------------------------------------------


class Cramped(nn.Module):
    """A network on a GPU that holds so many pixels and no more."""

    def __init__(self, room, net=None):
        super().__init__()
        self.room, self.net, self.seen = room, net or nn.Identity(), []

    def forward(self, images):
        if images.shape[2] * images.shape[3] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(tuple(images.shape[2:]))
        return self.net(images)


@pytest.mark.parametrize(("tile", "said"), [(256, [(256, 128), (112, 48)]), (None, [(480, 240), (192, 96), (96, 48)])])
def test_tiles_are_halved_until_they_fit_and_stay_so(tile, said):
    heard = []  # tiles are no longer than the side they cover needs, and it is those that are halved
    net, pixels = Cramped(64 * 64, convolutions()), draw(3, 480, 70)
    tiler = Tiler(net, tile=tile, overlap=32, shrunk=lambda *sides: heard.append(sides))
    restored = torch.cat([rows for _, rows in rows_of(tiler, pixels)], dim=2)[0]
    assert heard == said
    torch.testing.assert_close(restored, restore_tensor(net.net, pixels, tile=None), atol=1e-6, rtol=0)
    assert tiler.tile == said[-1][1]
    assert 2 * tiler.overlap <= tiler.tile
    net.seen.clear()
    again = torch.cat([rows for _, rows in rows_of(tiler, pixels)], dim=2)[0]
    assert heard == said
    assert 32 <= max(max(sides) for sides in net.seen) <= tiler.tile
    assert torch.equal(again, restore_tensor(net.net, pixels, tile=tiler.tile, overlap=tiler.overlap))


def test_memory_may_run_out_in_the_middle_of_an_image():
    heard = []
    net, pixels = Cramped(10**9, convolutions()), draw(3, 300, 200)
    tiler = Tiler(net, tile=128, overlap=32, shrunk=lambda *sides: heard.append(sides))
    found = []
    for top, rows in rows_of(tiler, pixels):
        found.append(rows)
        net.room = 64 * 64 if top == 0 else net.room
    assert heard == [(128, 64)]
    torch.testing.assert_close(
        torch.cat(found, dim=2)[0], restore_tensor(net.net, pixels, tile=None), atol=1e-6, rtol=0
    )


def test_no_memory_for_the_smallest_tile_is_an_error_and_so_is_any_where_nobody_hears_of_it():
    heard, pixels = [], draw(3, 100, 100)
    with pytest.raises(torch.OutOfMemoryError):
        list(rows_of(Tiler(Cramped(31 * 31), tile=64, overlap=16, shrunk=lambda *sides: heard.append(sides)), pixels))
    assert heard == [(64, 32)]
    with pytest.raises(torch.OutOfMemoryError):
        restore_tensor(Cramped(50 * 50), pixels, tile=64, overlap=16)


def test_tiles_are_no_longer_than_the_side_needs():
    """Two tiles of 512 would compute a side of 600 pixels nearly twice."""
    for length, longest in ((600, 336), (768, 416), (960, 512)):
        cuts = spans(length, 512, 64)
        assert len(cuts) == 2
        assert max(stop - start for start, stop, _ in cuts) == longest
