"""Two sides of one loss: each has its own gradient, and neither reaches the other."""

import math

import pytest
import torch
from torch import nn

from noiseda_research.rivals.adversary import confusion, discriminator_loss, frozen, generator_loss
from noiseda_research.rivals.discriminators import DomainClassifier, PatchDiscriminator
from noiseda_research.rivals.generator import Generator
from tests.adaptation.examples import gradients, move, size

FORMS = ["least-squares", "hinge", "logistic"]


class Reversal(torch.autograd.Function):
    """The layer of Ganin and Lempitsky, as they describe it: the identity, whose gradient is -strength."""

    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream):
        return -ctx.strength * upstream, None


def test_a_frozen_network_says_the_same_and_learns_nothing():
    network, x = PatchDiscriminator(width=4).eval(), torch.rand(2, 3, 16, 16, requires_grad=True)
    out = frozen(network, x)
    assert torch.equal(out, network(x))
    (mine,) = torch.autograd.grad(out.square().sum(), x)
    (wanted,) = torch.autograd.grad(network(x).square().sum(), x)
    assert torch.equal(mine, wanted)
    assert not frozen(network, x.detach()).requires_grad
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("autocast", [False, True])
def test_frozen_and_learning_passes_do_not_disturb_each_other_under_autocast(autocast):
    """Autocast keeps converted weights: a frozen pass must not hand its constants to one that learns."""
    for order in (0, 1):
        network, x = DomainClassifier(4, width=8), torch.rand(2, 4, 3, 3, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            first, second = (frozen(network, x), network(x)) if order == 0 else (network(x), frozen(network, x))
        learning, constant = (second, first) if order == 0 else (first, second)
        assert size(gradients(learning.sum(), network)) > 0
        assert gradients(constant.sum(), network) == (None,) * 6


def test_a_frozen_discriminator_goes_on_estimating_its_spectral_norm():
    """The estimate is a buffer, not a weight."""
    network, x = PatchDiscriminator(width=4), torch.rand(2, 3, 16, 16)
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    assert len(kept) == 4
    frozen(network, x)
    assert any(not torch.equal(kept[name], buffer) for name, buffer in network.named_buffers())


@pytest.mark.parametrize("form", FORMS)
def test_each_side_has_its_own_gradient(form):
    generator, judge = Generator(width=4, blocks=1), PatchDiscriminator(width=4)
    move(generator)
    fake = generator(torch.rand(2, 3, 16, 16))
    of_generator = generator_loss(form, frozen(judge, fake)).mean()
    of_judge = discriminator_loss(form, judge(torch.rand(2, 3, 16, 16)), judge(fake.detach())).mean()
    assert size(gradients(of_generator, generator)) > 0
    assert size(gradients(of_generator, judge)) == 0
    assert size(gradients(of_judge, judge)) > 0
    assert size(gradients(of_judge, generator)) == 0


@pytest.mark.parametrize("form", FORMS)
def test_the_errors_are_those_of_their_papers(form):
    real, fake = torch.randn(2, 3, 1, 4, 4)
    found = discriminator_loss(form, real, fake), generator_loss(form, fake)
    for number in range(3):
        pairs = list(zip(real[number].flatten().tolist(), fake[number].flatten().tolist(), strict=True))
        judge, deceiver = 0.0, 0.0
        for r, f in pairs:
            if form == "least-squares":
                judge += ((r - 1) ** 2 + f**2) / 2
                deceiver += (f - 1) ** 2 / 2
            elif form == "hinge":
                judge += max(0, 1 - r) + max(0, 1 + f)
                deceiver -= f
            else:
                judge -= math.log(1 / (1 + math.exp(-r))) + math.log(1 - 1 / (1 + math.exp(-f)))
                deceiver -= math.log(1 / (1 + math.exp(-f)))
        assert found[0][number].item() == pytest.approx(judge / len(pairs), rel=1e-4)
        assert found[1][number].item() == pytest.approx(deceiver / len(pairs), rel=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_confusion_is_a_gradient_reversal_layer(strength):
    """Value, sign and size of both gradients, against the layer itself."""
    classifier = DomainClassifier(5, width=8).eval()
    syn, real = torch.randn(2, 3, 5, 4, 4, requires_grad=True).unbind()
    terms = confusion(classifier, syn, real)
    mine = (terms["domain"] - strength * terms["reversed"]).mean()

    logits = [classifier(Reversal.apply(features, strength)) for features in (syn, real)]
    labels = [torch.zeros_like(logits[0]), torch.ones_like(logits[1])]
    plain = sum(nn.functional.binary_cross_entropy_with_logits(*pair) for pair in zip(logits, labels, strict=True)) / 2
    torch.testing.assert_close(terms["domain"].mean(), plain)
    torch.testing.assert_close(terms["reversed"], terms["domain"])
    wanted = [*torch.autograd.grad(plain, [syn, real], retain_graph=True), *gradients(plain, classifier)]
    found = [*torch.autograd.grad(mine, [syn, real], retain_graph=True), *gradients(mine, classifier)]
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_a_step_against_the_reversed_gradient_makes_the_domains_harder_to_tell():
    classifier = DomainClassifier(5, width=8).eval()
    syn, real = torch.randn(3, 5, 4, 4, requires_grad=True), torch.randn(3, 5, 4, 4)
    before = confusion(classifier, syn, real)
    (gradient,) = torch.autograd.grad(-before["reversed"].mean(), syn)
    after = confusion(classifier, syn - 1.0 * gradient, real)
    assert after["domain"].mean() > before["domain"].mean()
