"""Every network by its name: built, introduced by its own weights, kept in a file, read by us and by spandrel."""

import pytest
import torch

from noiseda.errors import UserError
from noiseda.restoration import build_restorer, load, read_metadata, save_weights
from noiseda.restoration.catalogue import NETWORKS, parameters
from noiseda.restoration.spandrel_models import FEATURES, IDLE, Foreign
from noiseda.restorer_settings import SIZES, RestorerSettings
from tests.restoration.networks import SMALL, built

FOREIGN = [name for name in NETWORKS if not name.startswith("unet")]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_it_keeps_the_contract(name, channels):
    network = built(name, channels=channels).eval()
    images = torch.rand(2, channels, 45, 70)
    with torch.inference_mode():
        restored = network(images)
        alone = network(images[:1])
    assert restored.shape == images.shape
    assert restored.dtype == torch.float32
    torch.testing.assert_close(alone, restored[:1], atol=1e-4, rtol=1e-4)  # one image knows nothing of another
    assert name.startswith("unet") == torch.equal(restored, images)  # ours begins with what it is given


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FOREIGN)
def test_it_comes_back_from_its_file_to_us_and_to_spandrel(name, channels, tmp_path):
    import spandrel

    network, path = built(name, channels=channels).eval(), tmp_path / "network.safetensors"
    save_weights(
        path, network.tensors(), architecture=network.architecture, arguments=network.arguments, task="denoise"
    )
    assert read_metadata(path)["architecture"] == NETWORKS[name].architecture
    loaded = load(path)
    assert isinstance(loaded, Foreign)
    assert not loaded.training
    for key, tensor in network.tensors().items():
        assert loaded.tensors()[key].dtype == tensor.dtype  # positions in a window stay whole numbers
    theirs = spandrel.ModelLoader().load_from_file(path)
    assert theirs.architecture.id == network.architecture
    for size in ((64, 64), (45, 70), (17, 130)):
        images = torch.rand(1, channels, *size)
        with torch.inference_mode():
            expected = network(images)
            assert torch.equal(loaded(images), expected)
            assert torch.equal(theirs(images), expected.clamp(0, 1))


@pytest.mark.parametrize("name", FOREIGN)
def test_gradients_reach_every_weight_that_is_to_learn(name):
    torch.manual_seed(0)
    network = built(name).train()
    with torch.no_grad():  # some start at zero, where what lies before them gets none
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(std=0.1)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    idle = IDLE.get(network.architecture, ())
    for key, weight in network.network.named_parameters():
        if key.startswith(idle):
            assert weight.grad is None
            assert not weight.requires_grad
        else:
            assert weight.grad is not None, key
            assert weight.grad.isfinite().all(), key
    learning = [weight.grad.any() for weight in network.parameters() if weight.grad is not None]
    assert sum(learning) > 0.8 * len(learning)


def test_the_idle_weights_are_idle():
    """Whatever they are, the image is the same."""
    network = built("fftformer").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network(images)
        (frozen,) = [weight for weight in network.parameters() if not weight.requires_grad]
        frozen.add_(1)
        assert torch.equal(network(images), expected)


@pytest.mark.parametrize("name", FOREIGN)
def test_its_features_are_images_or_there_are_none(name):
    network = built(name)
    if network.architecture not in FEATURES:
        with pytest.raises(UserError, match=f"cannot have {network.architecture}"):
            _ = network.features
        return
    seen = []
    handle = network.features.register_forward_hook(lambda *given: seen.append(given[2]))
    height, width = network.padded(64, 96)
    with torch.inference_mode():
        network.eval()(torch.rand(1, 3, 64, 96))
    handle.remove()
    (features,) = seen
    assert features.ndim == 4
    assert height // features.shape[2] == width // features.shape[3]


@pytest.mark.parametrize(
    ("name", "millions"),
    # unet-paper and unet-deep (65.19 M): arXiv 2406.18516; of others the size that is known of their usual form, dncnn
    # by count: 15 * 64 * 64 * 9 weights between the first convolution and the last.
    [("unet-paper", 8.56), ("unet-deep", 65.2), ("dncnn", 0.56), ("nafnet", 29.2), ("drunet", 32.6), ("scunet", 17.9),
     ("fftformer", 16.6), ("restormer", 26.1), ("mirnet2", 5.86), ("mprnet", 3.64), ("uformer", 5.2)],
)  # fmt: skip
def test_the_usual_size_is_the_published_one(name, millions):
    with torch.device("meta") if name.startswith("unet") else torch.device("cpu"):
        found = parameters(build_restorer(RestorerSettings(network=name)))
    assert found / 1e6 == pytest.approx(millions, rel=0.02)


def test_batch_statistics_are_reported():
    assert built("dncnn").separate_batch_norm
    assert not built("nafnet").separate_batch_norm
    assert not built("swinir").separate_batch_norm  # layer norm looks at one image alone


def test_every_network_has_sizes_and_a_small_form():
    assert list(NETWORKS) == list(SIZES)
    assert set(SMALL) == set(NETWORKS) - {"unet", "unet-large", "unet-paper", "unet-deep"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RestorerSettings(network="nafnet", depth=3), ["--restorer.depth", "nafnet", "--restorer.width"]),
        (RestorerSettings(network="unet", blocks=[1]), ["--restorer.blocks", "unet", "--restorer.depth"]),
        (RestorerSettings(network="nafnet", blocks=[1, 2]), ["--restorer.blocks", "9 number", "[1, 2]"]),
        (RestorerSettings(network="swinir", blocks=[2, 2, 0, 2]), ["--restorer.blocks", "[2, 2, 0, 2]"]),
        (RestorerSettings(network="scunet", width=48), ["scunet", "--restorer.width 48", "multiple of 64"]),
        (RestorerSettings(network="drunet", blocks=[1]), ["drunet", "two blocks"]),
        (RestorerSettings(network="mirnet2", width=9), ["mirnet2", "--restorer.width 9"]),
    ],
)
def test_a_size_that_there_is_not_is_refused(settings, words):
    with pytest.raises(UserError) as refused:
        build_restorer(settings)
    assert all(word in str(refused.value) for word in words)


def test_weights_are_drawn_from_torchs_generator():
    first, again, other = (torch.manual_seed(seed) and built("nafnet").tensors() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["intro.weight"], other["intro.weight"])
