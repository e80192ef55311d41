#!/usr/bin/env python3
"""A stand-in for Singularity, which Debian 12 does not have: it knows the options that cwltool gives, and runs docker.

`pull` writes the image's name into the file that it is to make, slowly, and one line to $PULLS. It does not prove: user
namespaces, conversion of images, what real Singularity mounts or forbids.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WITH_VALUE = ("--home", "--pwd", "--bind", "--network", "--mount")


def main(words: list[str]) -> int:
    """One command of Singularity."""
    words = [word for word in words if word != "--quiet"]
    if words[0] == "--version":
        print("singularity-ce version 4.1.0")
        return 0
    if words[0] == "pull":
        return pull(words[1:])
    if words[0] in ("run", "exec"):
        return run(words[1:])
    print(f"the stand-in does not know {words}", file=sys.stderr)
    return 2


def pull(words: list[str]) -> int:
    image = words[-1].removeprefix("docker://")
    target = Path(words[words.index("--name") + 1])
    with open(os.environ["PULLS"], "a") as log:
        log.write(f"{image}\n")
    time.sleep(2)
    target.write_text(image)
    return 0


def run(words: list[str]) -> int:
    command = ["docker", "run", "--rm", *docker_options(words)]
    return subprocess.call(command)


def docker_options(words: list[str]) -> Iterator[str]:
    """The same as options of docker, then the image and its command."""
    for name, value in os.environ.items():
        if name.startswith("SINGULARITYENV_"):
            yield f"--env={name.removeprefix('SINGULARITYENV_')}={value}"
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if not word.startswith("--"):
            yield Path(word).read_text()
            yield from rest
            return
        if option in WITH_VALUE and not equals:
            value = next(rest)
        if option == "--home":
            source, _, target = value.partition(":")
            yield from (f"--volume={source}:{target}", f"--env=HOME={target}")
        elif option == "--pwd":
            yield f"--workdir={value}"
        elif option == "--network":
            yield f"--network={value}"
        elif option == "--bind":
            yield f"--volume={value}"
        elif option == "--mount":
            yield f"--mount={re.sub(r',rw$', '', value)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
