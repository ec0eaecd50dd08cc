"""One step of a policy as a module with a ``forward``: what is exported, by ONNX and by ``torch.export`` alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from irecgan_gym.models.slate_policy import CataloguePolicy, prefix_log_probabilities


class PolicyStep(nn.Module):
    """A click and a state in; a slate, its log-probabilities and the new state out.

    Slates are the k largest of logit plus noise. Without noise that is the top k; with Gumbel noise it is a draw from
    the softmax without replacement (Eq 4); an item with noise of -inf is excluded. The first items of a slate are the
    slate of a smaller k, whose log-probability stands beside the last of them.

    Args:
        policy: its parameters are shared, not copied.
        slate_size: items shown at a time, k.
    """

    def __init__(self, policy: CataloguePolicy, slate_size: int) -> None:
        super().__init__()
        self.policy = policy
        self.slate_size = slate_size

    def forward(self, click: Tensor, state: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Observe a click and choose a slate.

        Args:
            click: the last click of each session, ``num_items`` for none yet; int64 [B].
            state: what the last step returned, zeros at the start; float32 [B, S].
            noise: added to the logits; float32 [B, n].

        Returns:
            The slate, int64 [B, k]; the log-probability that a drawn slate begins with its first l items, for
            l = 1..k, float64 [B, k]; the state, [B, S].
        """
        new = self.policy.observe(click, state)
        logits = self.policy.logits(self.policy.encoder.output(new))
        slate = (logits + noise).topk(self.slate_size, dim=-1).indices
        allowed = torch.where(noise == -torch.inf, noise, logits)
        return slate, prefix_log_probabilities(allowed, slate), new
