"""The paper: where restoration meets diffusion. Each strategy is one file beside the others."""

from noiseda.adaptation.catalogue import build
from noiseda.adaptation.noise_space import NoiseDraws, NoiseSpace
from noiseda.adaptation.strategy import Strategy, Terms, charbonnier
from noiseda.adaptation.synthetic import SyntheticOnly

__all__ = ["NoiseDraws", "NoiseSpace", "Strategy", "SyntheticOnly", "Terms", "build", "charbonnier"]
