"""A network and its opponent in one loss, one backward pass and one optimiser.

Each side is scored on a term of its own: the discriminator's is computed on detached images, that of whoever wants to
deceive it through :func:`frozen`, as if its weights were constants. The sum of both terms then has the gradients of two
alternating steps taken at once.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from noiseda_research.rivals.settings import GanForm


def frozen(network: nn.Module, *inputs: Tensor) -> Tensor:
    """What a network makes of its inputs, with its weights as constants: gradients reach the inputs alone.

    Args:
        network: any network that returns one tensor.
        inputs: its arguments.
    """
    weights = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return functional_call(network, weights, inputs)  # type: ignore[no-any-return]


def discriminator_loss(form: GanForm, real: Tensor, fake: Tensor) -> Tensor:
    """The error of a discriminator D, image by image.

    - ``least-squares``: (D(real) - 1)^2 / 2 + D(fake)^2 / 2 (Mao et al., Eq. 9, arXiv 1611.04076);
    - ``hinge``: max(0, 1 - D(real)) + max(0, 1 + D(fake)) (Lim and Ye, arXiv 1705.02894);
    - ``logistic``: -log s(D(real)) - log(1 - s(D(fake))), s the sigmoid (Goodfellow et al., arXiv 1406.2661).

    Args:
        form: one of these.
        real: (B, ...) what D says of real examples.
        fake: (B, ...) what it says of imitations.

    Returns:
        (B,): mean over all but the first dimension.
    """
    real, fake = real.float(), fake.float()
    if form == "least-squares":
        errors = (real - 1).square() / 2, fake.square() / 2
    elif form == "hinge":
        errors = F.relu(1 - real), F.relu(1 + fake)
    else:
        errors = F.softplus(-real), F.softplus(fake)
    a, b = (error.flatten(1).mean(dim=1) for error in errors)
    return a + b


def generator_loss(form: GanForm, fake: Tensor) -> Tensor:
    """The error of whoever made an imitation, image by image: small where a discriminator D takes it for real.

    ``least-squares``: (D(fake) - 1)^2 / 2; ``hinge``: -D(fake); ``logistic``: -log s(D(fake)), which does not fade away
    where D wins. Sources as in :func:`discriminator_loss`.

    Args:
        form: one of these.
        fake: (B, ...) what a frozen D says of the imitations.

    Returns:
        (B,).
    """
    fake = fake.float()
    if form == "least-squares":
        error = (fake - 1).square() / 2
    elif form == "hinge":
        error = -fake
    else:
        error = F.softplus(-fake)
    return error.flatten(1).mean(dim=1)


def confusion(classifier: nn.Module, syn: Tensor, real: Tensor) -> dict[str, Tensor]:
    """A domain classifier behind a gradient reversal layer, written out as two terms.

    ``domain`` is its cross-entropy on detached features, which it learns from; ``reversed`` the same number with the
    classifier frozen, through which features are judged. ``domain - strength * reversed`` has the gradients of a
    reversal layer of that strength (Ganin and Lempitsky, section 3, arXiv 1409.7495), and the strength need not be
    known before the backward pass.

    Args:
        classifier: (B, K, h, w) -> (B, ...) logits that features are of the real domain.
        syn: (B, K, h, w) features of the synthetic domain.
        real: the same of the real domain.

    Returns:
        ``domain`` and ``reversed``, (B,) each; log 2 = 0.69 where the classifier can only guess.
    """
    domain = discriminator_loss("logistic", classifier(real.detach()), classifier(syn.detach())) / 2
    judged = discriminator_loss("logistic", frozen(classifier, real), frozen(classifier, syn)) / 2
    return {"domain": domain, "reversed": judged}
