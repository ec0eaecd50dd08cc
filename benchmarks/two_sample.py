"""A two-sample test of user models: can a fresh discriminator tell their answers from real ones?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.sessions import Sessions

_FIT = FitConfig(learning_rate=1e-2, max_epochs=10, patience=None)


@dataclass(frozen=True)
class TwoSampleTest:
    """Outcome of the test.

    Attributes:
        told_apart: of the pairs that differ, the share in which the real answer looks more real; 1/2 by chance.
        p_value: of so many or more by chance: small where the model is found out.
        num_pairs: pairs that differ.
    """

    told_apart: float
    p_value: float
    num_pairs: int


def two_sample_test(model: UserModel, sessions: Sessions, *, seed: int) -> TwoSampleTest:
    """Test whether the answers of a model's users can be told from those of real users to the same slates.

    Sessions are cut at steps that are drawn whatever comes after them (:func:`answered_twice`). The twin of each has
    the same history and the same last slate, but the last click and reward are drawn by the model. A discriminator
    learns on one half of the sessions which is which; on the other half it is asked which of a pair is real. If the
    model is right, pairs are exchangeable: an exact sign test.

    Args:
        model: whose sessions end by a reward of 0.
        sessions: that it was not fitted to.
        seed: of cuts, answers and the discriminator.
    """
    real, drawn = answered_twice(model, sessions, seed=seed)
    half = len(real) // 2
    judge = Discriminator.create(DiscriminatorConfig(sessions.num_items), seed=seed, device=model.device)
    fit_discriminator(
        judge,
        real.select(slice(0, half)),
        drawn.select(slice(0, half)),
        ClippedAdamW(judge, _FIT),
        _FIT,
        leave_option=False,
        generator=np.random.default_rng(seed),
    )
    rest = slice(half, len(real))
    first, second = (_scores(judge, part.select(rest)) for part in (real, drawn))
    differ = first != second
    number, right = int(differ.sum()), int((first > second).sum())
    if number == 0:
        return TwoSampleTest(0.5, 1.0, 0)
    return TwoSampleTest(right / number, float(binomtest(right, number, alternative="greater").pvalue), number)


@torch.no_grad()
def answered_twice(model: UserModel, sessions: Sessions, *, seed: int) -> tuple[Sessions, Sessions]:
    """Sessions cut at random steps, and the same with the last click and reward drawn by a model.

    The step of a cut is drawn from the steps of another session, and sessions that do not come so far are left out: a
    step drawn from a session's own would be its last one too often, and so have too few rewards.
    """
    rng = np.random.default_rng(seed)
    step = rng.integers(rng.permutation(sessions.lengths))
    sessions, step = sessions.select(np.flatnonzero(sessions.lengths > step)), step[sessions.lengths > step]
    last = sessions.offsets[:-1] + step
    generator = torch.Generator(model.device).manual_seed(seed)
    clicks, rewards = sessions.clicks.copy(), sessions.rewards.copy()
    size = sessions.slate_size
    for batch in SessionTensors(sessions, leave_option=False, device=model.device).all(256):
        answer = model.respond(model.states_before(batch), batch.slates[:, :size], generator)
        rows = batch.steps.cpu().numpy()
        clicks[rows], rewards[rows] = answer.clicks.cpu().numpy(), answer.rewards.cpu().numpy()
    kept = np.concatenate([np.arange(low, high + 1) for low, high in zip(sessions.offsets[:-1], last, strict=True)])
    is_last = np.isin(kept, last)
    slates = sessions.slate_items.reshape(-1, size)[kept]

    def cut(own_clicks: NDArray[np.integer[Any]], own_rewards: NDArray[np.float32]) -> Sessions:
        return Sessions.from_columns(
            num_items=sessions.num_items,
            lengths=last - sessions.offsets[:-1] + 1,
            slates=slates,
            clicks=np.where(is_last, own_clicks[kept], sessions.clicks[kept]),
            rewards=np.where(is_last, own_rewards[kept], sessions.rewards[kept]),
        )

    return cut(sessions.clicks, sessions.rewards), cut(clicks, rewards)


@torch.no_grad()
def _scores(judge: Discriminator, sessions: Sessions) -> NDArray[np.float32]:
    scores = np.empty(len(sessions), dtype=np.float32)
    for batch in SessionTensors(sessions, leave_option=False, device=judge.preference.weight.device).all(256):
        scores[batch.numbers] = judge.logits_real_is_high(batch).cpu().numpy()
    return scores
