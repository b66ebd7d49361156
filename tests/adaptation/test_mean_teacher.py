"""The student agrees with the teacher on real images, however it sees them."""

import torch
from torch import nn

from noiseda.adaptation.mean_teacher import MeanTeacher, Perturbation
from noiseda.data.batches import Batch
from noiseda.orientations import turn
from noiseda.restoration import UNet
from noiseda.strategies import MeanTeacherSettings


def model(*, synthetic=True, **settings):
    torch.manual_seed(0)
    restorer = UNet(width=4, depth=2)
    nn.init.normal_(restorer.head.weight, std=0.1)
    return MeanTeacher(restorer, MeanTeacherSettings(**settings), synthetic=synthetic)


def batch(count=2):
    return Batch(*(torch.rand(count, 3, 16, 16) for _ in range(3)), None, ())


def test_the_student_is_held_to_the_turned_label():
    strategy, one = model(), batch()
    draws = Perturbation(0.1 * torch.randn(2, 3, 16, 16), torch.tensor([5, 2]))
    terms = strategy(one, draws)
    label = strategy.restorer(one.x_real).clamp(0, 1)
    for index, number in enumerate((5, 2)):
        seen = turn(one.x_real[index : index + 1], number) + draws.noise[index : index + 1]
        error = strategy.restorer(seen) - turn(label[index : index + 1], number)
        torch.testing.assert_close(terms.errors["teacher"][index], (error.square() + 1e-6).sqrt().mean())
    values = strategy.losses(terms, 1.0)
    torch.testing.assert_close(values["loss"], values["restoration"] + 0.98661429815 * values["teacher"])


def test_noise_is_drawn_up_to_the_given_strength():
    draws = model(sigma=20.0).draw(torch.zeros(1, 3, 64, 64), torch.Generator().manual_seed(0))
    deviations = [
        model(sigma=20.0).draw(torch.zeros(1, 3, 64, 64), torch.Generator().manual_seed(seed)).noise.std() * 255
        for seed in range(40)
    ]
    assert draws.orientation.shape == (1,)
    assert max(deviations) < 21
    assert max(deviations) - min(deviations) > 10
    assert model(sigma=0.0).draw(torch.zeros(1, 3, 4, 4), torch.Generator()).noise.abs().max() == 0


def test_source_free_looks_at_no_pair():
    strategy, one = model(synthetic=False), batch()
    draws = strategy.draw(one.y_syn, torch.Generator().manual_seed(0))
    terms = strategy(one, draws)
    assert set(terms.errors) == {"teacher"}
    assert terms.restored_syn is None
    other = Batch(1 - one.x_syn, 1 - one.y_syn, one.x_real, None, ())
    assert torch.equal(strategy(other, draws).errors["teacher"], terms.errors["teacher"])
    assert strategy.losses(terms, 0.0)["loss"] == terms.errors["teacher"].mean()


def test_the_teacher_follows_after_a_step_only():
    strategy = model()
    before = [parameter.clone() for parameter in strategy.teacher.parameters()]
    with torch.no_grad():
        for parameter in strategy.restorer.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, strategy.teacher.parameters(), strict=True))
    strategy.after_step(0.0)
    for old, new in zip(before, strategy.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.9)  # its first decay is 1/10
