"""Generation: sessions of the policy with the user model, their adversarial scores, and both kinds in one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irecgan_gym.agents.policy_gradient import PGConfig
from irecgan_gym.agents.returns import Returns, ReturnsData, ReturnSettings, offline_returns, offline_rewards
from irecgan_gym.agents.streamed_returns import StreamedReturns
from irecgan_gym.collection import play
from irecgan_gym.envs.user_model_device import UsersOnDevice
from irecgan_gym.kernels.low_precision import LowPrecision, Precision
from irecgan_gym.models.health import TrainingWarning
from irecgan_gym.models.predictor_policy import PolicyPredictor
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.streams import StreamedLog
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions, concatenate
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog, drawn_sessions, parts_of
from irecgan_gym.sessions.state import sessions_of_state, state_of_sessions
from irecgan_gym.settings import check_settings
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward

_REWARD, _RETURN = "\0reward", "\0return"
"""Steps bring them along as features, of names that no log has."""
_COLLAPSED = 1.1
"""Different items clicked, in effect, below which generated sessions are all alike."""
_VARIED = 3.0
"""Different items that must be clicked in the log for that to be a collapse."""


def both_kinds(offline: Sessions, generated: Sessions) -> Sessions:
    """Join offline and generated sessions, with the columns that both kinds have.

    Where the offline sessions hold events other than clicks, generated ones hold none.
    """
    bare = in_both(offline)
    return concatenate([bare(offline), bare(generated)])


def in_both(offline: SessionLog) -> Callable[[Sessions], Sessions]:
    """Return what cuts sessions down to the columns that both kinds have."""
    first = offline.first_part() if isinstance(offline, SessionDataset) else offline
    return partial(_bare, events=first.event_offsets is not None)


def _bare(sessions: Sessions, events: bool) -> Sessions:
    bare = replace(sessions, propensities=None, states=None, users=None, item_names=None, provenance={})
    if not events:
        return replace(bare, event_offsets=None, event_items=None)
    if bare.event_offsets is not None:
        return bare
    return replace(
        bare,
        event_offsets=np.zeros(bare.num_steps + 1, dtype=np.int64),
        event_items=np.zeros(0, dtype=np.int32),
    )


@dataclass(frozen=True)
class RescalingSettings:
    """Settings of how generated sessions and their scores q_D enter the returns of Eq 10 and the weights of Eq 7.

    Attributes:
        score_at: ``"reward"`` scales the reward of a later step t' by its own score q_D(tau_0:t'), as in the sums that
            Eq 9 and 10 stand for and in the authors' code; ``"click"`` scales all of them by the score q_D(tau_0:t) of
            the step whose click is learned from, as Eq 8 to 10 are printed.
        score_scale: ``"mean"`` divides scores by their mean over the generated sessions of a round, so that these weigh
            as much as logged sessions, whose score is 1, and are told apart by quality; ``"none"`` leaves them as the
            equations have them. A discriminator that tells its sessions well gives them scores of 0.05 to 0.25, and
            unscaled they vanish beside the logged ones.
        return_baseline: whether the mean return of a round's generated steps is subtracted from their returns, so that
            the policy moves away from what is worse than usual.
    """

    score_at: Literal["reward", "click"] = "reward"
    score_scale: Literal["mean", "none"] = "mean"
    return_baseline: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


class Generated(NamedTuple):
    """Sessions that join the offline ones in an r-step, with their scores and rewards.

    Attributes:
        sessions: slates, clicks and the user model's own rewards.
        rewards: the agent's rewards with q_D = 1, 1 + lambda_r r, float32 [T].
        scores: q_D(tau_0:t), float32 [T]; 1 without a discriminator.
    """

    sessions: Sessions
    rewards: NDArray[np.float32]
    scores: NDArray[np.float32]

    def metrics(self) -> dict[str, float]:
        """Return means over the sessions, by name."""
        number = len(self.sessions)
        return {
            "adversarial/click_variety": click_variety(self.sessions),
            "adversarial/generated_length": self.sessions.num_steps / number,
            "adversarial/generated_reward": float(self.sessions.rewards.sum()) / number,
            "adversarial/rescaled_reward": float((self.rewards * self.scores).sum()) / number,
        }

    def scaled(self, settings: RescalingSettings) -> Generated:
        """Return the same with scores divided by their mean, where the settings say so."""
        mean = self.scores.mean()
        return self if settings.score_scale == "none" or mean <= 0 else self._replace(scores=self.scores / mean)

    def returns(self, gamma: float, settings: RescalingSettings) -> NDArray[np.float32]:
        """Return R_t^a of every step (Eq 10), float32 [T].

        Args:
            gamma: discount factor.
            settings: see :class:`RescalingSettings`; the scores are taken as they are.
        """
        if settings.score_at == "reward":
            returns = self.sessions.returns_to_go(self.rewards * self.scores, gamma)
        else:
            returns = self.scores * self.sessions.returns_to_go(self.rewards, gamma)
        if settings.return_baseline:
            clicked = self.sessions.clicks < self.sessions.num_items
            returns = np.where(clicked, returns - returns[clicked].mean(), returns)
        return returns.astype(np.float32)


def click_variety(sessions: SessionLog) -> float:
    """Return how many different items are clicked in effect: e to the entropy of the clicks; 0 without clicks."""
    counts = sum(np.bincount(part.clicks, minlength=part.num_items + 1)[:-1] for part in parts_of(sessions))
    clicked = np.asarray(counts)[np.asarray(counts) > 0]
    if not len(clicked):
        return 0.0
    shares = clicked / clicked.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def warn_of_collapse(generated: Sessions, offline: SessionLog) -> None:
    """Warn where the clicks of generated sessions have collapsed to one item, and those of the log have not."""
    simulated = click_variety(generated)
    if simulated >= _COLLAPSED:
        return
    logged = click_variety(offline)
    if logged >= _VARIED:
        warnings.warn(
            f"simulated users click {simulated:.2f} different items in effect, logged ones {logged:.1f}: the user "
            "model, or the policy that shows it its slates, has collapsed",
            TrainingWarning,
            stacklevel=3,
        )


class GeneratedPool:
    """Generated sessions of this round and of rounds before: B^s, where it is not emptied (line 9 of Algorithm 1).

    Args:
        size: sessions of earlier rounds to keep; 0 empties B^s every time, as in the paper.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: Generated | None = None

    def with_earlier(self, generated: Generated) -> Generated:
        """Return fresh sessions and those kept before them, and keep the newest of all."""
        joined = generated
        if self._kept is not None:
            joined = Generated(
                concatenate([generated.sessions, self._kept.sessions]),
                np.concatenate([generated.rewards, self._kept.rewards]),
                np.concatenate([generated.scores, self._kept.scores]),
            )
        kept = min(self._size, len(joined.sessions))
        if kept:
            steps = int(joined.sessions.offsets[kept])
            self._kept = Generated(
                joined.sessions.select(slice(0, kept)), joined.rewards[:steps], joined.scores[:steps]
            )
        return joined

    def state_dict(self) -> dict[str, Any]:
        """Return the sessions that are kept, with their scores and rewards."""
        kept = self._kept
        if kept is None:
            return {}
        return {"sessions": state_of_sessions(kept.sessions), "rewards": kept.rewards, "scores": kept.scores}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Take what :meth:`state_dict` has returned."""
        self._kept = None
        if state:
            self._kept = Generated(sessions_of_state(state["sessions"]), state["rewards"], state["scores"])


@overload
def returns_of_both(
    offline: Sessions, generated: Generated, config: PGConfig, rescaling: RescalingSettings, device: torch.device
) -> ReturnsData: ...


@overload
def returns_of_both(
    offline: SessionLog, generated: Generated, config: PGConfig, rescaling: RescalingSettings, device: torch.device
) -> Returns: ...


def returns_of_both(
    offline: SessionLog, generated: Generated, config: PGConfig, rescaling: RescalingSettings, device: torch.device
) -> Returns:
    """Return B = [B^s, B^r] with the agent's returns of Eq 10, where q_D = 1 on the offline sessions."""
    if isinstance(offline, SessionDataset):
        return _streamed_returns_of_both(offline, generated, config, rescaling, device)
    own = offline_rewards(offline, config.lambda_r, config.unrewarded_click)
    rewards = np.concatenate([own, generated.rewards * generated.scores])
    returns = np.concatenate(
        [
            offline.returns_to_go(own, config.gamma).astype(np.float32),
            generated.returns(config.gamma, rescaling),
        ]
    )
    return ReturnsData(both_kinds(offline, generated.sessions), rewards, config.gamma, device, returns=returns)


