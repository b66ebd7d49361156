"""Several objectives at once: the sum of their losses, with one restoration loss, on one restorer."""

import pytest
import torch

from noiseda.adaptation import NoiseSpace, SyntheticOnly, Terms
from noiseda.adaptation.combined import Combined
from noiseda.adaptation.mean_teacher import MeanTeacher
from noiseda.restoration import UNet
from noiseda.strategies import MeanTeacherSettings
from tests.adaptation.test_noise_space import batch, strategy


class Other(SyntheticOnly):
    """Adds a term of its own."""

    after = 0

    def forward(self, batch, draws):
        terms = super().forward(batch, draws)
        return Terms(terms.errors | {"extra": self.restorer.head.bias.sum().expand(len(batch.y_syn))})

    def weights(self, progress):
        return {"restoration": 1.0, "extra": progress}

    def after_step(self, progress):
        self.after += 1


def test_losses_and_gradients_are_summed_with_one_restoration_loss():
    first: NoiseSpace = strategy()
    hybrid = Combined({"noise-space": first, "other": Other(first.restorer)})
    one = batch()
    draws = hybrid.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = hybrid(one, draws)
    values = hybrid.losses(terms, 0.5)
    alone = first.losses(first(one, draws[0]), 0.5)
    extra = 0.5 * first.restorer.head.bias.sum()
    torch.testing.assert_close(values["loss"], alone["loss"] + extra)
    torch.testing.assert_close(values["noise-space/noise"], alone["noise"])
    weights = list(first.parameters())
    found = torch.autograd.grad(values["loss"], weights)
    expected = torch.autograd.grad(alone["loss"] + extra, weights)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert torch.equal(terms.restored_real, first(one, draws[0]).restored_real)


def test_a_part_without_synthetic_pairs_takes_none_from_the_others():
    restorer = UNet(width=4, depth=2)
    alone = MeanTeacher(restorer, MeanTeacherSettings(), synthetic=False)
    for names in (("alone", "synthetic"), ("synthetic", "alone")):
        hybrid = Combined({name: {"alone": alone, "synthetic": SyntheticOnly(restorer)}[name] for name in names})
        one = batch()
        terms = hybrid(one, hybrid.draw(one.y_syn, torch.Generator().manual_seed(0)))
        expected = terms.errors["alone/teacher"].mean() + terms.errors["synthetic/restoration"].mean()
        torch.testing.assert_close(hybrid.losses(terms, 0.5)["loss"], expected)
        assert terms.restored_syn is not None


def test_it_asks_for_what_its_parts_ask_for_and_tells_them_of_each_step():
    restorer = UNet(width=4, depth=2)
    other = Other(restorer)
    hybrid = Combined({"synthetic": SyntheticOnly(restorer), "other": other})
    assert not hybrid.wants_real
    hybrid.after_step(0.0)
    assert other.after == 1
    assert len(list(hybrid.parameters())) == len(list(restorer.parameters()))
    with pytest.raises(ValueError, match="one restorer"):
        Combined({"synthetic": SyntheticOnly(restorer), "other": Other(UNet(width=4, depth=2))})
