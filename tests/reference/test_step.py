"""A whole step of ours against the plain transcription of the method as published, at equal weights and draws."""

import torch

from noiseda.adaptation import NoiseSpace
from noiseda.config import ObjectiveSettings
from noiseda.data.batches import Batch
from noiseda.diffusion import Denoiser, NoisePredictor
from noiseda.restoration import UNet
from tests.reference.predictor import PaperPredictor, copy_by_name
from tests.reference.step import PlainStep
from tests.reference.unet import PaperUNet, copy_by_order


def test_three_plain_steps_and_three_of_ours_make_the_same_losses_and_weights():
    torch.manual_seed(0)
    restorer, predictor = UNet(width=4), NoisePredictor(width=32, channel_mults=(1, 2), dropout=0.0)
    with torch.no_grad():
        for parameter in [*restorer.parameters(), *predictor.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape))  # no zero-initialised branch hides another
    plain = PlainStep(PaperUNet(4), PaperPredictor(32, (1, 2), dropout=0.0), decay=0.9)
    copy_by_order(restorer, plain.restorer)
    copy_by_name(predictor, plain.predictor)
    plain.averages[0].load_state_dict(plain.restorer.state_dict())

    ours = NoiseSpace(restorer, Denoiser(predictor), ObjectiveSettings())
    optimizer = torch.optim.Adam(ours.parameters(), lr=1e-4, fused=True)
    for step in range(3):
        x_syn, y_syn, x_real = (torch.rand(2, 3, 32, 32) for _ in range(3))
        draws = ours.draw(y_syn, torch.Generator().manual_seed(step))
        swap, swap_negative = (order[:, 0] == 3 for order in (draws.order, draws.order_swapped))
        expected = plain.step(x_syn, y_syn, x_real, draws.eps, draws.alpha_bar, swap, swap_negative, progress=0.5)
        loss = ours.losses(ours(Batch(x_syn, y_syn, x_real, None, ()), draws), 0.5)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert abs(loss.item() - expected) < 1e-5 * expected
    reached = PaperUNet(4)
    copy_by_order(restorer, reached)
    for found, wanted in zip(reached.parameters(), plain.restorer.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-5)
