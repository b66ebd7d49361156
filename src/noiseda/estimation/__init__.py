"""What did these photographs go through? Their noise, or their blur, found from them alone."""

from noiseda.estimation.blur_kernel import MatchedBlur, matched_blur
from noiseda.estimation.noise import Matched, matched

__all__ = ["Matched", "MatchedBlur", "matched", "matched_blur"]
