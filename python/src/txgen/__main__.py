"""`python -m txgen`: the binary, for where scripts are not on PATH."""

import subprocess
import sys

from . import find_txgen

if __name__ == "__main__":
    # The terminal sends Ctrl-C to both; the binary decides when it has ended.
    process = subprocess.Popen([find_txgen(), *sys.argv[1:]])
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            continue
