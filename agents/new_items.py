"""Items that came after training: an agent that knows features of items scores them by these, or names them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.models.features import ItemFeatures
from irecgan_gym.sessions import Catalogue, CatalogueError

AgentT = TypeVar("AgentT", bound=PolicyAgent[Any])
_SHOWN = 5


def with_new_items(agent: AgentT, catalogue: Catalogue) -> AgentT:
    """Return a trained agent over a larger catalogue; items that it has not learned are known by their features.

    Items of the old catalogue keep what was learned of them. A new one has the mean of all learned embeddings, to which
    its features are added as to those of any other item.

    Args:
        agent: has learned with features of items (``EncoderConfig.features``) from items with names; left as it is.
        catalogue: has all items of the agent's, by name, new ones, and the features of all of them.

    Raises:
        CatalogueError: items without names, items of the agent that the catalogue lacks, or new ones of which no
            feature that the agent knows is told; the message names them.
    """
    known = agent.catalogue
    if known.names is None or catalogue.names is None:
        nameless = "the agent's catalogue has" if known.names is None else "that catalogue has"
        raise CatalogueError(f"items are found in another catalogue by name, but {nameless} no names")
    places = known.positions(catalogue.names)
    lost = [name for name in known.names if name not in catalogue.numbers]
    if lost:
        raise CatalogueError(f"{len(lost)} items of the agent are not in the catalogue: {_listed(lost)}")
    new = np.flatnonzero(places < 0)
    unknown = new[~_told(agent, catalogue)[new]]
    if len(unknown):
        names = [catalogue.names[item] for item in unknown]
        raise CatalogueError(
            f"the agent knows no feature of {len(names)} items that it has not learned: {_listed(names)}"
        )
    larger: AgentT = type(agent)(
        catalogue.num_items, agent.slate_size, agent.config, seed=agent.seed, device=str(agent.device)
    )
    for name, network in agent.networks().items():
        _copy(network, larger.networks()[name], places)
    larger.catalogue, larger.lessons, larger.treatment = catalogue, agent.lessons, dict(agent.treatment)
    larger._tell_user_models()
    for network in larger.networks().values():
        for part in network.modules():
            if isinstance(part, ItemFeatures):
                part.take_items(catalogue.features)
    return larger


def _told(agent: PolicyAgent[Any], catalogue: Catalogue) -> NDArray[np.bool_]:
    """Tell whether anything that the agent takes in is known of each item, [n]."""
    told = np.zeros(catalogue.num_items, dtype=bool)
    for network in agent.networks().values():
        for part in network.modules():
            for spec in part.specs if isinstance(part, ItemFeatures) else ():
                if spec.name in catalogue.features:
                    told |= catalogue.features[spec.name].known
    return told


@torch.no_grad()
def _copy(old: nn.Module, new: nn.Module, places: NDArray[np.int64]) -> None:
    """Copy parameters and buffers; of those with a row an item, new items get the mean row.

    Args:
        old: network over the old catalogue.
        new: the same over the new one.
        places: number of each new item in the old catalogue, -1 where it has none.
    """
    num_old = int(places.max()) + 1
    # "No click" is the row behind the last item.
    rows = {num_old: places, num_old + 1: np.append(places, num_old)}
    states = old.state_dict()
    for name, target in new.state_dict().items():
        source = states[name]
        if source.shape == target.shape:
            target.copy_(source)
        else:
            target.copy_(_with_means(source, torch.from_numpy(rows[len(source)]).to(source.device), num_old))


def _with_means(source: Tensor, rows: Tensor, num_old: int) -> Tensor:
    """Rows of a tensor; the mean row of the items where there is none."""
    taken = source[rows.clamp(min=0)].clone()
    if source.is_floating_point():
        taken[rows < 0] = source[:num_old].mean(0)
    return taken


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
