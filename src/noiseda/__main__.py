"""``python -m noiseda``: the command line."""

import sys

from noiseda.cli import main

sys.exit(main())
