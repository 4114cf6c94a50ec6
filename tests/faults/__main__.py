"""`python -m tests.faults`: the long run. The modules beside this are found by their own names, as by pytest."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from storm import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
