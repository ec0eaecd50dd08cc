"""Planning on a recurrent user model: values of its states fitted on roll-outs, and the best slate for each state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.slate_policy import CataloguePolicy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.planning.ratio_slates import best_ratio_slates, slate_ratios

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# States after clicks that are looked at together: bounds the memory taken, to some 100 MiB.
_STATES_AT_ONCE = 2**16
# Sweeps of value iteration end where no value changes by more.
_TOLERANCE = 1e-3
_HALVINGS = 12
_HIGHEST = 2.0
_LOWEST = 1e-4


class StateEncoder(nn.Module):
    """The encoder of a user model to whose readers the whole recurrent state is shown, not the top layer's output.

    Args:
        user_model: its parameters are shared.
    """

    def __init__(self, user_model: UserModel) -> None:
        super().__init__()
        # In a tuple, for a module would be a child, and its parameters would be counted twice.
        self._model = (user_model,)

    @property
    def embedding(self) -> nn.Embedding:
        """Embeddings of the items."""
        return self._model[0].encoder.embedding

    def forward(self, batch: StepBatch) -> Tensor:
        """States before every step of some sessions, [M, S]."""
        return self._model[0].states_before(batch)

    def initial_state(self, num_sessions: int) -> Tensor:
        """See :class:`~irecgan_gym.models.encoder.RecurrentEncoder`."""
        return self._model[0].encoder.initial_state(num_sessions)

    def start(self, num_sessions: int) -> Tensor:
        """See :class:`~irecgan_gym.models.encoder.RecurrentEncoder`."""
        return self._model[0].encoder.start(num_sessions)

    def step(self, clicks: Tensor, state: Tensor) -> Tensor:
        """See :class:`~irecgan_gym.models.encoder.RecurrentEncoder`."""
        return self._model[0].encoder.step(clicks, state)

    def output(self, state: Tensor) -> Tensor:
        """Return the state itself."""
        return state


class StateValue(nn.Module):
    """V(h): a linear function of a recurrent state and of random rectified features of it, fitted by ridge regression.

    Values stay within the range of those that it was fitted to: far from them, nothing is promised.

    Args:
        state_size: S.
        num_features: random features; 0 for a linear function.
        generator: of the features.
    """

    directions: Tensor
    offsets: Tensor
    center: Tensor
    scale: Tensor
    weights: Tensor
    bounds: Tensor

    def __init__(self, state_size: int, num_features: int, generator: torch.Generator) -> None:
        super().__init__()
        directions = torch.randn(num_features, state_size, generator=generator)
        self.register_buffer("directions", directions / math.sqrt(state_size))
        self.register_buffer("offsets", torch.rand(num_features, generator=generator) * 2 - 1)
        self.register_buffer("center", torch.zeros(state_size))
        self.register_buffer("scale", torch.ones(state_size))
        self.register_buffer("weights", torch.zeros(1 + state_size + num_features))
        self.register_buffer("bounds", torch.zeros(2))

    def look_at(self, states: Tensor) -> None:
        """Set the scale of the features by some states, [N, S]; values are 0 until they are fitted."""
        self.center.copy_(states.mean(0))
        self.scale.copy_(states.std(0).clamp(min=1e-3))
        self.weights.zero_()
        self.bounds.zero_()

    def features(self, states: Tensor) -> Tensor:
        """Return what the value is linear in; [N, S] to [N, F]."""
        scaled = (states.float() - self.center) / self.scale
        bent = torch.addmm(self.offsets, scaled, self.directions.T).relu_()
        return torch.cat([scaled.new_ones(len(scaled), 1), scaled, bent], dim=1)

    def fit(self, features: Tensor, values: Tensor, ridge: float) -> None:
        """Fit to values [N] of states by their features [N, F].

        Args:
            features: see :meth:`features`.
            values: of the same states.
            ridge: weight of the squared coefficients, but for the constant, against the mean squared error.
        """
        rows = features.double()
        # A hair for what does not vary at all.
        penalty = torch.full((rows.shape[1],), (ridge + 1e-9) * len(rows), dtype=torch.float64, device=rows.device)
        penalty[0] = 1e-9
        weights = torch.linalg.solve(rows.T @ rows + torch.diag(penalty), rows.T @ values.double())
        self.weights.copy_(weights)
        self.bounds.copy_(torch.stack([values.min(), values.max()]))

    def of_features(self, features: Tensor) -> Tensor:
        """Values by features; [N, F] to [N]."""
        return (features @ self.weights).clamp(self.bounds[0], self.bounds[1])

    def forward(self, states: Tensor) -> Tensor:
        """Values of states; [N, S] to [N]."""
        return self.of_features(self.features(states))


@dataclass(frozen=True, eq=False)
class Prospects:
    """Behavior of users in M states on slates, and states to which clicks on C candidates lead.

    Attributes:
        weights: what clicks are proportional to, [M, n].
        rewards: expected reward of a click, [M, n].
        leaving: weight of leaving in place of a click, [M]; None where sessions end by a reward of 0.
        candidates: items, [M, C].
        after: states after clicks on them, [M C, S].
    """

    weights: FloatArray
    rewards: FloatArray
    leaving: FloatArray | None
    candidates: IntArray
    after: Tensor

    def click_values(self, after: FloatArray) -> FloatArray:
        """Return the value of a click on each item, [M, n], by the values of the states after candidates, [M C].

        Items that are no candidates are valued as if they led where candidates lead on average.
        """
        known = after.reshape(self.candidates.shape)
        later = np.repeat(known.mean(axis=1, keepdims=True), self.weights.shape[1], axis=1)
        np.put_along_axis(later, self.candidates, known, axis=1)
        if self.leaving is None:
            return self.rewards * (1 + later)
        return self.rewards + later

    def slates(self, values: FloatArray, slate_size: int) -> tuple[IntArray, FloatArray]:
        """Return the best slates by values of clicks [M, n], and what they are worth; [M, k] and [M]."""
        slates = best_ratio_slates(self.weights, values, slate_size, self.leaving)
        return slates, slate_ratios(self.weights, values, slates, self.leaving)

    def gains(self, values: FloatArray, slate_size: int) -> FloatArray:
        """Return what each item adds to the best slate, to first order, [M, n]: the largest are the best slate."""
        slates, ratios = self.slates(values, slate_size)
        total = np.take_along_axis(self.weights, slates, axis=1).sum(axis=1)
        if self.leaving is not None:
            total = total + self.leaving
        return np.asarray(self.weights * (values - ratios[:, None]) / total[:, None])

    def worth(self, values: FloatArray, slates: IntArray) -> FloatArray:
        """Return what slates [M, k] are worth by values of clicks [M, n]; [M]."""
        return slate_ratios(self.weights, values, slates, self.leaving)


class PlannedPolicy(CataloguePolicy):
    """Shows the slate of the largest expected reward of the session, by a user model and the values of its states.

    In a state h the click on an item of slate S has the probability w_j / sum_S w_j (Eq 1), and is worth q_j = r_j (1 +
    V(h'_j)), where r_j is Eq 2 and h'_j the state after it; or r_j + V(h'_j) of users who leave in place of a click.
    The best slate is a fractional programme (:mod:`irecgan_gym.planning.ratio_slates`): the items of the largest
    w_j (q_j - lambda), where lambda is what the best slate earns. These are the logits, over a temperature.

    Args:
        user_model: its parameters are shared, not copied.
        value: V.
        slate_size: k.
        foresight: factor of V.
        num_candidates: items of which h' is looked at, those that are best for the next click alone.

    Raises:
        ValueError: users who may click nothing and go on.
    """

    temperature: Tensor

    def __init__(
        self, user_model: UserModel, value: StateValue, slate_size: int, foresight: float, num_candidates: int
    ) -> None:
        super().__init__(user_model.config.num_items, slate_size)
        if user_model.config.outside_option:
            raise ValueError("plans are for users who click or leave: outside_option must be False")
        self.user_model = user_model
        self.value = value
        self.foresight = foresight
        self.num_candidates = min(max(num_candidates, slate_size), self.num_items)
        self.encoder = StateEncoder(user_model)  # type: ignore[assignment]
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    def logits(self, hidden: Tensor) -> Tensor:
        """See :meth:`CataloguePolicy.logits`; of recurrent states, [M, S] to [M, n]."""
        # Sessions with the same clicks so far have the same state.
        different, places = torch.unique(hidden, dim=0, return_inverse=True)
        gains = [found.gains(values, self.slate_size) for found, values in self.plans(different)]
        logits = torch.from_numpy(np.concatenate([np.zeros((0, self.num_items)), *gains])).to(hidden.device)
        return logits[places] / self.temperature

    def plans(self, states: Tensor) -> Iterator[tuple[Prospects, FloatArray]]:
        """Yield prospects of states [M, S] and values of clicks, some states at a time."""
        for part in torch.split(states, max(1, _STATES_AT_ONCE // self.num_candidates)):
            found = self.prospects(part)
            yield found, found.click_values(self._later(found.after))

    @torch.no_grad()
    def prospects(self, states: Tensor) -> Prospects:
        """Look at what users in some states [M, S] do, and at the states after clicks on the candidates."""
        model = self.user_model
        hidden = model.encoder.output(states)
        clicks = model.catalogue_click_logits(hidden).double()
        highest = clicks.amax(1, keepdim=True)
        leaving = None
        if model.leave_option:
            alone = torch.full((len(states), 1), self.num_items, device=states.device)
            leaving = (model.click_logits(hidden, alone).double() - highest).exp()[:, 0].cpu().numpy()
        weights = (clicks - highest).exp().cpu().numpy()
        rewards = model.catalogue_log_rewards(hidden).double().exp().cpu().numpy()
        candidates = self._candidates(weights, rewards, leaving)
        items = torch.from_numpy(candidates).to(states.device).reshape(-1)
        after = model.encoder.step(items, states.repeat_interleave(candidates.shape[1], 0))
        return Prospects(weights, rewards, leaving, candidates, after)

    def _candidates(self, weights: FloatArray, rewards: FloatArray, leaving: FloatArray | None) -> IntArray:
        if self.num_candidates == self.num_items:
            return np.tile(np.arange(self.num_items), (len(weights), 1))
        slates = best_ratio_slates(weights, rewards, self.slate_size, leaving)
        gains = weights * (rewards - slate_ratios(weights, rewards, slates, leaving)[:, None])
        return np.argpartition(-gains, self.num_candidates - 1, axis=1)[:, : self.num_candidates]

    @torch.no_grad()
    def _later(self, after: Tensor) -> FloatArray:
        if not self.foresight:
            return np.zeros(len(after))
        later: FloatArray = self.foresight * self.value(after).cpu().numpy()
        return later


@torch.no_grad()
def iterate_values(policy: PlannedPolicy, states: Tensor, *, sweeps: int, ridge: float) -> float:
    """Fit the values of a policy's states by fitted value iteration; expectations over clicks are exact.

    Args:
        policy: its value function is fitted in place.
        states: at which values are fitted, [N, S].
        sweeps: of value iteration at most.
        ridge: see :meth:`StateValue.fit`.

    Returns:
        Mean value of the states.
    """
    value = policy.value
    value.look_at(states)
    parts = list(torch.split(states, max(1, _STATES_AT_ONCE // policy.num_candidates)))
    prospects = [policy.prospects(part) for part in parts]
    # Features are worked out once; a sweep is then two products and the choice of slates.
    own, after = value.features(states), [value.features(found.after) for found in prospects]
    before = np.zeros(len(states))
    for _ in range(sweeps):
        reached = []
        for found, features in zip(prospects, after, strict=True):
            later: FloatArray = policy.foresight * value.of_features(features).cpu().numpy()
            reached.append(found.slates(found.click_values(later), policy.slate_size)[1])
        now = np.concatenate(reached)
        value.fit(own, torch.from_numpy(now).to(own.device), ridge)
        if np.abs(now - before).max() < _TOLERANCE:
            break
        before = now
    return float(now.mean())


@torch.no_grad()
def rolled_out_states(
    policy: PlannedPolicy, number: int, steps: int, generator: torch.Generator, *, random_share: float
) -> Tensor:
    """States that users of the model come by, [N, S].

    Args:
        policy: whose best slates are shown.
        number: of sessions.
        steps: after which sessions are cut.
        generator: of users and slates, on the model's device.
        random_share: of the steps at which a random slate is shown, so that other states come by, too.
    """
    model, size = policy.user_model, policy.slate_size
    state = model.encoder.start_in_contexts(number, generator)
    seen = [state]
    for _ in range(steps):
        chosen = policy.top(state)
        noise = torch.rand(len(state), policy.num_items, generator=generator, device=state.device)
        at_random = torch.rand(len(state), 1, generator=generator, device=state.device) < random_share
        slates = torch.where(at_random, noise.topk(size, dim=1).indices, chosen)
        answer = model.respond(state, slates, generator)
        goes_on = ~answer.ended
        if not goes_on.any():
            break
        state = model.advance(state[goes_on], slates[goes_on], answer.clicks[goes_on])
        seen.append(state)
    return torch.cat(seen)


@torch.no_grad()
def set_temperature(policy: PlannedPolicy, states: Tensor, loss: float, generator: torch.Generator) -> None:
    """Set the highest temperature at which sampled slates lose no more than a share of what the best ones earn.

    Args:
        policy: whose temperature is set.
        states: of users as they come by, [N, S].
        loss: the share; see :func:`irecgan_gym.planning.slate_sampling.choose_temperature`.
        generator: of the slates drawn, on the model's device.
    """
    plans = list(policy.plans(states))
    gains = torch.from_numpy(np.concatenate([found.gains(values, policy.slate_size) for found, values in plans]))
    best = np.concatenate([found.slates(values, policy.slate_size)[1] for found, values in plans])
    allowed = loss * float(np.mean(best / (1 + best)))
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    noise = torch.rand(gains.shape, generator=generator, device=states.device).cpu().double()
    gumbel = -(-noise.clamp(1e-12, 1 - 1e-12).log()).log()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        drawn = (gains / math.exp(middle) + gumbel).topk(policy.slate_size, dim=1).indices.numpy()
        parts = np.split(drawn, np.cumsum([len(values) for _, values in plans])[:-1])
        earned = np.concatenate([found.worth(values, part) for (found, values), part in zip(plans, parts, strict=True)])
        low, high = (middle, high) if float(np.mean(best - earned)) <= allowed else (low, middle)
    policy.temperature.fill_(math.exp(low))
