"""How readily the places of a list are looked at: a term of click logits beside what the items are worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# The term has few numbers, and every step informs them: stored so much smaller, they learn so much faster.
_RATE = 20.0


class PositionTerm(nn.Module):
    """A number for each place of a slate, added to the click logit of the item shown there.

    Real users look at the first places more than at others, whatever stands there. A user model that is told so does
    not take the old ranker's order for the users' taste.

    Args:
        num_positions: places that have a number of their own; later ones share the last.
    """

    def __init__(self, num_positions: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.empty(num_positions))

    def draw_parameters(self, generator: torch.Generator) -> None:
        """All places are alike at first; nothing is random."""
        self.scores.zero_()

    def forward(self, num_positions: int) -> Tensor:
        """The term of the first places of a slate, [num_positions]."""
        places = torch.arange(num_positions, device=self.scores.device).clamp_(max=len(self.scores) - 1)
        return self.scores[places] * _RATE
