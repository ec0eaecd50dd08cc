"""Real propensities: one logger's policy from the other's log, on the samples of the Open Bandit Dataset."""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.special import betainc

from irecgan_gym.benchmarks.engine.command import SettingsError, check_distinct, command_line
from irecgan_gym.benchmarks.engine.text_table import text_table
from irecgan_gym.evaluation.metrics import Interval
from irecgan_gym.ope import LoggedSlates, Recommendation, logged_value, recommend
from irecgan_gym.sessions import Sessions, SlatePropensities
from irecgan_gym.storage.files import write_atomically

FloatArray = NDArray[np.float64]
Logger = Literal["random", "bts"]
Campaign = Literal["all", "men", "women"]
ITEMS: dict[Campaign, int] = {"all": 80, "men": 34, "women": 46}
PLACES = 3
COLUMNS = (
    "campaign",
    "log",
    "policy",
    "impressions",
    "on_policy",
    "on_policy_low",
    "on_policy_high",
    "estimate",
    "low",
    "high",
    "effective",
    "verdict",
)


@dataclass(frozen=True, kw_only=True)
class OpenBandit:
    """Evaluate random items and Thompson sampling from each other's log, beside what each earned itself.

    The samples are those in the wheel of Open Bandit Pipeline (Apache-2.0): `pip download --no-deps obp==0.4.1`.
    """

    wheel: Path
    """File of the wheel; it is read, not installed."""
    out: Path
    """File for the table (CSV)."""
    campaigns: tuple[Campaign, ...] = ("all", "men", "women")
    """Campaigns of the shop."""

    def execute(self, console: Console) -> None:
        """Judge both policies of each campaign and write the table."""
        check_distinct(campaigns=self.campaigns)
        if not self.wheel.is_file():
            raise FileNotFoundError(f"no such file: {self.wheel}")
        try:
            with zipfile.ZipFile(self.wheel) as archive:
                rows = [
                    crossed(archive, campaign, logger).row()
                    for campaign in self.campaigns
                    for logger in ("random", "bts")
                ]
        except (zipfile.BadZipFile, KeyError) as error:
            raise SettingsError(f"--wheel {self.wheel} is not a wheel of obp with its samples: {error}") from error
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        write_atomically(self.out, text.getvalue().encode())
        shown = [tuple(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows]
        text_table("one policy from the other's log", COLUMNS, shown).print(console)


class Log(NamedTuple):
    """Impressions in the order of time.

    Attributes:
        items: int64 [T].
        places: from 0, int64 [T].
        clicks: 0 or 1, int64 [T].
        propensities: probability of the item at its place, float64 [T].
    """

    items: NDArray[np.int64]
    places: NDArray[np.int64]
    clicks: NDArray[np.int64]
    propensities: FloatArray


class Crossed(NamedTuple):
    """One policy judged by the other's log.

    Attributes:
        campaign: of the shop.
        logger: whose log.
        impressions: how many.
        on_policy: clicks per impression in the judged policy's own log.
        advice: on it by the other's.
    """

    campaign: Campaign
    logger: Logger
    impressions: int
    on_policy: Interval
    advice: Recommendation

    def row(self) -> Sequence[object]:
        """Row of the table; estimates that are refused are those of the weights, for the curious."""
        estimate = self.advice.estimate or self.advice.candidates["snsips"]
        interval = estimate.interval("bootstrap")
        other = "bts" if self.logger == "random" else "random"
        return (
            self.campaign,
            self.logger,
            other,
            self.impressions,
            *map(float, self.on_policy),
            *map(float, interval),
            float(estimate.effective_sample_size),
            self.advice.verdict,
        )


def crossed(archive: zipfile.ZipFile, campaign: Campaign, logger: Logger) -> Crossed:
    """Judge the policy that did not make a log by it.

    Args:
        archive: the wheel.
        campaign: of the shop.
        logger: whose log.
    """
    num_items = ITEMS[campaign]
    log = read_log(archive, logger, campaign)
    if logger == "random":
        target, other = thompson_places(*read_prior(archive, campaign)), read_log(archive, "bts", campaign)
    else:
        target, other = np.full((PLACES, num_items), 1 / num_items), read_log(archive, "random", campaign)
    sessions, wanted = impressions(log, num_items, target)
    own, _ = impressions(other, num_items, target)
    return Crossed(
        campaign,
        logger,
        len(sessions),
        logged_value(own).interval("ttest"),
        recommend(LoggedSlates.recorded(sessions), wanted),
    )


def impressions(log: Log, num_items: int, of_target: FloatArray) -> tuple[Sessions, SlatePropensities]:
    """Return one session an impression with its logged propensities, and the probabilities of a policy [places, n]."""
    bare = Sessions.from_columns(
        num_items=num_items,
        lengths=np.ones(len(log.items), dtype=np.int64),
        slates=log.items[:, None],
        clicks=np.where(log.clicks == 1, log.items, num_items),
        rewards=log.clicks,
        provenance={"source": "Open Bandit Dataset, packaged sample"},
    )
    sessions = bare.with_slate_propensities(SlatePropensities.from_probabilities(bare, log.propensities))
    with np.errstate(divide="ignore"):
        target = np.log(of_target[log.places, log.items])
    return sessions, SlatePropensities.from_columns(bare, target)


def read_log(archive: zipfile.ZipFile, logger: Logger, campaign: Campaign) -> Log:
    """Read a sample.

    Raises:
        KeyError: the archive does not hold it.
    """
    content = archive.read(f"obp/dataset/obd/{logger}/{campaign}/{campaign}.csv").decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    columns = ("item_id", "position", "click", "propensity_score")
    items, places, clicks, propensities = (np.array([float(row[name]) for row in rows]) for name in columns)
    return Log(items.astype(np.int64), places.astype(np.int64) - 1, clicks.astype(np.int64), propensities)


def read_prior(archive: zipfile.ZipFile, campaign: Campaign) -> tuple[FloatArray, FloatArray]:
    """Read the beta distributions with which the shop's Thompson sampling began, alpha and beta; [n] each.

    Raises:
        KeyError: the archive does not hold them.
    """
    numbers: dict[tuple[str, str], list[float]] = {}
    section, current = "", list[float]()
    for line in archive.read("obp/policy/conf/prior_bts.yaml").decode().splitlines():
        if line and not line.startswith(" "):
            section = line.rstrip(":")
        elif line.endswith(":"):
            numbers[section, line.strip(" :")] = current = []
        elif line.strip():
            current.append(float(line.strip(" -")))
    return np.array(numbers[campaign, "alpha"]), np.array(numbers[campaign, "beta"])


def thompson_places(alpha: FloatArray, beta: FloatArray, cells: int = 4000) -> FloatArray:
    """Probability that each item has the largest, second and third of independent beta numbers; [places, n].

    Item a is at place l if its number is x and those of l - 1 others are larger: a sum over small cells of x.
    """
    ends = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, cells)])
    inside = np.diff(betainc(alpha[:, None], beta[:, None], ends), axis=1)
    larger = 1 - betainc(alpha[:, None], beta[:, None], (ends[1:] + ends[:-1]) / 2)
    chances = np.empty((PLACES, len(alpha)))
    for item in range(len(alpha)):
        counts = np.zeros((PLACES, cells))
        counts[0] = 1.0
        for other in np.delete(np.arange(len(alpha)), item):
            counts[1:] = counts[1:] * (1 - larger[other]) + counts[:-1] * larger[other]
            counts[0] *= 1 - larger[other]
        chances[:, item] = counts @ inside[item]
    return chances


if __name__ == "__main__":
    sys.exit(command_line(OpenBandit))
