"""Choice models and latent-state models as user models of the suite, whose recurrent state is a belief."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from irecgan_gym.kernels.sampling import bernoulli, categorical
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.building import resolve_device
from irecgan_gym.models.reward_laws import BernoulliLaw
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.models.user_model import LogLikelihood, Response, UserModel, UserModelConfig
from irecgan_gym.planning.hidden_states import Moves
from irecgan_gym.planning.learned_world import LearnedWorld
from irecgan_gym.sessions import Catalogue
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import (
    check_dimensions,
    check_tensors,
    described_by,
    load_weights,
    outline,
    save_weights,
)

_KIND = "belief_user_model"
_AXES = {"start": 1, "weights": 2, "successes": 2, "source": 2, "target": 2}


class BeliefEncoder(nn.Module):
    """Beliefs over the states of a learned user, in place of a recurrent network: a state is a belief, [B, m].

    Args:
        world: the learned user.
    """

    start_belief: Tensor
    weights: Tensor
    successes: Tensor
    source: Tensor
    target: Tensor
    totals: Tensor

    def __init__(self, world: LearnedWorld) -> None:
        super().__init__()
        # A last item of no weight: what slates are filled up with.
        nothing = np.zeros((1, world.num_states))
        tables = {
            "start_belief": world.start,
            "weights": np.concatenate([world.weights.T, nothing]),
            "successes": np.concatenate([world.successes.T, nothing]),
            "source": world.moves.source,
            "target": world.moves.target,
            "totals": world.moves.totals,
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)))

    @property
    def state_size(self) -> int:
        """Number of states, m."""
        return len(self.start_belief)

    def initial_state(self, num_sessions: int) -> Tensor:
        """See :meth:`start`."""
        return self.start(num_sessions)

    def start(self, num_sessions: int) -> Tensor:
        """Beliefs at the start of sessions, [B, m]."""
        return self.start_belief.repeat(num_sessions, 1)

    def start_in_contexts(self, num_sessions: int, generator: torch.Generator) -> Tensor:
        """The same: no features of steps or users count, and nothing is drawn."""
        return self.start(num_sessions)

    def step(self, clicks: Tensor, state: Tensor) -> Tensor:
        """Beliefs after a click that succeeded on an item shown alone: the slate, which is not known here, tells more.

        See :meth:`BeliefUserModel.advance` for the beliefs after a click on an item of a slate.
        """
        return self.moved(state * self.successes[clicks], clicks)

    def moved(self, joint: Tensor, clicks: Tensor) -> Tensor:
        """Push weights of states [B, m] through the moves of clicks [B]; rows add up to 1."""
        known = clicks.clamp(max=len(self.target) - 1)
        moved = ((joint / self.totals[known]) @ self.source) * self.target[known]
        reached = moved.sum(dim=1, keepdim=True)
        # No click, or one that cannot be: nothing is learned.
        return torch.where(reached > 0, moved / reached, self.start_belief)

    def output(self, state: Tensor) -> Tensor:
        """The belief itself."""
        return state


class BeliefUserModel(UserModel):
    """A learned user of states as a user model: ``UserModel-v0`` plays it, Eq 6 rolls it out, ``fidelity`` judges it.

    Clicks, rewards and beliefs follow the exact law of the learned user: the click by its probability under the
    belief, the reward by its probability given the click, the belief by Bayes's rule. A reward of 0 ends the session.
    It is fitted elsewhere (:class:`~irecgan_gym.models.choice_model.ChoiceModel`,
    :class:`~irecgan_gym.models.latent_user_model.LatentUserModel`) and has no parameters.

    Args:
        world: the learned user.
        slate_size: items that an environment made of this model shows at a time, k.
        catalogue: names of the items; None for items without names.

    Raises:
        ValueError: users who may leave in place of a click.
    """

    encoder: BeliefEncoder  # type: ignore[assignment]

    def __init__(self, world: LearnedWorld, slate_size: int, catalogue: Catalogue | None = None) -> None:
        nn.Module.__init__(self)
        if world.leaving is not None:
            raise ValueError("users who leave without a click cannot be played: the model must have leaving=False")
        self.config = UserModelConfig(world.num_items, slate_size, "reward")
        self.catalogue = Catalogue(world.num_items) if catalogue is None else catalogue
        self.encoder = BeliefEncoder(world)
        # Rewards are 0 or 1; places, features and an outside option make no difference.
        self.reward_law = BernoulliLaw()
        self.positions = self.entries = self.outside_head = None

    @property
    def device(self) -> torch.device:
        """Device of the tables."""
        return self.encoder.weights.device

    def advance(self, state: Tensor, slates: Tensor, clicks: Tensor) -> Tensor:
        """Beliefs after clicks that succeeded; see :meth:`irecgan_gym.models.user_model.UserModel.advance`."""
        encoder = self.encoder
        joint = state * encoder.weights[clicks] * encoder.successes[clicks] / self._totals(slates)
        reached = joint.sum(dim=1, keepdim=True)
        # Far from all that was logged every probability can round to zero: then the click alone counts.
        return encoder.moved(torch.where(reached > 0, joint, encoder.successes[clicks]), clicks)

    def click_logits(
        self, hidden: Tensor, candidates: Tensor, *, position_bias: bool = False, batch: StepBatch | None = None
    ) -> Tensor:
        """Log-probability that each candidate is clicked; places and features make no difference; [M, K]."""
        shares = hidden / self._totals(candidates)
        return (self.encoder.weights[candidates] @ shares[:, :, None])[:, :, 0].log()

    def reward_scores(self, hidden: Tensor, clicks: Tensor) -> Tensor:
        """Log-odds of a reward of 1 for an item that is shown alone; [M] to [M, 1].

        Beside others it is clicked in some states rather than in others, which :meth:`respond` takes into account.
        """
        return (hidden * self.encoder.successes[clicks]).sum(-1, keepdim=True).clamp(0, 1).logit()

    def catalogue_click_logits(self, hidden: Tensor) -> Tensor:
        """Logarithm of the expected weight of every item, [M, n]."""
        return (hidden @ self.encoder.weights[: self.config.num_items].T).log()

    def catalogue_log_rewards(self, hidden: Tensor) -> Tensor:
        """Logarithm of the probability of a reward of 1 for every item that is shown alone, [M, n]."""
        return (hidden @ self.encoder.successes[: self.config.num_items].T).log()

    def log_likelihood(self, batch: StepBatch) -> LogLikelihood:
        """Exact log-probability of each step's click and reward given all before; see the base class."""
        hidden = self.states_before(batch)
        shares = hidden / self._totals(batch.slates)
        clicked = shares * self.encoder.weights[batch.clicks]
        click = clicked.sum(-1)
        chance = self._reward_chance(clicked, batch.clicks)
        reward = torch.where(batch.rewards > 0, chance, 1 - chance)
        return LogLikelihood(click.log(), reward.log())

    def respond_from(
        self, hidden: Tensor, slates: Tensor, generator: torch.Generator, *, position_bias: bool = False
    ) -> Response:
        """Sample what users with the given beliefs do with the given slates; see the base class."""
        choice = categorical(self.click_logits(hidden, slates), generator)
        clicks = slates.gather(1, choice.unsqueeze(1)).squeeze(1)
        clicked = hidden / self._totals(slates) * self.encoder.weights[clicks]
        rewards = bernoulli(self._reward_chance(clicked, clicks), generator).float()
        return Response(clicks, rewards, rewards == 0)

    def _totals(self, slates: Tensor) -> Tensor:
        """Sums of weights over slates [B, k] in each state, [B, m]."""
        return self.encoder.weights[slates].sum(dim=1)

    def _reward_chance(self, clicked: Tensor, clicks: Tensor) -> Tensor:
        """Probability of a reward given the click, where ``clicked`` are its probabilities with the states', [B, m]."""
        return ((clicked * self.encoder.successes[clicks]).sum(-1) / clicked.sum(-1)).clamp(0, 1)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        encoder, items = self.encoder, self.config.num_items
        tables = {
            "start": encoder.start_belief,
            "weights": encoder.weights[:items].T,
            "successes": encoder.successes[:items].T,
            "source": encoder.source,
            "target": encoder.target,
        }
        tensors = {name: table.cpu().contiguous() for name, table in tables.items()}
        save_weights(path, _KIND, asdict(self.config), tensors | catalogue_tensors(self.catalogue))

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "auto") -> BeliefUserModel:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        stored, tensors = load_weights(path, _KIND)
        with described_by(path):
            config = from_json(UserModelConfig, stored)
            tensors, catalogue = split_catalogue(tensors, config.num_items)
        check_dimensions(path, tensors, _AXES)
        states, items = len(tensors["start"]), config.num_items
        shapes = {"start": (states,), "source": (states, states), "target": (items, states)}
        shapes |= {"weights": (states, items), "successes": (states, items)}
        with described_by(path):
            check_tensors(path, tensors, outline(shapes))
            tables = {name: tensor.numpy() for name, tensor in tensors.items()}
            moves = Moves.of(tables["source"], tables["target"])
            world = LearnedWorld(tables["start"], tables["weights"], tables["successes"], moves).checked()
        return cls(world, config.slate_size, catalogue).to(resolve_device(device))
