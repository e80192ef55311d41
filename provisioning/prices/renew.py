"""Write aws.json anew: node types from the installed Toil, prices from the newest apache-libcloud on PyPI.

Run by hand, with a Python that has Toil and pip: python provisioning/prices/renew.py. Reaches PyPI alone.

libcloud's table has errors: 0.0 where a price is missing, and here and there the price of dedicated tenancy, 6 to
10 % more. AWS's prices are proportional to the size within a family, so the table keeps one price for each family
and region: the lowest price per vCPU on which two sizes agree.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

TABLE = Path(__file__).with_name("aws.json")
# 64-bit x86 (the images are), without graphics cards, burstable CPUs (t*, *-flex) and bare metal.
FAMILIES = [
    *("c5", "c5a", "c5d", "c6a", "c6i", "c6id", "c7a", "c7i"),
    *("m5", "m5a", "m5ad", "m5d", "m6a", "m6i", "m6id", "m7a", "m7i"),
    *("r5", "r5a", "r5ad", "r5d", "r6a", "r6i", "r6id", "r7a", "r7i"),
]
PLAIN_REGION = re.compile(r"[a-z]{2}-[a-z]+-\d")
AGREEMENT = 1.002  # prices are rounded to a hundredth of a cent


def libcloud_prices(scratch: Path) -> tuple[str, str, dict[str, dict[str, float]]]:
    """(version, date, instance type -> region -> $ per hour on demand, Linux)."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
    subprocess.run([*command, "apache-libcloud"], check=True)
    wheel = next(scratch.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        table = json.loads(archive.read("libcloud/data/pricing.json"))
    date = f"{datetime.fromtimestamp(table['updated'], UTC):%Y-%m-%d}"
    return wheel.name.split("-")[1], date, table["compute"]["ec2_linux"]


def agreed(prices: list[float]) -> float | None:
    """The lowest price on which two sizes of a family agree."""
    pairs = pairwise(sorted(prices))
    return next((round(low, 6) for low, high in pairs if high <= low * AGREEMENT), None)


def main() -> None:
    """Write the table; what is not from the two sources (spot, S3, volumes) stays as it is."""
    from toil.lib.generatedEC2Lists import E2Instances

    with tempfile.TemporaryDirectory() as scratch:
        libcloud, date, prices = libcloud_prices(Path(scratch))
    families = {}
    for family in FAMILIES:
        types = {
            name.partition(".")[2]: found
            for name, found in E2Instances.items()
            if name.startswith(f"{family}.") and "metal" not in name and found.architecture == "amd64"
        }
        per_vcpu = defaultdict(list)
        for size, found in types.items():
            for region, price in prices.get(f"{family}.{size}", {}).items():
                if price and PLAIN_REGION.fullmatch(region):
                    per_vcpu[region].append(price / found.cores)
        usable = {region: agreed(found) for region, found in sorted(per_vcpu.items())}
        families[family] = {
            "usd_per_vcpu_hour": {region: price for region, price in usable.items() if price},
            "sizes": {  # vCPUs, MiB of memory, GiB of local disk
                size: [int(t.cores), int(t.memory * 1024), int(t.disks * t.disk_capacity)]
                for size, t in sorted(types.items(), key=lambda pair: pair[1].cores)
            },
        }
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table |= {
        "date": date,
        "source": f"apache-libcloud {libcloud} (pricing.json, Apache-2.0); node types from Toil {version('toil')}",
        "families": families,
    }
    text = json.dumps(table, indent=1)
    TABLE.write_text(re.sub(r"\[\s+(\d+),\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2, \3]", text) + "\n")


if __name__ == "__main__":
    main()
