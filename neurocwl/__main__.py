"""Run the command line with ``python -m neurocwl``."""

import sys

from neurocwl.cli import main

if __name__ == "__main__":
    sys.exit(main())
