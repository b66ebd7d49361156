"""Is it better? Estimated without any truth: estimates, look-alikes, and verdicts made of them."""

from noiseda.adaptation.blurred_again import BlurredAgain
from noiseda.adaptation.risk import Restore, Risk, RiskEstimate
from noiseda.data.look_alikes import look_alikes, look_of
from noiseda.training.verdict import Verdict, standing, trial_of, verdict, witness_of

__all__ = [
    "BlurredAgain",
    "Restore",
    "Risk",
    "RiskEstimate",
    "Verdict",
    "look_alikes",
    "look_of",
    "standing",
    "trial_of",
    "verdict",
    "witness_of",
]
