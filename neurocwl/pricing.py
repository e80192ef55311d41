"""What a command's price options ask for: an estimate of a plan, the tariff of a launch, the cap on both."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from neurocwl import budget, chart, cost, estimate, machine
from neurocwl.backend import Backend
from neurocwl.budget import Tariff, money
from neurocwl.cost import Estimate
from neurocwl.duration import Duration
from neurocwl.errors import BadInput
from neurocwl.estimate import Wish
from neurocwl.packing import pack
from neurocwl.plan import READY
from neurocwl.prepare import Prepared
from neurocwl.prices import only

# Settings of backends whose nodes have a price.
NODE_TYPES, MAX_NODES, REGION = "node_types", "max_nodes", "region"


def wanted(arguments: argparse.Namespace) -> bool:
    """Whether a plan shall have prices."""
    given = (
        arguments.node_types,
        arguments.max_nodes,
        arguments.hours_per_unit,
        arguments.plot,
        arguments.max_cost,
    )
    asked = arguments.prices or arguments.spot or arguments.live_prices
    return bool(asked) or any(value is not None for value in given)


def cap(arguments: argparse.Namespace) -> float | None:
    """The most that may be spent, in dollars.

    Raises BadInput for what is no amount.
    """
    amount: float | None = arguments.max_cost
    if amount is not None and not 0 < amount < float("inf"):
        raise BadInput(f"--max-cost {amount}: must be more than 0")
    return amount


def priced(arguments: argparse.Namespace, prepared: Prepared) -> Estimate | None:
    """What a plan would cost; a plot of it is written."""
    if not wanted(arguments):
        return None
    cap(arguments)
    plot: Path | None = arguments.plot
    if plot and (plot.suffix != ".svg" or not plot.absolute().parent.is_dir()):
        raise BadInput(f"--plot {plot}: must be an .svg file in a folder that exists")
    found = _estimate(prepared, _wish(arguments, arguments.node_types or ""))
    if plot and found:
        title = f"{prepared.plan.pipeline}, {found.work.units} units, {found.prices.region}, prices of {found.prices.date}"
        points = [chart.Point(o.node, o.packing.hours, o.dollars(found.spot)) for o in found.options]
        plot.write_text(chart.svg(title, points), encoding="utf-8")
    return found


def refuse_plan(arguments: argparse.Namespace, prepared: Prepared, found: Estimate | None) -> None:
    """Raise BadInput for a plan that is estimated at more than --max-cost."""
    amount = cap(arguments)
    if found and amount is not None:
        _refuse_estimate(arguments, prepared, found, amount)


def of_launch(
    arguments: argparse.Namespace, prepared: Prepared, where: Backend, work_dir: Path
) -> Tariff | None:
    """By what a launch's dollars are counted; None: nobody knows a price, or nothing is to be run.

    Raises BadInput for a launch that is estimated at more than --max-cost, or cannot be.
    """
    amount, rate = cap(arguments), arguments.dollars_per_hour
    if rate is not None and not 0 < rate < float("inf"):
        raise BadInput(f"--dollars-per-hour {rate}: must be more than 0")
    if not prepared.plan.of(READY):
        return None
    if rate is not None:
        found, price = _own(arguments, prepared, where, work_dir, rate)
        if amount is not None:
            _refuse(_known(found, prepared, amount), amount, price, "")
        return found
    if arguments.node_types or where.values.get(NODE_TYPES):
        return _by_types(arguments, prepared, where, amount)
    if amount is not None:
        raise BadInput(
            f"--max-cost {money(amount)}: what an hour costs on backend {where.name} is not known; "
            "give --dollars-per-hour, or --node-types"
        )
    return None


def _by_types(
    arguments: argparse.Namespace, prepared: Prepared, where: Backend, amount: float | None
) -> Tariff | None:
    """The tariff of node types that the user names, else of the backend's own.

    Without a budget a launch needs no price: None where a backend's types have none.
    """
    types = arguments.node_types or where.values[NODE_TYPES]
    wish = _wish(arguments, types)
    if not arguments.node_types and all(":" in word for word in types.split(",")):  # as spot nodes, for Toil
        wish = replace(wish, spot=True)
    if not arguments.region and where.values.get(REGION):
        wish = replace(wish, region=where.values[REGION])  # where its nodes are
    if arguments.max_nodes is None and where.values.get(MAX_NODES, "").isdecimal():
        wish = replace(wish, most_nodes=int(where.values[MAX_NODES]))
    asked = machine.asked(prepared.request.template, prepared.parameters)
    took = _hours(prepared, asked.get("cpus", 1), wish)
    try:
        found = _estimate(prepared, wish if took else replace(wish, hours=1.0))
    except BadInput:
        if amount is None and not arguments.node_types:
            return None
        raise
    assert found is not None
    tariff = tariff_of(found)
    if took is None:  # the price of an hour is known, and that is all
        tariff = replace(tariff, hours=None, hours_source="", dollars=None)
    if amount is not None:
        _known(tariff, prepared, amount)
        _refuse_estimate(arguments, prepared, found, amount)
    return tariff


def _known(tariff: Tariff, prepared: Prepared, amount: float) -> Tariff:
    """The tariff; raises BadInput when it has no estimate to be compared with a budget."""
    if tariff.dollars is None:
        raise BadInput(
            f"--max-cost {money(amount)}: nobody knows how long a unit of {prepared.plan.pipeline} takes: "
            "run some with --limit 3 first, or give --hours-per-unit"
        )
    return tariff


def tariff_of(found: Estimate) -> Tariff:
    """The tariff that spends exactly the estimate when everything takes as long as estimated."""
    best, work = found.cheapest, found.work
    dollars = best.dollars(found.spot)
    starts = dollars * best.packing.nodes * cost.START_HOURS / best.packing.node_hours
    return Tariff(
        per_unit_hour=(dollars - starts) / (work.units * work.duration.hours),
        start=starts / work.units,
        node=f"{best.node} {'spot' if found.spot else 'on demand'}",
        source=f"prices of {found.prices.date}, {found.prices.region}",
        units=work.units,
        hours=work.duration.hours,
        hours_source=work.duration.source,
        dollars=dollars,
    )


def _own(
    arguments: argparse.Namespace, prepared: Prepared, where: Backend, work_dir: Path, rate: float
) -> tuple[Tariff, Callable[[int], float]]:
    """The tariff of nodes whose price the user says, and the dollars of so many units."""
    nodes = machine.of(where, work_dir)
    request = prepared.request
    asked, _ = machine.resources(request.template, prepared.parameters, nodes, request.rehearsal)
    asked = estimate.UNASKED | asked
    units = len(prepared.plan.of(READY))
    known = [(nodes.cpus, asked["cpus"]), (nodes.memory_mib, asked["memory_mib"])]
    at_once = min([units, *(max(1, has // one) for has, one in known if has)])
    if not any(has for has, _ in known):
        at_once = 1  # nobody knows how large a node is
    took = _hours(prepared, asked["cpus"], _wish(arguments, ""))
    start = 0.0 if where.here else cost.START_HOURS
    most = 1 if where.here else arguments.max_nodes or cost.MOST_NODES
    hours = took.hours if took else 0.0

    def price(count: int) -> float:
        return pack(count, min(at_once, count), hours, most, start).node_hours * rate

    packed = pack(units, at_once, hours, most, start)
    name = nodes.name if where.here else f"nodes of {where.name}"
    tariff = Tariff(
        per_unit_hour=(packed.node_hours - packed.nodes * start) * rate / (units * hours)
        if took
        else rate / at_once,
        start=packed.nodes * start * rate / units,
        node=f"{name} at {money(rate)} an hour, {at_once} units at once",
        source="--dollars-per-hour",
        units=units,
        hours=took.hours if took else None,
        hours_source=took.source if took else "",
        dollars=packed.node_hours * rate if took else None,
        machine_hour=rate if where.here else None,
    )
    return tariff, price


def _hours(prepared: Prepared, cpus: int, wish: Wish) -> Duration | None:
    """How long a unit takes; of a stand-in that is rehearsed nobody knows, but the user may."""
    request = prepared.request
    if request.rehearsal and wish.hours is None:
        return None
    receipts = estimate.receipts_of(prepared.states)
    return estimate.hours_of(request.template, prepared.parameters, cpus, receipts, prepared.output, wish)


def _estimate(prepared: Prepared, wish: Wish) -> Estimate | None:
    return estimate.estimate(
        prepared.plan,
        prepared.request.template,
        prepared.parameters,
        prepared.states,
        prepared.output,
        wish,
        prepared.access,
    )


def _wish(arguments: argparse.Namespace, node_types: str) -> Wish:
    return Wish(
        region=arguments.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or "us-east-1",
        node_types=_types(node_types),
        spot=arguments.spot,
        most_nodes=cost.MOST_NODES if arguments.max_nodes is None else arguments.max_nodes,
        hours=arguments.hours_per_unit,
        live=arguments.live_prices,
    )


def _types(text: str) -> Sequence[str]:
    """Node types as Toil takes them, too: 'm5.large:0.05,r5.large/r5a.large'; bids have no say in what is paid."""
    return [name.partition(":")[0].strip() for name in re.split("[,/]", text) if name.strip()]


def _cheaper(prepared: Prepared, wish: Wish, found: Estimate) -> str:
    """The cheapest way there is, in words; empty when this is it."""
    best = _estimate(prepared, replace(wish, spot=True, live=False))
    now = found.cheapest.dollars(found.spot)
    if best is None or best.cheapest.dollars(True) >= now:
        return ""
    dollars, node = best.cheapest.dollars(True), best.cheapest.node
    return f"the cheapest way is {money(dollars)}: --spot --node-types {node}; "


def _refuse_estimate(
    arguments: argparse.Namespace, prepared: Prepared, found: Estimate, amount: float
) -> None:
    if found.cheapest.dollars(found.spot) <= amount * (1 + budget.DUST):
        return
    best = found.cheapest.node

    def price(count: int) -> float:
        work = replace(found.work, units=count)
        (one,) = cost.options(work, only(found.prices, [best]), found.most_nodes, found.spot)
        return one.dollars(found.spot)

    _refuse(tariff_of(found), amount, price, _cheaper(prepared, _wish(arguments, ""), found))


def _refuse(tariff: Tariff, amount: float, price: Callable[[int], float], cheaper: str) -> None:
    dollars = tariff.dollars
    assert dollars is not None
    if dollars <= amount * (1 + budget.DUST):
        return
    fits = budget.fitting(amount, tariff.units, price)
    limit = f"--limit {fits} fits" if fits else "not one unit fits"
    raise BadInput(
        f"--max-cost {money(amount)}: {tariff.units} units are estimated at {money(dollars)} on {tariff.node} "
        f"({budget.lasting(tariff.hours or 0.0)} each: {tariff.hours_source}), {money(dollars - amount)} more; {cheaper}{limit}"
    )
