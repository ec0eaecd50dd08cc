"""The user behaviour model U: what a user clicks and what it earns (Eq 1-3 of the paper)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irecgan_gym.kernels.sampling import categorical
from irecgan_gym.models.batches import StepBatch
from irecgan_gym.models.building import build, resolve_device
from irecgan_gym.models.encoder import EncoderConfig, RecurrentEncoder
from irecgan_gym.models.features import EntryTerm, specs_of
from irecgan_gym.models.heads import PositionTerm, QueryHead, candidate_scores
from irecgan_gym.models.reward_laws import RewardKind, reward_law
from irecgan_gym.models.stored_catalogue import catalogue_tensors, split_catalogue
from irecgan_gym.sessions import Catalogue
from irecgan_gym.settings import Count, check_settings
from irecgan_gym.storage.files import from_json
from irecgan_gym.storage.weights import described_by, load_state, load_weights, save_weights

_LEAST_REWARD = 1e-6
"""Smaller expected rewards are taken for this one, where a logarithm is wanted."""


@dataclass(frozen=True)
class UserModelConfig:
    """Shape of a user model.

    Attributes:
        num_items: size of the catalogue, n.
        slate_size: items that an environment made of this model shows at a time, k.
        ending: how sessions end. ``"reward"``: a sampled reward of 0 ends the session (the simulator's users).
            ``"leave"``: the user may choose "no click" beside the slate's items, c_end of §5 (real logs).
        encoder: shape of the recurrent state.
        position_term: whether click logits have a term for the place of an item in the slate
            (:class:`~irecgan_gym.models.heads.PositionTerm`). It takes part in the likelihood of logs, and in
            simulated choices only when it is asked for: a policy that learns from the model chooses the places.
        rewards: how simulated rewards come from their probability (Eq 2): ``"drawn"``, or ``"thresholded"``: 1 where it
            is above 1/2, as in the authors' code.
        reward_kind: what rewards are taken for: ``"bernoulli"`` (0 or 1), ``"gaussian"`` (any number: prices, dwell
            times), ``"poisson"`` (counts) or ``"binned"`` (one of ``reward_bins``: ratings).
        reward_bins: the values of binned rewards, ascending.
        outside_option: whether users may also click nothing and go on to the next list, an alternative beside the
            slate's items apart from leaving. The paper's users always click (its assumption 1).
    """

    num_items: Count
    slate_size: int
    ending: Literal["reward", "leave"] = "reward"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    position_term: bool = False
    rewards: Literal["drawn", "thresholded"] = "drawn"
    reward_kind: RewardKind = "bernoulli"
    reward_bins: tuple[float, ...] = ()
    outside_option: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        check_reward_kind(self.reward_kind, self.reward_bins, self.ending, self.rewards)
        if not 1 <= self.slate_size <= self.num_items:
            raise ValueError(f"slate_size must be from 1 to num_items={self.num_items}, got {self.slate_size}")


def check_reward_kind(kind: RewardKind, bins: tuple[float, ...], ending: str, rewards: str) -> None:
    """Refuse settings of rewards that contradict each other.

    Raises:
        ValueError: bins without binned rewards or the other way round, or rewards other than 0 and 1 that would end
            sessions or be thresholded.
    """
    if (kind == "binned") != bool(bins) or list(bins) != sorted(set(bins)) or len(bins) == 1:
        raise ValueError(f"reward_bins are at least two ascending values of reward_kind='binned', got {bins}, {kind!r}")
    if kind != "bernoulli" and (ending == "reward" or rewards == "thresholded"):
        raise ValueError(
            f"rewards of kind {kind!r} neither end sessions nor are thresholded: "
            f"use ending='leave' and drawn rewards, got {ending!r} and {rewards!r}"
        )


class Response(NamedTuple):
    """Answers of users to their slates.

    Attributes:
        clicks: ids 0..num_items, ``num_items`` where the user left or clicked nothing; int64 [B].
        rewards: 0.0 or 1.0, or numbers of another ``reward_kind``; float32 [B].
        ended: whether the session is over; bool [B].
    """

    clicks: Tensor
    rewards: Tensor
    ended: Tensor


class LogLikelihood(NamedTuple):
    """Log-probabilities of logged behaviour, one a step.

    Attributes:
        click: log p(c_t | s_t, a_t), Eq 1; [M].
        reward: log p(r_t | s_t, c_t), Eq 2; 0 where nothing was clicked; [M].
    """

    click: Tensor
    reward: Tensor


class UserModel(nn.Module):
    """Recurrent user behaviour model with a click head (Eq 1) and a reward head (Eq 2).

    The reward mapping f_r is a sigmoid, so rewards are 0 or 1, unless the settings name another law. "No click" is the
    last row of the embedding table, both as the start of every history and, with ``ending="leave"``, as the alternative
    beside a slate's items.

    Attributes:
        catalogue: the items that it knows, with their names where the sessions that it was fitted to have some.
    """

    def __init__(self, config: UserModelConfig) -> None:
        super().__init__()
        self.config = config
        self.catalogue = Catalogue(config.num_items)
        self.encoder = RecurrentEncoder(config.num_items, config.encoder)
        self.click_head = QueryHead(self.encoder)  # W^c, b^c
        # What is recalled raises the chance of a click alone.
        self.reward_law = reward_law(config.reward_kind, config.reward_bins)
        width = config.encoder.embedding_size * self.reward_law.num_scores
        self.reward_head = nn.Linear(config.encoder.hidden_size, width)  # W^r, b^r
        self.positions = PositionTerm(config.slate_size) if config.position_term else None
        of_entries = specs_of(config.encoder.features, "entries")
        self.entries = EntryTerm(config.num_items, of_entries) if of_entries else None
        self.outside_head = nn.Linear(config.encoder.hidden_size, 1) if config.outside_option else None

    @classmethod
    def create(cls, config: UserModelConfig, *, seed: int, device: str | torch.device = "auto") -> UserModel:
        """A new model with parameters drawn from ``seed``."""
        return build(lambda: cls(config), torch.Generator().manual_seed(seed), resolve_device(device))

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.click_head.weight.device

    def click_logits(
        self, hidden: Tensor, candidates: Tensor, *, position_bias: bool = False, batch: StepBatch | None = None
    ) -> Tensor:
        """V^c of Eq 1 for each candidate.

        Args:
            hidden: outputs of the encoder, [M, H].
            candidates: item ids in the order shown, [M, K]; ``num_items`` for "no click".
            position_bias: whether the place of an item counts, in a model that has a position term.
            batch: logged steps whose slates the candidates are: features of their entries count. Without, an item
                counts as it was shown on average.

        Returns:
            [M, K].
        """
        logits = candidate_scores(self.click_head(hidden), self.encoder.table, candidates)
        if self.entries is not None:
            logits = logits + self.entries.of_candidates(candidates, batch)
        if self.positions is None or not position_bias:
            return logits
        term: Tensor = self.positions(candidates.shape[1])
        return logits + term * (candidates < self.config.num_items)

    def reward_scores(self, hidden: Tensor, clicks: Tensor) -> Tensor:
        """Scores of the clicked item by which the law of rewards goes; ``clicks`` [M] to [M, R].

        Where rewards are 0 or 1, there is one, the log-odds of a reward of 1 (Eq 2).
        """
        vectors = self.encoder.embedded(clicks)
        products: Tensor = self._reward_queries(hidden) * vectors[:, None]
        return products.sum(-1) / math.sqrt(vectors.shape[-1])

    def catalogue_click_logits(self, hidden: Tensor) -> Tensor:
        """V^c of Eq 1 for every item of the catalogue; ``hidden`` [M, H] to [M, n]."""
        scores = self._catalogue_scores(self.click_head(hidden))
        return scores if self.entries is None else scores + self.entries.usual[:-1]

    def catalogue_log_rewards(self, hidden: Tensor) -> Tensor:
        """Logarithm of the expected reward of every item, were it clicked; ``hidden`` [M, H] to [M, n].

        Of rewards that may be negative, items of which none is expected are all alike, far below the others.
        """
        scores = torch.stack([self._catalogue_scores(query) for query in self._reward_queries(hidden).unbind(1)], -1)
        if self.config.reward_kind == "bernoulli":
            return scores.squeeze(-1).sigmoid().log()
        return self.reward_law.mean(scores).clamp(min=_LEAST_REWARD).log()

    def _reward_queries(self, hidden: Tensor) -> Tensor:
        """Queries for rewards, one for each score; [M, H] to [M, R, E]."""
        queries: Tensor = self.reward_head(hidden[:, : self.reward_head.in_features])
        # Not by len(), which would fix the number of sessions where the graph is exported.
        return queries.reshape(-1, self.reward_law.num_scores, queries.shape[1] // self.reward_law.num_scores)

    def _catalogue_scores(self, queries: Tensor) -> Tensor:
        items = self.encoder.table[: self.config.num_items]
        return queries @ items.T / math.sqrt(queries.shape[-1])

    def log_likelihood(self, batch: StepBatch) -> LogLikelihood:
        """The two terms of Eq 3 for every step of a batch (differentiable).

        The batch must offer "no click" if and only if sessions end by leaving (see :attr:`leave_option`).
        """
        hidden = self.encoder(batch)
        logits = self.click_logits(hidden, batch.slates, position_bias=True, batch=batch)
        logits = logits.masked_fill(~batch.slate_mask, -torch.inf)
        clicked = logit_of_click(logits, batch)
        if self.outside_head is not None:
            none = self.outside_head(hidden[:, : self.outside_head.in_features])
            logits = torch.cat([logits, none.to(logits.dtype)], dim=1)
            if batch.skipped is not None:
                clicked = torch.where(batch.skipped, logits[:, -1], clicked)
        click = clicked - logits.logsumexp(-1)
        reward = self.reward_law.log_likelihood(self.reward_scores(hidden, batch.clicks), batch.rewards)
        return LogLikelihood(click, torch.where(batch.clicks < self.config.num_items, reward, 0.0))

    @property
    def leave_option(self) -> bool:
        """True if a user may choose "no click" beside the items of the slate."""
        return self.config.ending == "leave"

    def candidates(self, slates: Tensor) -> Tensor:
        """The user's alternatives: the slate, and "no click" where users may leave; [B, k] to [B, k or k + 1]."""
        if not self.leave_option:
            return slates
        return F.pad(slates, (0, 1), value=self.config.num_items)

    def click_probabilities(self, state: Tensor, slates: Tensor) -> Tensor:
        """p(c | s, a) of Eq 1 over :meth:`candidates`, whatever their places; ``state`` [B, S], ``slates`` [B, k].

        With an outside option, the rest is the probability of no click that does not end the session.
        """
        candidates = self.candidates(slates)
        return self._choice_logits(self.encoder.output(state), candidates).softmax(-1)[:, : candidates.shape[1]]

    def _choice_logits(self, hidden: Tensor, candidates: Tensor, *, position_bias: bool = False) -> Tensor:
        """Logits of the candidates and, behind them, of the outside option where there is one; [B, K] or [B, K + 1]."""
        logits = self.click_logits(hidden, candidates, position_bias=position_bias)
        if self.outside_head is None:
            return logits
        none = self.outside_head(hidden[:, : self.outside_head.in_features])
        return torch.cat([logits, none.to(logits.dtype)], dim=1)

    def expected_rewards(self, state: Tensor, clicks: Tensor) -> Tensor:
        """Expected rewards, p(r = 1 | s, c) of Eq 2 where they are 0 or 1; ``state`` [B, S], ``clicks`` [B]."""
        return self.reward_law.mean(self.reward_scores(self.encoder.output(state), clicks))

    def reward_probabilities(self, state: Tensor, clicks: Tensor) -> Tensor:
        """p(r = 1 | s, c) of Eq 2; ``state`` [B, S], ``clicks`` [B].

        Raises:
            ValueError: rewards of this model are not 0 or 1.
        """
        if self.config.reward_kind != "bernoulli":
            raise ValueError(f"rewards of kind {self.config.reward_kind!r} have no probability: see expected_rewards")
        return self.expected_rewards(state, clicks)

    def advance(self, state: Tensor, slates: Tensor, clicks: Tensor) -> Tensor:
        """States after one more step, of which recurrent models know the click alone.

        Args:
            state: before the step, [B, S].
            slates: what was shown, [B, k]; places without an item hold ``num_items``.
            clicks: ids 0..num_items, [B]. Users whose session goes on were rewarded where a reward of 0 ends it.
        """
        return self.encoder.step(clicks, state)

    def states_before(self, batch: StepBatch) -> Tensor:
        """States before every step of some sessions, [M, S]."""
        state = self.encoder.start(batch.num_sessions)
        states, before, first = [state], 0, batch.num_sessions
        for size in batch.batch_sizes.tolist()[1:]:
            shown, clicks = batch.slates[before : before + size], batch.previous_clicks[first : first + size]
            state = self.advance(state[:size], shown, clicks)
            states.append(state)
            before, first = first, first + size
        return torch.cat(states)

    @torch.no_grad()
    def respond(
        self, state: Tensor, slates: Tensor, generator: torch.Generator, *, position_bias: bool = False
    ) -> Response:
        """Sample what users in the given states do with the given slates (Eq 1, then Eq 2).

        Args:
            state: [B, S], after everything before this step.
            slates: item ids [B, k], different items in a row.
            generator: on the model's device.
            position_bias: see :meth:`click_logits`.
        """
        return self.respond_from(self.encoder.output(state), slates, generator, position_bias=position_bias)

    @torch.no_grad()
    def respond_from(
        self, hidden: Tensor, slates: Tensor, generator: torch.Generator, *, position_bias: bool = False
    ) -> Response:
        """The same from the encoder's outputs, [B, H]."""
        candidates = self.candidates(slates)
        choice = categorical(self._choice_logits(hidden, candidates, position_bias=position_bias), generator)
        nothing = None if self.outside_head is None else choice == candidates.shape[1]
        if nothing is not None:
            candidates = F.pad(candidates, (0, 1), value=self.config.num_items)
        clicks = candidates.gather(1, choice.unsqueeze(1)).squeeze(1)
        scores = self.reward_scores(hidden, clicks)
        if self.config.rewards == "drawn":
            rewards = self.reward_law.sample(scores, generator)
        else:
            probabilities = self.reward_law.mean(scores)
            rewards = (probabilities > 0.5).to(probabilities.dtype)
        if self.leave_option:
            ended = clicks == self.config.num_items
            rewards = rewards.masked_fill(ended, 0.0)
        else:
            ended = rewards == 0
        if nothing is not None:
            rewards, ended = rewards.masked_fill(nothing, 0.0), ended & ~nothing
        return Response(clicks, rewards, ended)

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        save_weights(path, "user_model", asdict(self.config), self.state_dict() | catalogue_tensors(self.catalogue))

    @classmethod
    @torch.inference_mode(False)
    def load(cls, path: str | Path, *, device: str | torch.device = "auto") -> UserModel:
        """Read what :meth:`save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: a file that holds something else, or was damaged.
        """
        config, tensors = load_weights(path, "user_model")
        with described_by(path), torch.device("meta"):
            model = cls(from_json(UserModelConfig, config)).float()
        with described_by(path):
            tensors, model.catalogue = split_catalogue(tensors, model.config.num_items)
        load_state(path, tensors, model)
        return model.to(resolve_device(device))


def logit_of_click(logits: Tensor, batch: StepBatch) -> Tensor:
    """The logit of the clicked alternative at each step; ``logits`` [M, K] over the batch's slates to [M]."""
    position = (batch.slates == batch.clicks.unsqueeze(1)).logical_and(batch.slate_mask).int().argmax(1, keepdim=True)
    return logits.gather(1, position).squeeze(1)
