"""CPU of `neurocwl --help` beside bare Python: the minimum of several runs of each, in turn."""

import resource
import subprocess
import sys

RUNS = 7


def cpu(*words: str) -> float:
    """CPU seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    bare, help_ = zip(
        *((cpu("-c", "pass"), cpu("-m", "neurocwl", "--help")) for _ in range(RUNS)), strict=True
    )
    print(
        f"bare Python {min(bare):.3f} s, neurocwl --help {min(help_):.3f} s: {min(help_) - min(bare):.3f} s more"
    )
