"""The page: HTML made of an account."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from irecgan_gym import __version__
from irecgan_gym.benchmarks.decision.account import Account, Changes, ItemChange
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope.decision import PRACTICAL_GAPS, agreed_interval
from irecgan_gym.ope.diagnostics import COVERED, SURE, WeightsByStep
from irecgan_gym.ope.recommendation import ENOUGH, SURPRISE, p_text

ESTIMATORS = {
    "sndr-set": ("doubly robust, order left out", "users do not care about the order of a slate"),
    "sndr": ("doubly robust", "nothing"),
    "snlips": ("weights of sets", "users do not care about the order of a slate"),
    "snsips": ("weights of whole slates", "nothing"),
    "snrips": ("weights from the top down", "a click depends on the item and those above it alone"),
    "sniips": ("weights of single places", "a click depends on the item and its place alone"),
    "inclusion-ips": ("weights of single items", "a click depends on the item alone"),
}
"""In words: what each estimator goes by, and what it takes for granted of users."""
_STEPS_SHOWN = 12
_WEIGHT_BANDS = (0.0, 0.1, 0.5, 2.0, 10.0, math.inf)
HEADLINES = {
    "better": "The new policy is better",
    "worse": "The new policy is worse",
    "not known": "The log does not tell which policy is better",
}
MARKS = {"better": "▲", "worse": "▼", "not known": "?"}


@dataclass(frozen=True)
class Bar:
    """A row of a chart of intervals, in percent of its width.

    Attributes:
        name: of the estimator.
        words: what it goes by.
        assumption: what it takes for granted.
        interval: estimate and its ends.
        effective: effective sessions.
        left: where the interval begins.
        width: how wide it is.
        dot: where the estimate is; None outside the chart.
        chosen: whether the verdict goes by it.
    """

    name: str
    words: str
    assumption: str
    interval: Interval
    effective: float
    left: float
    width: float
    dot: float | None
    chosen: bool


@dataclass(frozen=True)
class Chart:
    """A chart of intervals.

    Attributes:
        bars: its rows.
        zero: where a difference of 0 is, in percent.
        ticks: places in percent and their labels.
    """

    bars: tuple[Bar, ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Band:
    """Sessions by the weight of their first slate.

    Attributes:
        label: the weights, in words.
        share: of the sessions.
        weighed: share of all weights that these sessions have.
    """

    label: str
    share: float
    weighed: float


@dataclass(frozen=True)
class StepRow:
    """Step of sessions with its mean cumulative weight.

    Attributes:
        number: of the step, from 1.
        share: of all that the policy earns.
        weight: mean and its 95% interval.
        effective: effective sessions that got so far.
        width: of the bar, in percent: 100 for a mean of 1 and more.
    """

    number: int
    share: float
    weight: Interval
    effective: float
    width: float


@dataclass(frozen=True)
class ChangeRow:
    """An item with a bar of its change, in percent of the largest one."""

    item: ItemChange
    width: float


def decision_html(account: Account, settings: Mapping[str, object], read_report: str) -> str:
    """Return the page of an account; the same account gives the same page.

    Nothing in it comes from elsewhere: no script, no request. Names of items and files are shown as text.

    Args:
        account: all that it tells.
        settings: of the command, by name.
        read_report: what was read of the log.
    """
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("irecgan_gym.benchmarks.decision"), PackageLoader("irecgan_gym.benchmarks.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "number": number, "percent": percent, "p_value": p_value}
    decision = account.decision
    tests = live_tests(account)
    return environment.get_template("decision.html.jinja").render(
        account=account,
        decision=decision,
        headline=HEADLINES[decision.verdict],
        mark=MARKS[decision.verdict],
        css_class=decision.verdict.replace(" ", "-"),
        summary=summary(account),
        chart=gains_chart(account),
        bands=weight_bands(account.weights),
        steps=step_rows(decision.advice.weights),
        needed=COVERED,
        errors_below=SURE,
        tests=tests,
        card_test=None if not tests else tests[0] if decision.gain is not None else tests[-2],
        gained=change_rows(account.changes.gained, account.changes),
        lost=change_rows(account.changes.lost, account.changes),
        enough=ENOUGH,
        surprise=SURPRISE,
        settings=settings,
        read_report=read_report,
        version=__version__,
    )


def summary(account: Account) -> str:
    """Return the verdict in one sentence with its numbers."""
    decision = account.decision
    if decision.interval is None or decision.current is None or decision.new is None:
        return "No estimate from this log can be believed for these policies, so none is given as an answer."
    interval = decision.interval
    relative = ""
    if decision.current.estimate:
        share = interval.mean / decision.current.estimate
        relative = f", {abs(share):.1%} {'more' if share >= 0 else 'less'}"
    return (
        f"A session earns {number(decision.new.estimate)} with the new policy and {number(decision.current.estimate)} "
        f"with the current one{relative}. The difference is between {signed(interval.low)} and {signed(interval.high)} "
        "with a probability of 95%."
    )


def gains_chart(account: Account) -> Chart:
    """Differences by every estimator, those that the verdict does not go by included."""
    decision = account.decision
    intervals = {name: agreed_interval(gain) for name, gain in decision.gains.items()}
    chosen = None if decision.advice.estimator is None else decision.advice.estimator.estimator_name
    low, high = _axis(
        list(intervals.values()) if chosen is None else [*intervals.values()], intervals.get(chosen or "")
    )
    span = high - low

    def place(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / span

    bars = []
    for name, interval in intervals.items():
        words, assumption = ESTIMATORS.get(name, (name, ""))
        bars.append(
            Bar(
                name,
                words,
                assumption,
                interval,
                decision.gains[name].effective_sample_size,
                place(interval.low),
                max(place(interval.high) - place(interval.low), 0.5),
                place(interval.mean) if low <= interval.mean <= high else None,
                name == chosen,
            )
        )
    return Chart(tuple(bars), place(0.0), tuple((place(tick), signed(tick)) for tick in _ticks(low, high)))


def _axis(intervals: list[Interval], chosen: Interval | None) -> tuple[float, float]:
    """Ends that hold 0 and what matters; intervals many times wider than the chosen one are cut off."""
    widths = sorted(interval.high - interval.low for interval in intervals)
    typical = widths[len(widths) // 2] if chosen is None else max(chosen.high - chosen.low, widths[0])
    ends = [end for interval in intervals for end in (interval.low, interval.high)]
    center = float(np.median([interval.mean for interval in intervals])) if chosen is None else chosen.mean
    low, high = max(min(ends), center - 3 * typical), min(max(ends), center + 3 * typical)
    low, high = min(low, 0.0), max(high, 0.0)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers of a range."""
    step = 10 ** math.floor(math.log10((high - low) / 3))
    for factor in (1, 2, 5, 10):
        if (high - low) / (factor * step) <= 6:
            step *= factor
            break
    return [tick * step for tick in range(math.ceil(low / step), math.floor(high / step) + 1)]


