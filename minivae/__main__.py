"""``python -m minivae`` is ``minivae``."""

import sys

from minivae.cli.main import main

sys.exit(main())