def _streamed_returns_of_both(
    offline: SessionDataset, generated: Generated, config: PGConfig, rescaling: RescalingSettings, device: torch.device
) -> StreamedReturns:
    """The same of offline sessions on disk: their steps, and the generated ones, bring rewards and returns along."""
    bare = in_both(offline)

    def prepared(part: Sessions) -> Sessions:
        own = offline_rewards(part, config.lambda_r, config.unrewarded_click)
        returns = part.returns_to_go(own, config.gamma).astype(np.float32)
        return bare(part).with_features(steps={_REWARD: own, _RETURN: returns})

    def with_returns(joined: Sessions) -> ReturnsData:
        rewards, returns = (np.array(joined.features.steps[name].values) for name in (_REWARD, _RETURN))
        return ReturnsData(joined, rewards, config.gamma, device, returns=returns)

    own = {_REWARD: generated.rewards * generated.scores, _RETURN: generated.returns(config.gamma, rescaling)}
    extra = bare(generated.sessions).with_features(steps=own)
    return StreamedReturns(StreamedLog(offline, prepared, extra), with_returns, propensities_known=False)


def replayed_returns(
    data: Returns, offline: SessionLog, drawn: NDArray[np.int64], config: PGConfig, device: torch.device
) -> Returns:
    """Return the offline sessions and some of them again, with the returns of Eq 10.

    Args:
        data: the offline sessions with their returns.
        offline: the same sessions.
        drawn: numbers of those that come again.
        config: discounting and weight of the rewards.
        device: device of the batches.
    """
    again = replace(drawn_sessions(offline, drawn), provenance={})
    if isinstance(data, StreamedReturns) or isinstance(offline, SessionDataset):
        return cast(StreamedReturns, data).with_extra(again)
    return offline_returns(concatenate([replace(offline, provenance={}), again]), config, device)


