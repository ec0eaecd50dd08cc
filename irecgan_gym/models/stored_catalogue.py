"""The catalogue in files of agents and models: names of items as a tensor beside the parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from irecgan_gym.sessions.catalogue import Catalogue

_KEY = "catalogue.names"


def catalogue_tensors(catalogue: Catalogue) -> dict[str, Tensor]:
    """Return the names as a tensor of bytes (of a JSON list), by the key under which it is stored.

    A header would have to hold them as a text, and millions of names are too long for one. Items without names leave
    nothing in the file: it is what it was before catalogues.
    """
    if catalogue.names is None:
        return {}
    return {_KEY: torch.from_numpy(np.frombuffer(json.dumps(catalogue.names).encode(), dtype=np.uint8).copy())}


def split_catalogue(tensors: Mapping[str, Tensor], num_items: int) -> tuple[dict[str, Tensor], Catalogue]:
    """Return the tensors of a file without those of :func:`catalogue_tensors`, and the catalogue that these describe.

    Args:
        tensors: of a file.
        num_items: size of the catalogue.

    Raises:
        SessionsError: names that are no catalogue of this size.
    """
    others = {name: tensor for name, tensor in tensors.items() if name != _KEY}
    if _KEY not in tensors:
        return others, Catalogue(num_items)
    catalogue = Catalogue.of(json.loads(tensors[_KEY].numpy().tobytes()))
    Catalogue(num_items).check_agrees(catalogue, "the model", "the names in its file")
    return others, catalogue