def weight_bands(weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[Band]:
    """Sessions by the weight that their first slate has under the new policy."""
    total = float(weights.sum())
    bands = [Band("never shown by the new policy", float((weights == 0).mean()), 0.0)]
    for low, high in pairwise(_WEIGHT_BANDS):
        inside = (weights > low) & (weights <= high)
        if low == 0:
            label = f"less than {high:g} times as often"
        elif math.isinf(high):
            label = f"more than {low:g} times as often"
        else:
            label = f"{low:g} to {high:g} times as often"
        bands.append(Band(label, float(inside.mean()), float(weights[inside].sum()) / total if total else 0.0))
    return bands


def step_rows(weights: WeightsByStep) -> list[StepRow]:
    """Mean cumulative weights by step; of long sessions, steps further and further apart and the worst ones.

    Args:
        weights: by step.
    """
    number = len(weights.means)
    shown = np.arange(number)
    if number > _STEPS_SHOWN:
        shown = np.geomspace(1, number, _STEPS_SHOWN).round().astype(np.int64) - 1
    return [
        StepRow(
            step + 1,
            float(weights.reward_shares[step]),
            weights.interval(step),
            float(weights.effective_sample_sizes[step]),
            100 * min(1.0, float(weights.means[step])),
        )
        for step in np.union1d(shown, [weights.worst_step, weights.thinnest_step]).tolist()
    ]


def live_tests(account: Account) -> list[tuple[str, float, int]]:
    """Rows of the table of live tests: what for, the difference, sessions of each policy."""
    decision = account.decision
    rows = []
    estimated = decision.live_test()
    if estimated is not None:
        rows.append(("the difference estimated here", estimated.gap, estimated.sessions))
    value = account.logged.estimate if decision.current is None else decision.current.estimate
    for share in PRACTICAL_GAPS:
        test = decision.live_test(share * value)
        if test is not None:
            rows.append((f"{share:.0%} of what the current policy earns", test.gap, test.sessions))
    return rows


def change_rows(items: tuple[ItemChange, ...], changes: Changes) -> list[ChangeRow]:
    """Rows of items with bars on a scale that gains and losses share."""
    largest = max((abs(item.then - item.now) for item in (*changes.gained, *changes.lost)), default=1.0)
    return [ChangeRow(item, 100 * abs(item.then - item.now) / largest) for item in items]


def signed(value: float) -> str:
    """Return a difference with its sign."""
    text = f"{value:+,.3g}" if abs(value) < 1000 else f"{value:+,.0f}"
    return "0" if value == 0 else text.replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """Return a number with three digits that count; whole ones with their thousands."""
    if math.isnan(value):
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.3g}"


def percent(value: float) -> str:
    """Return a share in percent."""
    return f"{100 * value:.1f}%" if 0 < abs(value) < 0.1 else f"{100 * value:.0f}%"


def p_value(value: float) -> str:
    """Return a p-value, or that it cannot be told."""
    if math.isnan(value):
        return "cannot be told from this log"
    return f"p = {value:.2g}" if value >= 0.001 else p_text(value)
