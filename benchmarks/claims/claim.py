"""Claims as data: which measurement is said to be greater than which, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from irecgan_gym.benchmarks.rerank_features import label

Cell = tuple[str, int]
"""Logging policy and number of logged sessions."""


class Statistic(Enum):
    """Statistic over seeds that is said to be greater."""

    MEAN = "mean"
    SPREAD = "standard deviation over seeds"


@dataclass(frozen=True)
class Quantity:
    """A measurement of an agent.

    Attributes:
        agent: its name, without features.
        metric: its metric, without a deployment.
        logging_policy: policy of the log that the agent has learned from; that of the cell when None.
    """

    agent: str
    metric: str
    logging_policy: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One quantity that the paper says is greater than another, in some cells.

    Attributes:
        greater: quantity said to be greater.
        smaller: quantity said to be smaller.
        policies: logging policies where it is said; empty for all.
        sizes: numbers of logged sessions where it is said; empty for all.
        except_cells: cells that are excluded.
        statistic: statistic over seeds that is compared.
    """

    greater: Quantity
    smaller: Quantity
    policies: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    except_cells: tuple[Cell, ...] = ()
    statistic: Statistic = Statistic.MEAN

    def is_about(self, cell: Cell) -> bool:
        """Return whether the paper says it of this cell."""
        policy, size = cell
        return (
            (not self.policies or policy in self.policies)
            and (not self.sizes or size in self.sizes)
            and cell not in self.except_cells
        )

    @property
    def agents(self) -> tuple[str, ...]:
        """Agents that are compared, each once."""
        return tuple(dict.fromkeys((self.greater.agent, self.smaller.agent)))


@dataclass(frozen=True)
class Setting:
    """Conditions under which a claim is judged; each gives a verdict of its own.

    Attributes:
        name: its name for people; empty where there is only one.
        deployment: deployment of the policies, the last part of metrics; empty for metrics without one.
        features: what agents were given beside clicks.
    """

    name: str = ""
    deployment: str = ""
    features: str = "none"

    def agent(self, quantity: Quantity) -> str:
        """Return the name of a quantity's agent in ``results.csv``."""
        return label(quantity.agent, self.features)

    def metric(self, quantity: Quantity) -> str:
        """Return the name of a quantity's metric in ``results.csv``."""
        return f"{quantity.metric}/{self.deployment}" if self.deployment else quantity.metric


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: short.
        text: in the paper's words, shortened; in brackets, what is measured where the paper does not say.
        experiment: the command whose runs can tell.
        settings: conditions under which it is judged.
        comparisons: family that must come out as said for the claim to hold.
        about: agents whose treatment it is about: where that did nothing, their comparisons with others are refused.
        equal_doses: whether both sides must have been trained as much: a claim about what an agent is trained *on*.
    """

    name: str
    text: str
    experiment: str
    settings: tuple[Setting, ...]
    comparisons: tuple[Comparison, ...]
    about: tuple[str, ...] = ()
    equal_doses: bool = False
