"""A stand-in for two AWS APIs on loopback: pricing GetProducts and ec2 DescribeSpotPriceHistory.

No emulator has the first, and moto answers the second with one invented price. It checks the filters and the
access key that it is asked with, and no signature.
"""

import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILTERS = {"operatingSystem", "tenancy", "preInstalledSw", "capacitystatus", "instanceType", "regionCode"}
Offer = tuple[str, str, str, str]  # instance type, zone, price, timestamp


def product(dollars: str) -> str:
    """A product of the price list: JSON in a string, with a reserved price that is none of ours."""
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": dollars}}
    reserved = {"unit": "Hrs", "pricePerUnit": {"USD": "0.0100000000"}}
    terms = {
        "OnDemand": {"SKU.T": {"priceDimensions": {"SKU.T.D": dimension}}},
        "Reserved": {"SKU.R": {"priceDimensions": {"SKU.R.D": reserved}}},
    }
    return json.dumps({"product": {"sku": "SKU"}, "terms": terms})


def history(offers: list[Offer], following: str) -> str:
    items = "".join(
        f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
        f"<spotPrice>{price}</spotPrice><timestamp>{time}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
        for name, zone, price, time in offers
    )
    return (
        '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        f"<spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken>{following}</nextToken>"
        "</DescribeSpotPriceHistoryResponse>"
    )


@contextmanager
def answering(on_demand: Mapping[str, str], spot: list[Offer], key: str = "") -> Iterator[str]:
    """The address of a server that knows these prices, for requests with this access key; one offer per page."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert f"Credential={key}" in self.headers["Authorization"]
            if "GetProducts" in self.headers.get("X-Amz-Target", ""):
                asked = {f["Field"]: f["Value"] for f in json.loads(body)["Filters"]}
                assert set(asked) == FILTERS
                found = on_demand.get(asked["instanceType"])
                listed = [product(found)] if found and asked["regionCode"] == "us-west-2" else []
                answer = json.dumps({"FormatVersion": "aws_v1", "PriceList": listed})
            else:
                query = dict(urllib.parse.parse_qsl(body))
                names = {value for key, value in query.items() if key.startswith("InstanceType")}
                offers = [offer for offer in spot if offer[0] in names]
                at = int(query.get("NextToken", 0))
                answer = history(offers[at : at + 1], str(at + 1) if at + 1 < len(offers) else "")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
