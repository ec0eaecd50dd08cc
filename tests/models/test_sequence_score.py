"""Eq 6 against a slow plain implementation, and against the exact expectation on a world small enough to enumerate."""

from itertools import permutations

import numpy as np
import pytest
import torch

from irecgan_gym.models import sequence_score
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Sessions

ITEMS, SLATE, HORIZON = 3, 2, 3
SHAPE = EncoderConfig("lstm", 1, hidden_size=4, embedding_size=3)


def tiny_models(ending):
    user_model = UserModel.create(UserModelConfig(ITEMS, SLATE, ending, SHAPE), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(ITEMS, SLATE, SHAPE), torch.Generator().manual_seed(1))
    discriminator = Discriminator.create(DiscriminatorConfig(ITEMS, SHAPE), seed=2, device="cpu")
    return user_model, policy, discriminator


def exact_score(models, history):
    """The expectation of Eq 6 over all slates, clicks and rewards that may follow; recomputed from the start."""
    user_model, policy, discriminator = models
    user, acting, partial = user_model.encoder.start(1), policy.start(1), discriminator.start(1)
    for slate, click, reward in history:
        clicks = torch.tensor([click])
        partial = discriminator.observe(
            partial, user_model.candidates(torch.tensor([slate])), clicks, torch.tensor([float(reward)])
        )
        user, acting = user_model.encoder.step(clicks, user), policy.observe(clicks, acting)
    if history and (len(history) == HORIZON or is_over(user_model, *history[-1][1:])):
        return float(discriminator.probabilities(partial))
    chances = policy.log_probabilities(policy.encoder.output(acting))[0].exp().tolist()
    total = 0.0
    for slate in permutations(range(ITEMS), SLATE):
        drawn = chances[slate[0]] * chances[slate[1]] / (1 - chances[slate[0]])
        probabilities = user_model.click_probabilities(user, torch.tensor([slate]))[0].tolist()
        alternatives = [*slate, ITEMS] if user_model.leave_option else [*slate]
        for click, probability in zip(alternatives, probabilities, strict=True):
            if click == ITEMS:
                total += drawn * probability * exact_score(models, [*history, (slate, click, 0)])
                continue
            success = float(user_model.reward_probabilities(user, torch.tensor([click])))
            for reward, chance in ((1, success), (0, 1 - success)):
                total += drawn * probability * chance * exact_score(models, [*history, (slate, click, reward)])
    return total


def is_over(user_model, click, reward):
    return click == ITEMS if user_model.leave_option else reward == 0


def observe_all(score, histories):
    prefixes = score.start(len(histories))
    for step in range(len(histories[0])):
        slates, clicks, rewards = zip(*(history[step] for history in histories), strict=True)
        prefixes = score.observe(
            prefixes, torch.tensor(slates), torch.tensor(clicks), torch.tensor(rewards, dtype=torch.float32)
        )
    return prefixes


@torch.no_grad()
@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_many_rollouts_have_the_exact_expectation(ending):
    models = tiny_models(ending)
    score = SequenceScore(*models, num_rollouts=20_000, max_session_steps=HORIZON)
    histories = [[((0, 1), 0, 1)], [((2, 0), 2, 1)]]
    q = score.score(observe_all(score, histories), torch.tensor([False, False]), torch.Generator().manual_seed(0))
    spread = 0.5 / np.sqrt(20_000)  # of a mean of numbers in [0, 1]
    for row, history in enumerate(histories):
        assert float(q[row]) == pytest.approx(exact_score(models, history), abs=4 * spread)


@torch.no_grad()
def test_rollouts_match_a_loop_over_single_sessions():
    """The slow plain form of Eq 6: every completion alone, every recurrent state from the start of its session."""
    models = tiny_models("reward")
    user_model, policy, _ = models
    generator = torch.Generator().manual_seed(5)

    def complete(history):
        history = list(history)
        while True:
            user, acting = user_model.encoder.start(1), policy.start(1)
            for _, click, _ in history:
                user = user_model.encoder.step(torch.tensor([click]), user)
                acting = policy.observe(torch.tensor([click]), acting)
            slate = policy.sample(acting, generator)
            response = user_model.respond(user, slate, generator)
            history.append((tuple(slate[0].tolist()), int(response.clicks), float(response.rewards)))
            if bool(response.ended) or len(history) == HORIZON:
                return exact_score(models, history)

    history = [((0, 1), 1, 1)]
    plain = np.array([complete(history) for _ in range(1500)])
    score = SequenceScore(*models, num_rollouts=20_000, max_session_steps=HORIZON)
    fast = float(score.score(observe_all(score, [history]), torch.tensor([False]), generator))
    assert fast == pytest.approx(plain.mean(), abs=4 * plain.std() / np.sqrt(len(plain)))


@torch.no_grad()
def test_finished_sessions_are_scored_by_the_discriminator_itself():
    models = tiny_models("reward")
    score = SequenceScore(*models, num_rollouts=3, max_session_steps=HORIZON)
    histories = [[((0, 1), 0, 1), ((1, 2), 2, 0)], [((0, 2), 0, 1), ((1, 2), 1, 1)]]
    q = score.score(observe_all(score, histories), torch.tensor([True, True]), torch.Generator())
    for row, history in enumerate(histories):
        partial = models[2].start(1)
        for slate, click, reward in history:
            partial = models[2].observe(
                partial, torch.tensor([slate]), torch.tensor([click]), torch.tensor([float(reward)])
            )
        assert float(q[row]) == pytest.approx(float(models[2].probabilities(partial)))


@torch.no_grad()
@pytest.mark.parametrize("ending", ["reward", "leave"])
@pytest.mark.parametrize("elements", [2**26, 200], ids=["one batch", "many batches"])
def test_every_step_of_whole_sessions_has_the_exact_expectation(ending, elements, monkeypatch):
    monkeypatch.setattr(sequence_score, "_STATE_ELEMENTS", elements)
    models = tiny_models(ending)
    rollouts = 4_000
    score = SequenceScore(*models, num_rollouts=rollouts, max_session_steps=HORIZON)
    end = ((0, 1), 1, 0) if ending == "reward" else ((0, 1), ITEMS, 0)
    histories = [
        [((0, 1), 0, 1), ((1, 2), 2, 1), end],
        [end],
        [((2, 1), 1, 1), end],
        [((2, 1), 1, 1), ((0, 2), 0, 1), ((1, 0), 0, 1)],  # cut
    ]
    steps = [step for history in histories for step in history]
    sessions = Sessions.from_columns(
        num_items=ITEMS,
        lengths=[len(history) for history in histories],
        slates=np.array([slate for slate, _, _ in steps]),
        clicks=[click for _, click, _ in steps],
        rewards=[reward for _, _, reward in steps],
        truncated=[False, False, False, True],
    )
    q = score.score_sessions(sessions, torch.Generator().manual_seed(0)).tolist()
    expected = [exact_score(models, history[: t + 1]) for history in histories for t in range(len(history))]
    assert q == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(rollouts))
    last = sessions.offsets[1:] - 1
    assert np.array(q)[last] == pytest.approx(np.array(expected)[last])


def test_models_of_different_catalogues_are_refused():
    user_model, policy, _ = tiny_models("reward")
    other = Discriminator.create(DiscriminatorConfig(4, SHAPE), seed=0, device="cpu")
    with pytest.raises(ValueError, match="knows 4 items, the user model 3"):
        SequenceScore(user_model, policy, other)
