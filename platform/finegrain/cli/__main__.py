"""`python -m finegrain.cli`, where the installed command is not on PATH."""

import sys

from finegrain.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
