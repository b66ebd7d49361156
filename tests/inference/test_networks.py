"""The table of networks says what is so."""

import pytest

from noiseda import cli
from noiseda.inference import networks as listing
from noiseda.inference.networks import rows
from noiseda.restoration.catalogue import NETWORKS
from noiseda.restorer_settings import SIZES
from tests.restoration.networks import SMALL, built


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith("unet")])
def test_the_padding_that_it_tells_is_the_networks_own(name):
    network, told = built(name), NETWORKS[name]
    assert (network.multiple_of, network.minimum, network.square) == (told.multiple_of, told.minimum, told.square)


@pytest.mark.slow
def test_a_line_for_every_network(monkeypatch, capsys):
    few = {name: SMALL.get(name, size) for name, size in SIZES.items()}  # as quick to count
    monkeypatch.setattr(listing, "SIZES", few | {"unet-paper": SIZES["unet-paper"]})
    found = {row.name: row for row in rows()}
    assert list(found) == list(NETWORKS)
    assert found["unet-paper"].parameters == 8_559_171
    assert found["unet-paper"].gmac == pytest.approx(12.4, abs=0.05)  # arXiv 2406.18516
    assert all(row.parameters > 0 and row.gmac > 0 and row.trainable == "yes" for row in found.values())
    assert "no commercial use" in found["restormer"].licence
    assert found["uformer"].padding == "multiples of 128, a square"
    assert found["swinir"].padding == "at least 16"
    assert cli.main(["networks"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in NETWORKS)


def test_what_is_not_installed_is_reported(monkeypatch):
    monkeypatch.setattr(listing, "installed", lambda architecture: "networks" if architecture == "NAFNet" else None)
    monkeypatch.setattr(listing, "NETWORKS", {"nafnet": NETWORKS["nafnet"]})
    (row,) = rows()
    assert row.trainable == "pip install 'noiseda[networks]'"
    assert row.parameters is None
