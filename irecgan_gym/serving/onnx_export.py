"""Writing a policy with its catalogue as one ONNX file, which any ONNX runtime executes, without this package too."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from irecgan_gym._version import __version__
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.ope.agent_policies import ActsByPolicy
from irecgan_gym.serving.exported_policy import FORMAT_VERSION, METADATA_KEY
from irecgan_gym.serving.policy_step import PolicyStep
from irecgan_gym.sessions.checks import check_names
from irecgan_gym.storage.files import write_atomically

_LARGEST = 2**31 - 1
"""Bytes that an ONNX file can hold: protocol buffers have no larger messages."""


def export_onnx(
    agent: ActsByPolicy | CataloguePolicy,
    path: str | Path,
    *,
    slate_size: int | None = None,
    item_names: Sequence[str] | None = None,
) -> None:
    """Write a policy to one ONNX file, atomically; needs the extra ``export``.

    The graph is :class:`~irecgan_gym.serving.policy_step.PolicyStep`: inputs ``click``, ``state`` and ``noise``,
    outputs ``slate``, ``log_probability`` and ``next_state``, for any number of sessions. The catalogue stands in the
    metadata, as JSON under the key ``irecgan_gym``. :class:`~irecgan_gym.serving.exported_policy.ExportedPolicy` runs
    it. Unlike what ``torch.save`` writes, the file holds nothing that is executed on loading.

    Args:
        agent: what acts by a policy over the catalogue, or the policy itself.
        path: the file; its folder is made where it is missing.
        slate_size: the most items that can be shown at a time; the policy's own k when None.
        item_names: the catalogue's own names, item i under ``item_names[i]``.

    Raises:
        ValueError: a slate size that the catalogue does not have, or names that are not one for each item.
        ImportError: the packages of the extra ``export`` are missing.
        OverflowError: a policy of more than 2 GB, which no ONNX file holds.
    """
    policy = agent if isinstance(agent, CataloguePolicy) else agent.policy
    size = policy.slate_size if slate_size is None else slate_size
    if not 1 <= size <= policy.num_items:
        raise ValueError(f"slate_size must be from 1 to num_items={policy.num_items}, got {size}")
    names = None if item_names is None else check_names(item_names, policy.num_items)
    weight_bytes = sum(parameter.numel() * parameter.element_size() for parameter in policy.parameters())
    if weight_bytes > _LARGEST:
        raise OverflowError(f"the policy's parameters take {weight_bytes:,} bytes, an ONNX file holds {_LARGEST:,}")
    model = _traced(policy, size)
    description = {
        "format_version": FORMAT_VERSION,
        "version": __version__,
        "num_items": policy.num_items,
        "slate_size": size,
        "state_size": policy.encoder.state_size,
        "item_names": names,
    }
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(description)
    write_atomically(Path(path), model.SerializeToString())


def _traced(policy: CataloguePolicy, slate_size: int) -> Any:
    """The graph of one step as ONNX."""
    # On the CPU, in float32: the graph must be that of every machine.
    step = PolicyStep(copy.deepcopy(policy).cpu().float(), slate_size).eval().requires_grad_(False)
    sessions = torch.export.Dim("sessions", min=1, max=2**20)
    examples = (
        torch.tensor([policy.num_items, 0]),
        torch.zeros(2, policy.encoder.state_size),
        torch.zeros(2, policy.num_items),
    )
    # The encoder's quick step on the CPU writes in place, which is not traced; with gradients it takes PyTorch's own.
    with torch.inference_mode(False), torch.enable_grad(), _quiet_exporter():
        program = torch.onnx.export(
            step,
            examples,
            dynamo=True,
            dynamic_shapes=({0: sessions}, {0: sessions}, {0: sessions}),
            input_names=["click", "state", "noise"],
            output_names=["slate", "log_probability", "next_state"],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without PyTorch's remarks on packages that are not needed here, and on its own deprecated parts."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
