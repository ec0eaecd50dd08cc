"""Run folders with made-up measurements, for tests of what is made of them."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import asdict, astuple
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from irecgan_gym.agents import AGENT_NAMES, preset
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.engine.tables import DURATIONS, RESULTS, TRAINING, frame


class Measurement(NamedTuple):
    """A row of results.csv."""

    job: Job
    metric: str
    value: float


class TrainingRecord(NamedTuple):
    """A row of training.csv."""

    job: Job
    metric: str
    value: float
    step: int


class Duration(NamedTuple):
    """A row of durations.csv."""

    job: Job
    seconds: float


COLUMNS = {Measurement: RESULTS, TrainingRecord: TRAINING, Duration: DURATIONS}


def table(rows, kind=Measurement):
    """Rows as the frame that the tables of a run folder are read into."""
    return frame([(*astuple(row.job), *row[1:]) for row in rows], COLUMNS[kind])


def write_rows(kind, rows):
    """Rows as CSV text with a header, written without the code under test."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS[kind])
    writer.writerows((*astuple(row.job), *row[1:]) for row in rows)
    return text.getvalue()


GRID_AGENTS = ("logging-policy", "random", "belief", "irecgan", "lstm", "pg")
SIZES, POLICIES, SEEDS = (200, 1000, 10000), ("random", "max", "mix"), range(5)
NASTY = "<script>document.title = 'broken'</script> & \"quoted\""


def write_grid_run(folder):
    """A grid like that of the paper's Figure 2, with one job that failed."""
    rng = np.random.default_rng(0)
    base = {"random": 2.0, "popularity": 2.5, "belief": 4.0, "max-reward": 8.0}
    results, durations, training = [], [], []
    for policy, size, seed, agent in itertools.product(POLICIES, SIZES, SEEDS, GRID_AGENTS):
        job = Job("simulated_online", agent, policy, size, seed)
        durations.append(Duration(job, 60.0))
        if agent == "logging-policy":
            results.append(Measurement(job, "reward/logged", 8.0 + rng.random()))
            continue
        for deployment in ("top-k", "sampled"):
            reward = base.get(agent, 3.0) + 0.3 * rng.random()
            values = {"reward": reward, "reward_low": reward - 0.1, "reward_high": reward + 0.1, "length": reward + 1}
            values |= {f"coverage@{r}": rng.random() for r in (1, 5, 10)}
            results += [Measurement(job, f"{name}/{deployment}", value) for name, value in values.items()]
        if agent in ("irecgan", "pg") and (policy, size) == ("max", 200):
            training += [TrainingRecord(job, "train/policy_loss", rng.random(), step) for step in range(3)]
    config = {
        "experiment": "simulated_online",
        "env": "RecSim-v0",
        "logging_policy": list(POLICIES),
        "sessions": list(SIZES),
        "seeds": len(SEEDS),
        "agents": {name: asdict(preset(name, "fast")) for name in AGENT_NAMES},
    }
    _write(folder, config, results)
    (folder / "durations.csv").write_text(write_rows(Duration, durations))
    (folder / "training.csv").write_text(write_rows(TrainingRecord, training))
    (folder / "failures").mkdir()
    (folder / "failures" / "pgis-max-200-seed0.txt").write_text(f"Traceback\nValueError: {NASTY}\n")
    return folder


def write_rerank_run(folder):
    """Re-ranking of a log that a reader has something to say about."""
    rng = np.random.default_rng(1)
    results = []
    for seed, agent in itertools.product(SEEDS, ("random", "popularity", "irecgan", "lstm", "lstmd", "pg")):
        job = Job("rerank", agent, "logged", 1650, seed)
        for deployment, (name, value) in itertools.product(
            ("top-k", "sampled"), (("p@1", 0.05), ("p@10", 0.45), ("mrr", 0.17))
        ):
            mean = value * (1 + 0.1 * rng.random())
            ends = ((name, mean), (f"{name}_low", mean * 0.9), (f"{name}_high", mean * 1.1))
            results += [Measurement(job, f"{metric}/{deployment}", number) for metric, number in ends]
    (folder / "user_hits").mkdir(parents=True)
    for job in dict.fromkeys(row.job for row in results):
        _write_user_hits(folder, job, rng)
    config = {"experiment": "rerank", "format": "table", "data": "0123456789abcdef", "min_list_length": 11}
    _write(folder, config, results)
    (folder / "read_report.txt").write_text(f"read 2,061 sessions; left out: {NASTY}\n")
    return folder


def _write_user_hits(folder, job, rng):
    """Hits of 30 users with two lists each, without the code under test."""
    chances = {"p@1": 0.05, "p@10": 0.45, "mrr": 0.17}
    hits = {
        f"{name}/{deployment}": rng.binomial(2, chance, size=30).astype(float)
        for deployment in ("top-k", "sampled")
        for name, chance in chances.items()
    }
    columns = pa.table({"user": np.arange(30), "lists": np.full(30, 2), **hits})
    columns = columns.replace_schema_metadata({"job": json.dumps(astuple(job))})
    pq.write_table(columns, folder / "user_hits" / f"{job.name}.parquet")


def _write(folder, config, results):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    sitting = {
        "started": "2025-01-31T12:00:00+00:00",
        "python": "3.11.7",
        "packages": {"numpy": "2.4.6", "torch": None},
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "uncommitted_changes": True,
    }
    (folder / "versions.json").write_text(json.dumps([sitting, {**sitting, "started": "2025-02-01T09:30:00+00:00"}]))
    (folder / "results.csv").write_text(write_rows(Measurement, results))
