"""Appeal of items and success of their clicks, by context or state, shrunk to the item's mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from irecgan_gym.settings import Count, Positive, check_settings

FloatArray = NDArray[np.float64]
Parameters = dict[str, FloatArray]
Link = Literal["tied", "linked", "untied"]

_MEAN_SPREAD = 10.0
_SLOPE_SPREAD = 1.0


@dataclass(frozen=True)
class AppealConfig:
    """Prior of appeals and successes; spreads are standard deviations of Gaussians, in log-odds.

    Attributes:
        link: what the weights of choice have to do with the chances of success. ``"tied"``: the weight is the chance
            itself. ``"linked"``: the logarithm of the weight is a multiple, which is learned, of the logarithm of the
            chance, plus a deviation of the item's own. ``"untied"``: nothing.
        item_spread: of items around the mean of all.
        group_spread: of an item in a group (a context or a state) around the item's mean.
        level_spread: of groups around the mean, all items alike.
        own_spread: of an item's logarithm of weight around the link; of no use unless ``link`` is ``"linked"``.
        rank: numbers in the embedding of an item, from which its deviations in all groups are made; None gives each
            deviation a number of its own.
    """

    link: Link = "tied"
    item_spread: Positive = 1.5
    group_spread: Positive = 1.0
    level_spread: Positive = 1.0
    own_spread: Positive = 0.5
    rank: Count | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class AppealTables:
    """Appeals and successes of n items in G groups.

    Attributes:
        log_weights: logarithms of what clicks on a slate are proportional to, [G, n].
        success_logits: log-odds that a click succeeds, [G, n].
    """

    log_weights: FloatArray
    success_logits: FloatArray

    @property
    def weights(self) -> FloatArray:
        """Return the weights that clicks on a slate are proportional to, [G, n]."""
        return np.exp(self.log_weights)

    @property
    def successes(self) -> FloatArray:
        """Probability that a click succeeds, [G, n]."""
        return np.asarray(expit(self.success_logits))


class AppealPrior:
    """The parameters of appeal tables: their shapes, their tables, their gradients and their Gaussian priors.

    Args:
        config: the spreads and the link.
        num_groups: G.
        num_items: n.
    """

    def __init__(self, config: AppealConfig, num_groups: int, num_items: int) -> None:
        self.config = config
        self.num_groups = num_groups
        self.num_items = num_items
        self.spreads: dict[str, float] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._add_table("success")
        if config.link == "linked":
            self._add("slope", _SLOPE_SPREAD)
            self._add("own_item", config.own_spread, num_items)
            self._add("own", config.own_spread, num_groups, num_items)
        elif config.link == "untied":
            self._add_table("weight")

    def _add(self, name: str, spread: float, *shape: int) -> None:
        self.spreads[name], self.shapes[name] = spread, shape

    def _add_table(self, stem: str) -> None:
        config = self.config
        self._add(f"{stem}_mean", _MEAN_SPREAD)
        self._add(f"{stem}_level", config.level_spread, self.num_groups)
        self._add(f"{stem}_item", config.item_spread, self.num_items)
        if config.rank is None:
            self._add(f"{stem}_deviation", config.group_spread, self.num_groups, self.num_items)
        else:
            # Products of R pairs of numbers of variance v have the variance R v^2.
            spread = float(np.sqrt(config.group_spread) / config.rank**0.25)
            self._add(f"{stem}_embedding", spread, self.num_items, config.rank)
            self._add(f"{stem}_direction", spread, self.num_groups, config.rank)

    def initial(self, rng: np.random.Generator, noise: float) -> Parameters:
        """Parameters at which a search can begin: zero, but for noise by which groups come to differ.

        Args:
            rng: the source of the noise.
            noise: its size, as a share of the prior's spread.
        """
        parameters = {}
        for name, shape in self.shapes.items():
            differ = name.endswith(("_deviation", "_embedding", "_direction"))
            parameters[name] = rng.normal(0, noise * self.spreads[name], shape) if differ else np.zeros(shape)
        if "slope" in parameters:
            parameters["slope"] = np.ones(())
        return parameters

    def tables(self, parameters: Parameters) -> AppealTables:
        """The tables of parameters."""
        success = self._table(parameters, "success")
        if self.config.link == "untied":
            return AppealTables(self._table(parameters, "weight"), success)
        log_success = np.asarray(log_expit(success))
        if self.config.link == "tied":
            return AppealTables(log_success, success)
        own = parameters["own_item"] + parameters["own"]
        return AppealTables(parameters["slope"] * log_success + own, success)

    def gradient(
        self, parameters: Parameters, tables: AppealTables, by_weight: FloatArray, by_success: FloatArray
    ) -> Parameters:
        """Gradient in the parameters of a function of the tables.

        Args:
            parameters: where.
            tables: of these parameters.
            by_weight: derivatives by ``log_weights``, [G, n].
            by_success: derivatives by ``success_logits``, [G, n].
        """
        found: Parameters = {}
        if self.config.link == "untied":
            self._table_gradient(parameters, "weight", by_weight, found)
        else:
            slope = parameters["slope"] if self.config.link == "linked" else 1.0
            by_success = by_success + slope * by_weight * expit(-tables.success_logits)
            if self.config.link == "linked":
                found["slope"] = np.asarray((by_weight * log_expit(tables.success_logits)).sum())
                found["own_item"] = by_weight.sum(axis=0)
                found["own"] = by_weight
        self._table_gradient(parameters, "success", by_success, found)
        return found

    def log_density(self, parameters: Parameters) -> tuple[float, Parameters]:
        """Log-density of parameters but for a constant, and its gradient."""
        return gaussian_log_density(parameters, self.spreads, {"slope": 1.0})

    def _table(self, parameters: Parameters, stem: str) -> FloatArray:
        shared = parameters[f"{stem}_mean"] + parameters[f"{stem}_item"] + parameters[f"{stem}_level"][:, None]
        if self.config.rank is None:
            return shared + parameters[f"{stem}_deviation"]
        return shared + parameters[f"{stem}_direction"] @ parameters[f"{stem}_embedding"].T

    def _table_gradient(self, parameters: Parameters, stem: str, by_entry: FloatArray, found: Parameters) -> None:
        found[f"{stem}_item"] = by_entry.sum(axis=0)
        found[f"{stem}_level"] = by_entry.sum(axis=1)
        found[f"{stem}_mean"] = np.asarray(by_entry.sum())
        if self.config.rank is None:
            found[f"{stem}_deviation"] = by_entry
        else:
            found[f"{stem}_embedding"] = by_entry.T @ parameters[f"{stem}_direction"]
            found[f"{stem}_direction"] = by_entry @ parameters[f"{stem}_embedding"]


def gaussian_log_density(
    parameters: Parameters, spreads: dict[str, float], means: dict[str, float]
) -> tuple[float, Parameters]:
    """Log-density of independent Gaussians but for a constant, and its gradient.

    Args:
        parameters: by name.
        spreads: standard deviations by name.
        means: by name; 0 where left out.
    """
    density, gradient = 0.0, {}
    for name, spread in spreads.items():
        scaled = (parameters[name] - means.get(name, 0.0)) / spread
        density -= 0.5 * float((scaled**2).sum())
        gradient[name] = -scaled / spread
    return density, gradient
