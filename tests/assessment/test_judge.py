"""The verdict of ``noiseda judge`` on networks whose quality is known."""

from pathlib import Path

import pytest
import torch

from noiseda import cli
from noiseda.assessment.judge import judge
from noiseda.assessment.judge_page import Estimates
from noiseda.assessment.sure import Risk
from noiseda.errors import UserError
from noiseda.estimation import noise_looks
from noiseda.images import Picture, write
from noiseda.restoration import UNet, load
from noiseda.restoration.weights import save_weights
from tests.assessment.test_sure import photographs
from tests.report.page import assert_self_contained


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Noisy photographs, a network that leaves them as they are, and one trained for a moment to take their noise."""
    folder = tmp_path_factory.mktemp("judged")
    clean, noisy = photographs()
    (folder / "photos").mkdir()
    for index, image in enumerate(noisy):
        write(Picture(image.clamp(0, 1)), folder / "photos" / f"{index}.png")
    torch.manual_seed(0)
    network = UNet(width=8, depth=2)
    arguments = {"width": 8, "depth": 2, "channels": 3}
    save_weights(
        folder / "baseline.safetensors",
        network.state_dict(),
        architecture="unet",
        arguments=arguments,
        task="denoise",
    )
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(60):
        x, y = (torch.stack([images[i][:, 96:192, :96] for i in range(4)]) for images in (noisy, clean))
        noise = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(step)) * 0.02
        loss = (network(x + noise) - y).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_weights(
        folder / "adapted.safetensors", network.state_dict(), architecture="unet", arguments=arguments, task="denoise"
    )
    return folder


def test_it_finds_the_better_network_and_says_so(place, capsys):
    arguments = [str(place / f"{name}.safetensors") for name in ("adapted", "baseline")]
    assert cli.main(["judge", *arguments, str(place / "photos"), "--photographs", "6"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "adapted.safetensors is better than" in said
    assert "on these 6 photographs" in said
    assert "may still be" not in said
    assert cli.main(["judge", *reversed(arguments), str(place / "photos"), "--photographs", "6"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "baseline.safetensors is not shown to be better than" in said
    assert "may still be" in said


def test_it_writes_a_page_with_an_estimate_of_each_photograph(place, tmp_path):
    arguments = [str(place / f"{name}.safetensors") for name in ("adapted", "baseline")]
    assert cli.main(["judge", *arguments, str(place / "photos"), "--photographs", "6", "--out", str(tmp_path)]) == 0
    page = assert_self_contained((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "The adapted network is better than " in page.text
    assert page.all("header", **{"class": "good"})
    assert page.said["button"] == ["image", "noise, of 255", "error before, of 255", "error adapted, of 255"]
    assert page.said["th"] == [*(f"{index}.png" for index in range(6)), "mean of 6"]
    noise, before, adapted = map(float, page.said["td"][-3:])
    assert adapted < before
    assert adapted < noise
    labels = [has["data-label"].split(" × ")[0] for has in page.all("figure", **{"class": "pane"})]
    assert labels == ["input", "before", "adapted", "taken away"] * 4


def test_a_network_is_no_better_than_itself(place):
    weights = place / "adapted.safetensors"
    verdict = judge(weights, weights, place / "photos", photographs=4)
    assert not verdict.better
    assert verdict.gain == (0.0, 0.0, 0.0)


def test_a_noisy_photograph_counts_no_more_than_a_clean_one():
    loud = Risk(restored=(0.01, 0.0001), noise=(0.04, 0.0004))
    verdict = Estimates(adapted=Risk((0.008, 0.00012), loud.noise), baseline=loud)
    mean, low, high = verdict.gain
    assert low < 0 < high
    assert mean == pytest.approx((0.002 / 0.2 - 0.00002 / 0.02) / (0.01 / 0.2 + 0.0001 / 0.02))


def test_bad_input_is_named(place, tmp_path):
    weights = place / "adapted.safetensors"
    with pytest.raises(UserError, match="--photographs must be at least 2"):
        judge(weights, weights, place / "photos", photographs=1)
    (tmp_path / "black").mkdir()
    write(Picture(torch.zeros(3, 80, 80)), tmp_path / "black" / "a.png")
    with pytest.raises(UserError, match="black holds 1 photograph, expected at least 2"):
        judge(weights, weights, tmp_path / "black")
    write(Picture(torch.zeros(3, 80, 80)), tmp_path / "black" / "b.png")
    with pytest.raises(UserError, match="black: no flat place with noise"):
        judge(weights, weights, tmp_path / "black")


@pytest.mark.parametrize("task", ["derain", "deblur"])
@pytest.mark.slow
def test_networks_for_rain_and_blur_are_judged_as_a_run_does(task, place, tmp_path):
    """Of blur, a network that leaves photographs as they are is better than one that makes them darker."""
    sharp = photographs()[0]
    for folder in ("clean", "photos"):
        (tmp_path / folder).mkdir()
        for index, image in enumerate(sharp):
            write(Picture(image.clamp(0, 1)), tmp_path / folder / f"{index}.png")
    state = load(place / "baseline.safetensors").state_dict()
    last = [name for name, value in state.items() if value.shape == (3,)][-1]
    arguments = {"width": 8, "depth": 2, "channels": 3}
    for name, shift in (("as-they-are", 0.0), ("ruined", 0.1)):
        changed = {**state, last: state[last] - shift}
        save_weights(tmp_path / f"{name}.st", changed, architecture="unet", arguments=arguments, task=task)
    weights = [tmp_path / f"{name}.st" for name in ("as-they-are", "ruined")]
    with pytest.raises(UserError, match=f"is for --task {task}, .*give --clean DIR"):
        judge(*weights, tmp_path / "photos")
    told = judge(*weights, tmp_path / "photos", clean=tmp_path / "clean")
    assert told.word == "better"
    assert ("blurred again" in told.because) == (task == "deblur")
    assert "degraded as yours look" in told.because


@pytest.mark.slow
def test_clean_photographs_are_a_second_witness(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(noise_looks.simulate, "__defaults__", (4,))
    (place / "clean").mkdir(exist_ok=True)
    for index, image in enumerate(photographs()[0]):
        write(Picture(image.clamp(0, 1)), place / "clean" / f"{index}.png")
    state = load(place / "baseline.safetensors").state_dict()
    last = [name for name, value in state.items() if value.shape == (3,)][-1]
    ruined = {**state, last: state[last] + 0.1}  # too bright
    save_weights(
        place / "ruined.safetensors",
        ruined,
        architecture="unet",
        arguments={"width": 8, "depth": 2, "channels": 3},
        task="denoise",
    )
    arguments = [str(place / f"{name}.safetensors") for name in ("baseline", "ruined")]
    assert cli.main(["judge", *arguments, str(place / "photos"), "--clean", str(place / "clean")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"baseline.safetensors is better than {place / 'ruined.safetensors'}: by +" in said
    assert "dB on 32 clean photographs degraded as yours look (" in said
    assert "(an estimated squared error" in said
    again = judge(*map(Path, reversed(arguments)), place / "photos", clean=place / "clean", out=tmp_path)
    assert again.word == "worse"
    page = assert_self_contained((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.all("header", **{"class": "bad"})
    assert f"The adapted network is worse than {arguments[0]}: -" in page.text
    assert "What the photographs went through" in page.said["h2"]
    assert page.said["button"] == ["image", "noise, of 255", "taken away, of 255"]


def test_what_is_not_taken_is_said(place, tmp_path, caplog):
    write(Picture(torch.rand(3, 64, 64)), tmp_path / "a.png")
    (tmp_path / "IMG_1.heic").write_bytes(b"x")
    with pytest.raises(UserError, match="holds 1 photograph"):
        judge(place / "adapted.safetensors", place / "baseline.safetensors", tmp_path)
    assert f"{tmp_path}: not taken: 1 HEIC (IMG_1.heic): this version reads" in caplog.text