def generate_sessions(
    policy: SlatePolicy,
    user_model: UserModel,
    num_sessions: int,
    *,
    max_session_steps: int,
    seed: int,
    precision: Precision = "float32",
) -> Sessions:
    """Roll the policy out in ``UserModel-v0``, without rewards from a discriminator.

    Args:
        policy: draws the slates (Eq 4).
        user_model: plays the users.
        num_sessions: sessions to generate, all started at once; those that end leave the batch.
        max_session_steps: length at which a session is cut.
        seed: of the users and of the slates.
        precision: of large matrix products (see :class:`~irecgan_gym.kernels.low_precision.LowPrecision`).

    Raises:
        ValueError: no sessions, no steps, or models of different catalogues.
    """
    if policy.num_items != user_model.config.num_items:
        raise ValueError(f"the policy knows {policy.num_items} items, the user model {user_model.config.num_items}")
    lowered = LowPrecision(precision)
    users = UsersOnDevice(num_sessions, lowered(user_model), max_session_steps)
    played = play(PolicyPredictor(lowered(policy)), users, num_sessions, seed, deterministic=False, one_each=True)
    return played.trusted_sessions({"source": "UserModel-v0", "seed": seed})


def generate_adversarial_sessions(
    policy: SlatePolicy,
    score: SequenceScore,
    num_sessions: int,
    *,
    rewards: ReturnSettings,
    seed: int,
    precision: Precision = "float32",
) -> Generated:
    """Roll the policy out in ``UserModel-v0`` and give every step the score q_D of Eq 6 by which Eq 10 rescales it.

    Args:
        policy: draws the slates (Eq 4).
        score: Eq 6, with the user model that plays the users.
        num_sessions: sessions to generate.
        rewards: weights of the agent's rewards.
        seed: of the users, of the slates and of the roll-outs.
        precision: of large matrix products (see :class:`~irecgan_gym.kernels.low_precision.LowPrecision`).
    """
    lowered = LowPrecision(precision)
    score = SequenceScore(
        lowered(score.user_model),
        lowered(score.policy) if isinstance(score.policy, nn.Module) else score.policy,
        lowered(score.discriminator),
        num_rollouts=score.num_rollouts,
        max_session_steps=score.max_session_steps,
    )
    # The networks have that precision already.
    sessions = generate_sessions(
        lowered(policy), score.user_model, num_sessions, max_session_steps=score.max_session_steps, seed=seed
    )
    rule = SessionAdversarialReward(score, mode="generation", lambda_r=rewards.lambda_r)
    return with_rewards(sessions, rewards, rule.rescale(sessions, seed=seed).q)


def with_rewards(sessions: Sessions, rewards: ReturnSettings, scores: NDArray[np.float64] | None = None) -> Generated:
    """Return generated sessions with the agent's rewards and their scores, 1 where there are none."""
    own = offline_rewards(sessions, rewards.lambda_r, rewards.unrewarded_click)
    given = np.ones(sessions.num_steps) if scores is None else scores
    return Generated(sessions, own, given.astype(np.float32))
