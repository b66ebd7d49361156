"""Is it better? Estimated without any truth: estimates, look-alikes, and verdicts made of them."""

from noiseda.assessment.proxy_pairs import look_of, proxy_pairs
from noiseda.assessment.reblur import BlurredAgain
from noiseda.assessment.sure import Restore, Risk, RiskEstimate
from noiseda.assessment.verdict import Verdict, standing, trial_of, verdict
from noiseda.assessment.witness import witness_of

__all__ = [
    "BlurredAgain",
    "Restore",
    "Risk",
    "RiskEstimate",
    "Verdict",
    "look_of",
    "proxy_pairs",
    "standing",
    "trial_of",
    "verdict",
    "witness_of",
]
