"""The run as Markdown: tables, their meaning, and the needs of larger data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from irecgan_gym.benchmarks.engine.text_table import TextTable, text_table
from irecgan_gym.benchmarks.throughput.arithmetic import policy_cost, training_cost
from irecgan_gym.benchmarks.throughput.growth_plots import MeasuredSeries
from irecgan_gym.benchmarks.throughput.machine import Rates
from irecgan_gym.benchmarks.throughput.rows import SpeedRow, comparison_table, number
from irecgan_gym.benchmarks.throughput.shapes import Shape
from irecgan_gym.benchmarks.throughput.synthetic_logs import CIKM_SESSIONS

_HUNDRED_MILLION, _MILLION = 100_000_000, 1_000_000
_EXPLAINED = {
    "environments": (
        "Environment steps a second, actions drawn beforehand; medians of three rounds in turn. Distinct slates are "
        "what policies show; uniform ones are samples of the action space, whose repeats the env replaces. "
        "Roll-outs of PPO take the agent's own time too: a window of 5 clicks, embedded, and 50 scores, on one thread."
    ),
    "training": (
        "One pass over the log by the code that agents use (a session of the discriminator is a real one and a "
        "generated one). Plain PyTorch takes one session at a time and updates after each 32. The share of the limit "
        "is the least time for the phase's matrix products and parameter traffic at the rates above, over its time. "
        '"Of its threads" is the share of its threads\' time in which a measurement computes: other work on the '
        "machine takes the rest."
    ),
    "generation": (
        "Sessions of an untrained agent and a user model fitted for two epochs, cut at twice the mean logged length, "
        "without scores and with q_D from roll-outs after every step. Plain PyTorch takes one session and one roll-out "
        "at a time and runs the user model from the start of the session at every step."
    ),
}
_GROWTH = (
    "Small networks (1x64 LSTM, or 1x32 where items grow; embeddings of 16; users who never leave), one thread, the "
    'fastest of some runs, one size at a time. "Off by" is the worst distance of a point from the law with fitted '
    "constants; the last slope is that of the last stretch on log-log axes, and in brackets what it is by the law. "
    "Data that outgrow the caches make the last stretch steeper."
)


def markdown_report(
    machine: Mapping[str, Any],
    shapes: Sequence[Shape],
    rows: Sequence[SpeedRow],
    series: Sequence[MeasuredSeries],
    notes: Sequence[str],
    rates: Mapping[int, Rates],
) -> str:
    """Return the whole report.

    Args:
        machine: what was found out about it.
        shapes: of the phases.
        rows: measurements.
        series: growth, measured.
        notes: sentences for the reader.
        rates: of the machine, by threads.
    """
    parts = ["# Throughput\n", machine_line(machine)]
    for group, explained in _EXPLAINED.items():
        of_group = [row for row in rows if row.group == group]
        if of_group:
            parts += [f"## {group.capitalize()}\n", f"{explained}\n", comparison_table(of_group).markdown()]
    if any(row.group in ("training", "generation") for row in rows):
        parts.append("".join(f"- {shape.name}: {shape.description()}\n" for shape in shapes))
    if series:
        parts += ["## Growth\n", f"{_GROWTH}\n", growth_table(series).markdown()]
    parts.append("".join(f"- {note}\n" for note in notes))
    forecast = "".join(f"- {line}\n" for line in larger_data(shapes, rows, rates))
    if forecast:
        parts += ["## What larger data would take\n", forecast]
    return "\n".join(part for part in parts if part)


def machine_line(machine: Mapping[str, Any]) -> str:
    """Return the machine, its rates and the versions of what ran on it."""
    packages = machine["packages"]
    rates = "; ".join(
        f"{count} thread{'' if count == 1 else 's'}: matrix products "
        + ", ".join(f"{number(rate)} GFLOP/s ({name})" for name, rate in flops.items())
        + f", copies {number(machine['copied_gb_per_second'][count])} GB/s read and written"
        for count, flops in machine["gflops_per_second"].items()
    )
    return (
        f"{machine['processor']}, {machine['cores']} cores, device {machine['device']}; {rates}. Python "
        f"{machine['python']}, torch {packages['torch']}, NumPy {packages['numpy']}, Gymnasium "
        f"{packages['gymnasium']}; commit {machine['commit']}.\n"
    )


def growth_table(series: Sequence[MeasuredSeries]) -> TextTable:
    """Return how each cost should grow, how far the fit is off at worst, and how steep the last stretch is."""
    lines = []
    for part in series:
        sizes, per, law = part.series.sizes, part.series.per, part.law
        lines.append(
            [
                part.series.axis,
                part.series.phase,
                *(f"{number(1e3 * part.costs[end])} ms/{per} at {sizes[end]:,}" for end in (0, -1)),
                part.series.law + (f" ({part.series.reason})" if part.series.reason else ""),
                f"{100 * law.worst:.0f}%",
                f"{law.slope:.2f} ({law.expected_slope:.2f})",
                f"{part.peak_memory_mb[-1]:,.0f}",
            ]
        )
    headings = ("axis", "phase", "from", "to", "law", "off by", "last slope (law's)", "peak MB at last")
    return text_table("growth", headings, lines)


def larger_data(shapes: Sequence[Shape], rows: Sequence[SpeedRow], rates: Mapping[int, Rates]) -> Iterable[str]:
    """Yield what a hundred million sessions and a million items would take, by this run's figures for cikm."""
    cikm = next((shape for shape in shapes if shape.name == "cikm"), None)
    trained = [row for row in rows if row.group == "training" and row.shape == "cikm" and row.limit_fraction]
    if cikm is None or not trained:
        return
    best: dict[str, SpeedRow] = {}
    for row in trained:
        if row.name not in best or row.value > best[row.name].value:
            best[row.name] = row
    log = cikm.sessions(seed=0)
    columns = (log.offsets, log.slate_offsets, log.slate_items, log.clicks, log.rewards, log.truncated)
    held = sum(column.nbytes for column in columns) / len(log)
    yield (
        f"A hundred million sessions of the shape cikm fill {held * _HUNDRED_MILLION / 1e9:.0f} GB as columns "
        f"({held:.0f} bytes each, in memory at once). An epoch at the speeds above (best batch size) takes "
        + ", ".join(f"{_duration(_HUNDRED_MILLION / row.value)} ({name})" for name, row in best.items())
        + "; time grows in proportion to sessions."
    )
    agent, encoder = best.get("agent"), cikm.config.encoder
    if agent is None or agent.limit_fraction is None:
        return
    steps, batch = log.num_steps / len(log), agent.batch or 1
    network = policy_cost(encoder, _MILLION)
    stored = network.parameters + (_MILLION + 1) * encoder.embedding_size
    # A session's part of a batch, whose sessions share their first state.
    cost = training_cost(network, steps - 1 + 1 / batch, steps, steps * encoder.embedding_size, 1 / batch)
    assert agent.threads is not None
    least = rates[agent.threads].limit(cost, agent.precision)
    expected = least / agent.limit_fraction
    yield (
        f"A million items: the agent has {stored / 1e6:,.0f} million parameters, {4 * stored * 4 / 1e9:.1f} GB with "
        f"gradients and Adam's moments, and needs {cost.flops / 1e9:.1f} GFLOP a session with the full softmax: at "
        f"least {least:.2g} s in batches of {batch}, and {expected:.2g} s at the share of the limit that it reaches at "
        f"{cikm.num_items:,} items, so {_duration(CIKM_SESSIONS * expected)} for an epoch over {CIKM_SESSIONS:,} "
        f"sessions and {_duration(_HUNDRED_MILLION * expected)} over a hundred million."
    )


def _duration(seconds: float) -> str:
    """Return a duration in the unit that reads best."""
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= length:
            return f"{number(seconds / length)} {unit}"
    return f"{number(seconds)} seconds"
