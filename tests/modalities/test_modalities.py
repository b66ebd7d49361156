"""Kinds of signals: what is written is what was read, and pieces are restored as the whole would be."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from noiseda import Signal, Signals, UNet, restore_signals
from noiseda.errors import UserError
from noiseda.inference.signals import restore_signal
from noiseda.modalities import MODALITIES

soundfile = pytest.importorskip("soundfile")
AUDIO = MODALITIES["audio"]


def tone(seconds=0.5, rate=8000, channels=1):
    time = np.arange(int(seconds * rate)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * (220 + 110 * k) * time) for k in range(channels)], axis=1)


@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("aiff", "PCM_16")],
)
def test_a_recording_comes_back_sample_for_sample(tmp_path, suffix, subtype):
    soundfile.write(tmp_path / f"a.{suffix}", tone(channels=2), 8000, subtype=subtype)
    signal = AUDIO.read(tmp_path / f"a.{suffix}")
    assert signal.values.shape == (2, 4000)
    assert 0 <= signal.values.min() < 0.5 < signal.values.max() <= 1
    AUDIO.write(signal, tmp_path / f"b.{suffix}")
    first, second = (soundfile.read(tmp_path / f"{name}.{suffix}", dtype="int32") for name in "ab")
    step = {"PCM_16": 2**16, "PCM_24": 2**8, "FLOAT": 2**9}[subtype]  # float32 in [0, 1] has 24 bits
    assert np.abs(first[0].astype(np.int64) - second[0]).max() <= step // 2
    assert first[1] == second[1] == 8000
    assert soundfile.info(tmp_path / f"b.{suffix}").subtype == subtype


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no recording at all" * 20])
def test_what_is_no_recording_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.wav cannot be read as a recording"):
        AUDIO.read(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros((0, 1)), 8000)
    with pytest.raises(UserError, match=r"b\.wav is an empty recording"):
        AUDIO.read(tmp_path / "b.wav")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        AUDIO.write(Signal(torch.rand(1, 8)), tmp_path / "missing" / "a.wav")
    with pytest.raises(UserError, match=r"a\.mp3: a recording is one of \.wav"):
        AUDIO.write(Signal(torch.rand(1, 8)), tmp_path / "a.mp3")


def test_the_score_of_recordings_does_not_depend_on_their_loudness():
    target = torch.from_numpy(tone().T / 2 + 0.5).float()
    noisy = target + 0.01 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    expected = 10 * math.log10(float((target - 0.5).square().mean()) / 1e-4)
    assert AUDIO.score(noisy, target) == pytest.approx(expected, abs=0.2)
    assert AUDIO.score((noisy - 0.5) / 2 + 0.5, target) == pytest.approx(AUDIO.score(noisy, target), abs=1e-3)
    assert AUDIO.score(target, target) > 80
    assert AUDIO.score(torch.full_like(target, 0.5), target) == -math.inf


@pytest.mark.parametrize("name", sorted(MODALITIES))
def test_turning_keeps_the_kind_and_the_first_way_is_none(name):
    modality = MODALITIES[name]
    values = torch.rand(1, *(12,) * modality.dims)
    turned = [modality.turned(values, way) for way in range(modality.symmetries())]
    assert torch.equal(turned[0], values)
    assert len({one.numpy().tobytes() for one in turned}) == modality.symmetries()
    assert all(one.min() >= 0 and one.max() <= 1 and one.shape == values.shape for one in turned)


def test_an_image_keeps_its_depth(tmp_path):
    modality = MODALITIES["image"]
    from noiseda.images import Picture, write

    write(Picture(torch.rand(3, 8, 9), bits=16), tmp_path / "a.png")
    signal = modality.read(tmp_path / "a.png")
    modality.write(signal, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


# -- samples -----------------------------------------------------------------------------------------------------------


def half(clean, generator):
    return clean / 2


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.wav", tone(0.05 * (index + 1), channels=2), 8000)
    (tmp_path / "notes.txt").write_text("no recording")
    return tmp_path


def test_samples_are_a_function_of_the_generator(folder):
    draw = Signals("audio", folder, half, real=folder, side=300, channels=1)
    first, again = (draw(torch.Generator().manual_seed(4)) for _ in range(2))
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in ("x_syn", "y_syn", "x_real"))
    assert first.x_syn.shape == first.x_real.shape == (1, 300)
    assert torch.equal(first.x_syn, first.y_syn / 2)
    assert not torch.equal(draw(torch.Generator().manual_seed(5)).y_syn, first.y_syn)


def test_a_short_signal_is_continued_by_reflection(folder):
    (folder / "1.wav").unlink()
    (folder / "2.wav").unlink()
    whole = AUDIO.read(folder / "0.wav").values
    piece = Signals("audio", folder, half, side=1000)(torch.Generator().manual_seed(1)).y_syn
    longer = torch.cat([whole, whole.flip(1), whole], dim=1)[:, :1000]
    assert torch.equal(piece, longer) or torch.equal(piece, 1 - longer)


@pytest.mark.parametrize(
    ("modality", "place", "said"),
    [("video", ".", "no modality 'video'"), ("audio", "missing", "is no folder"), ("image", ".", "holds no image")],
)
def test_what_cannot_be_meant_is_refused(folder, modality, place, said):
    with pytest.raises(UserError, match=said):
        Signals(modality, folder / place, half, side=16)


def test_a_degradation_of_another_shape_is_refused(folder):
    draw = Signals("audio", folder, lambda clean, generator: clean[:, 1:], side=64)
    with pytest.raises(UserError, match="the degradation turned"):
        draw(torch.Generator().manual_seed(0))


# -- restoring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1000,), (90, 70), (40, 33, 50)])
def test_pieces_are_what_the_whole_is(shape):
    """A network that sees no further than a quarter of the overlap."""
    dims = len(shape)
    torch.manual_seed(0)
    network = UNet(width=4, depth=1, channels=1, dims=dims).eval()
    values = torch.rand(1, *shape)
    with torch.no_grad():
        whole = network(values[None])[0].clamp(0, 1)
    found = restore_signal(network, values, tile=32, overlap=16, precision="fp32")
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)


def test_a_folder_of_recordings(folder, tmp_path):
    class Louder(torch.nn.Module):
        channels, dims, multiple_of = 1, 1, 1

        def forward(self, x):
            return (x - 0.5) * 1.5 + 0.5

    out = tmp_path / "out"
    written = restore_signals(Louder(), folder, out, "audio", precision="fp32")
    assert sorted(path.name for path in written) == ["0.wav", "1.wav", "2.wav"]
    before, after = (soundfile.read(place / "2.wav")[0] for place in (folder, out))
    np.testing.assert_allclose(after, before * 1.5, atol=2e-4)
    with pytest.raises(UserError, match="so that they stay as they are"):
        restore_signals(Louder(), folder, folder, "audio")
    with pytest.raises(UserError, match=r"2 dimension"):
        restore_signals(UNet(width=4, depth=2), folder, out, "audio")


REAL = Path(__file__).parents[2].parent / "shared/data/speech/voicebank/adapt"


@pytest.mark.skipif(not REAL.is_dir(), reason="no recordings of speech here")
def test_real_speech_is_read_and_restored_in_pieces(tmp_path):
    for path in sorted((REAL / "input").glob("*.flac"))[:2]:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())

    class Same(torch.nn.Module):
        channels, dims, multiple_of = 1, 1, 1

        def forward(self, x):
            return x

    for path in restore_signals(Same(), tmp_path / "in", tmp_path / "out", "audio", precision="fp32"):
        np.testing.assert_allclose(
            soundfile.read(path)[0], soundfile.read(tmp_path / "in" / path.name)[0], atol=1 / 2**15
        )
