"""Rewards rescaled by how real the session looks to a discriminator (Eq 6, 9 and 10)."""

from __future__ import annotations

from typing import Any, Literal, SupportsFloat

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from numpy.typing import NDArray
from torch import Tensor

from irecgan_gym.models.predictor_policy import PolicyLike
from irecgan_gym.models.sequence_score import Prefixes, SequenceScore
from irecgan_gym.sessions.catalogue import Catalogue, catalogue_of
from irecgan_gym.wrappers.order import ORDER, wrapper_of
from irecgan_gym.wrappers.sequential_slate import SequentialSlate, VectorSequentialSlate
from irecgan_gym.wrappers.vector_sessions import StepResult, autoreset_mode, rows_to_reset

RewardMode = Literal["multiply", "generation"]


class RewardRule:
    """Rule by which a score and a reward become the agent's reward.

    Args:
        mode: ``"multiply"``: q r (r^s of §5.2); ``"generation"``: q (1 + lambda_r r) (Eq 10).
        lambda_r: weight of the reward in ``"generation"``.
    """

    def __init__(self, mode: RewardMode, lambda_r: float) -> None:
        if mode not in ("multiply", "generation"):
            raise ValueError(f"mode must be 'multiply' or 'generation', got {mode!r}")
        self.mode = mode
        self.lambda_r = lambda_r

    def rescale(self, q: NDArray[np.float64], rewards: NDArray[Any], left: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Rescaled rewards, [B].

        Args:
            q: q_D(tau_0:t), [B].
            rewards: the env's rewards, [B].
            left: users who left without a click, [B]: the step earns nothing, for the agent chose no item that
                the user took.
        """
        if self.mode == "multiply":
            return np.where(left, 0.0, q * rewards)
        return np.where(left, 0.0, q * (1.0 + self.lambda_r * rewards))


class AdversarialReward(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Rescale an env's rewards by q_D(tau_0:t), the chance that the session so far looks real (Eq 6).

    While a session goes on, q is the mean discriminator score of N completions of it, played by the user model and a
    roll-out policy; at its end, the score of the session itself. Every ``info`` holds the env's own reward under
    ``"raw_reward"`` and the score under ``"adversarial_score"`` (NaN in ``reset``, when nothing has been scored).

    Works on every env of the suite: it reads the slate and the click from ``info["slate"]`` and ``info["click"]``.
    The vector twin is :class:`~irecgan_gym.wrappers.adversarial_reward.VectorAdversarialReward`.

    Args:
        env: an env of the suite, wrapped or not.
        score: the models and numbers of Eq 6.
        mode: ``"multiply"`` for q r (§5.2) or ``"generation"`` for q (1 + lambda_r r) (Eq 10).
        lambda_r: see ``mode``.
        policy: rolls the sessions out in place of the policy of ``score``: a trained model of Stable-Baselines3 (or
            anything with its ``predict``), a function from the last clicks to slates, or a
            :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`. It may be the very model that is being trained.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        *,
        score: SequenceScore,
        mode: RewardMode = "multiply",
        lambda_r: float = 3.0,
        policy: PolicyLike | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, score=score, mode=mode, lambda_r=lambda_r, policy=policy, _disable_deepcopy=True
        )
        super().__init__(env)
        _check_order(self, env)
        check_same_catalogue(env.unwrapped, score)
        self._score = score if policy is None else score.with_policy(policy)
        self._rule = RewardRule(mode, lambda_r)
        self._generator = torch.Generator(score.user_model.device)
        self._prefix: Prefixes | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the env; a seed also seeds the generator of the roll-outs."""
        observation, info = self.env.reset(seed=seed, options=options)
        if seed is not None or self._prefix is None:
            seed_generator(self._generator, seed)
        self._prefix = self._score.start(1)
        return observation, {**info, "raw_reward": np.float64(0), "adversarial_score": np.float64(np.nan)}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env and rescale the reward."""
        if self._prefix is None:
            raise gym.error.ResetNeeded("call reset before step")
        observation, reward, terminated, truncated, info = self.env.step(action)
        device = self._generator.device
        shown = np.asarray(info["slate"])[None]
        _check_shown(shown)
        slate = torch.as_tensor(shown, dtype=torch.int64, device=device)
        click = int(info["click"])
        raw = float(reward)
        self._prefix = self._score.observe(
            self._prefix,
            slate,
            torch.tensor([click], device=device),
            torch.tensor([raw], dtype=torch.float32, device=device),
        )
        finished = torch.tensor([terminated or truncated], device=device)
        q = self._score.score(self._prefix, finished, self._generator).double().cpu().numpy()
        left = np.array([click == self._score.user_model.config.num_items])
        rescaled = self._rule.rescale(q, np.array([raw]), left)
        return (
            observation,
            float(rescaled[0]),
            terminated,
            truncated,
            {**info, "raw_reward": np.float64(raw), "adversarial_score": q[0]},
        )


def _check_order(wrapper: AdversarialReward | VectorAdversarialReward, env: Any) -> None:
    """Check that every step of the env shows a slate, whose reward is the env's own.

    Raises:
        ValueError: another wrapper inside stands against it; both are named.
    """
    for kinds, problem in (
        ((SequentialSlate, VectorSequentialSlate), "which picks one item a step: there is no slate to score"),
        ((AdversarialReward, VectorAdversarialReward), "which has rescaled the rewards already"),
    ):
        if (inner := wrapper_of(env, *kinds)) is not None:
            name = type(wrapper).__name__
            raise ValueError(f"{name} cannot be put around {type(inner).__name__}, {problem}; {ORDER}")


def _check_shown(slates: NDArray[Any]) -> None:
    """Check slates that were shown, [B, k], where what builds them is out of sight.

    Raises:
        ValueError: a slate that is none.
    """
    if slates.size and slates.min() < 0:
        raise ValueError(f"the env has shown no slate in this step, only {slates[slates.min(axis=1) < 0][0]}; {ORDER}")


def check_same_catalogue(env: Any, score: SequenceScore) -> None:
    """Check that the env recommends the items that the user model knows.

    Raises:
        ValueError: catalogues of different sizes or of different names.
    """
    score.user_model.catalogue.check_agrees(_catalogue(env), "the user model of the score", "the env")


def _catalogue(env: Any) -> Catalogue:
    """The items of an env of the suite, or of the first of those side by side in a vector env of Gymnasium's."""
    if not isinstance(env, (SyncVectorEnv, AsyncVectorEnv)):
        return catalogue_of(env)
    try:
        named = env.get_attr("catalogue")[0]
    except AttributeError:
        return Catalogue(int(env.get_attr("num_items")[0]))
    return named if isinstance(named, Catalogue) else Catalogue(int(env.get_attr("num_items")[0]))


def seed_generator(generator: torch.Generator, seed: int | None) -> None:
    """Seed the roll-outs apart from the env, which uses the same seed for itself; None is drawn from the system."""
    entropy = None if seed is None else [seed, 0x51D]
    generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def as_tensor(values: NDArray[Any], dtype: torch.dtype, device: torch.device) -> Tensor:
    """An array of an env as a tensor on the models' device."""
    return torch.as_tensor(np.ascontiguousarray(values), dtype=dtype, device=device)


class VectorAdversarialReward(VectorWrapper):
    """Rescale the rewards of a vector env of the suite by q_D(tau_0:t) (Eq 6).

    All completions of all envs run in one batch; recurrent states are carried and branched, never recomputed. All
    three autoreset modes are understood. Every ``info`` holds ``"raw_reward"`` and ``"adversarial_score"`` of the
    step, [B]; the score is NaN
    where an env was only reset. In ``SAME_STEP`` mode they belong to the step that was taken, as the reward does.

    Args:
        env: a vector env of the suite.
        score: the models and numbers of Eq 6.
        mode: ``"multiply"`` for q r (§5.2) or ``"generation"`` for q (1 + lambda_r r) (Eq 10).
        lambda_r: see ``mode``.
        policy: rolls the sessions out in place of the policy of ``score``: a trained model of Stable-Baselines3 (or
            anything with its ``predict``), a function from the last clicks to slates, or a
            :class:`~irecgan_gym.models.predictor_policy.RolloutPolicy`. It may be the very model that is being trained.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        score: SequenceScore,
        mode: RewardMode = "multiply",
        lambda_r: float = 3.0,
        policy: PolicyLike | None = None,
    ) -> None:
        super().__init__(env)
        _check_order(self, env)
        check_same_catalogue(env.unwrapped, score)
        self._score = score if policy is None else score.with_policy(policy)
        self._rule = RewardRule(mode, lambda_r)
        self._generator = torch.Generator(score.user_model.device)
        self._autoreset_mode = autoreset_mode(env)
        self._prefixes: Prefixes | None = None
        self._done = np.zeros(self.num_envs, dtype=bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the envs (those of ``options["reset_mask"]``); a seed also seeds the generator of the roll-outs."""
        rows = rows_to_reset(options, self.num_envs)
        observations, info = self.env.reset(seed=seed, options=options)
        if seed is not None or self._prefixes is None:
            seed_generator(self._generator, seed)
        self._begin(rows)
        nothing = np.zeros(self.num_envs)
        return observations, {**info, "raw_reward": nothing, "adversarial_score": np.full(self.num_envs, np.nan)}

    def step(self, actions: Any) -> StepResult:
        """Step the envs and rescale their rewards."""
        prefixes = self._started()
        observations, raw, terminated, truncated, info = self.env.step(actions)
        ended = terminated | truncated
        # In NEXT_STEP mode, an env that was done has only been reset: there is nothing to score.
        only_reset = self._done if self._autoreset_mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        stepped = np.flatnonzero(~only_reset)
        slates, clicks = self._shown_and_clicked(info, ended)
        _check_shown(slates[stepped])
        q, rescaled = np.full(self.num_envs, np.nan), np.zeros(self.num_envs)

        device = self._generator.device
        rows = torch.from_numpy(stepped).to(device)
        longer = self._score.observe(
            prefixes.select(rows),
            as_tensor(slates[stepped], torch.int64, device),
            as_tensor(clicks[stepped], torch.int64, device),
            as_tensor(raw[stepped], torch.float32, device),
        )
        self._put(rows, longer)
        finished = as_tensor(ended[stepped], torch.bool, device)
        q[stepped] = self._score.score(longer, finished, self._generator).double().cpu().numpy()
        left = clicks[stepped] == self._score.user_model.config.num_items
        rescaled[stepped] = self._rule.rescale(q[stepped], raw[stepped], left)

        if self._autoreset_mode == AutoresetMode.NEXT_STEP:
            self._begin(only_reset)
        elif self._autoreset_mode == AutoresetMode.SAME_STEP:
            self._begin(ended)
        self._done = ended
        return observations, rescaled, terminated, truncated, {**info, "raw_reward": raw, "adversarial_score": q}

    def branch(self, rows: NDArray[np.integer[Any]]) -> VectorAdversarialReward:
        """Copies of some of the sessions, in the order given, as a vector env of their own.

        A row may be named more than once: its copies go on independently. The wrapped env must be able to branch.
        """
        prefixes = self._started()
        twin = VectorAdversarialReward(
            self.env.branch(rows),  # type: ignore[attr-defined]
            score=self._score,
            mode=self._rule.mode,
            lambda_r=self._rule.lambda_r,
        )
        device = self._generator.device
        child = torch.randint(2**62, (1,), generator=self._generator, device=device)
        twin._generator.manual_seed(int(child))
        twin._prefixes = prefixes.select(torch.from_numpy(np.asarray(rows)).to(device))
        twin._done = self._done[rows]
        return twin

    def _started(self) -> Prefixes:
        if self._prefixes is None:
            raise RuntimeError("call reset before step")
        return self._prefixes

    def _shown_and_clicked(self, info: dict[str, Any], ended: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the slates and clicks of this step; in SAME_STEP mode the ended sessions' are in ``final_info``."""
        slates, clicks = info["slate"], info["click"]
        if self._autoreset_mode != AutoresetMode.SAME_STEP or not ended.any():
            return slates, clicks
        final = info["final_info"]
        return (
            np.where(ended[:, None], final["slate"], slates),
            np.where(ended, final["click"], clicks),
        )

    def _begin(self, rows: NDArray[np.bool_]) -> None:
        """Start new sessions in the given envs."""
        if self._prefixes is None or rows.all():
            self._prefixes = self._score.start(self.num_envs)
        elif rows.any():
            index = torch.from_numpy(np.flatnonzero(rows)).to(self._generator.device)
            self._put(index, self._score.start(len(index)))
        self._done = self._done & ~rows

    def _put(self, rows: Tensor, new: Prefixes) -> None:
        """Replace the prefixes of some envs."""
        if len(rows) == self.num_envs:
            self._prefixes = new
            return
        old = self._started()
        old_flat = (old.user, old.policy, *old.partial, old.length)
        new_flat = (new.user, new.policy, *new.partial, new.length)
        for column, values in zip(old_flat, new_flat, strict=True):
            column[rows] = values
