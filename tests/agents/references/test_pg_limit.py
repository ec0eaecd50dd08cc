"""What PG tends to: nothing does better on the log, PG comes near it, and it is kept like other agents."""

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import PG, MaxReward, PGConfig, PGLimit
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.logging_policies import LOGGING_POLICIES
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig


def world(kind="item"):
    return draw_mdp(3, 8, 6, kind)


def logged(mdp, logging_policy, number, seed=0):
    env = gym.make("RecSim-v0", mdp=mdp, slate_size=2, logging_policy=logging_policy)
    return env.unwrapped.collect(number, seed=seed)


def objective(agent, sessions):
    """Mean of R_t log pi(c_t | clicks before) over the steps of a log, in units of the mean return."""
    returns = sessions.returns_to_go(1 + 3 * sessions.rewards, 0.9)
    clicked = sessions.slate_items == sessions.clicks[sessions.step_of_entry]
    chosen = agent.slate_scores(sessions)[clicked]
    return (returns * chosen).sum() / returns.sum()


@pytest.mark.parametrize("name", ["max", "random"])
def test_pg_comes_near_its_limit_and_not_past_it(name):
    mdp = world()
    # The epoch that does best on held-out sessions: what comes after fits chance.
    config = PGConfig(
        encoder=EncoderConfig(hidden_size=32),
        fit=FitConfig(learning_rate=0.01, batch_size=256, max_epochs=40),
        selection="objective",
    )
    agent = PG(8, 2, config, seed=0).learn(logged(mdp, name, 8000))
    limit, untaught = PGLimit(mdp, 2, name), PG(8, 2, config, seed=0)
    # Another log, large enough for differences of a thousandth.
    others = logged(mdp, name, 20_000, seed=1)
    reached, best, nothing = (objective(each, others) for each in (agent, limit, untaught))
    assert best > reached > best - 0.1 * (best - nothing)


@pytest.mark.parametrize("name", LOGGING_POLICIES)
def test_no_other_policy_has_a_larger_objective(name):
    mdp, sessions = world("dirichlet"), logged(world("dirichlet"), name, 20_000)
    best = objective(PGLimit(mdp, 2, name), sessions)
    assert best > objective(PGLimit(mdp, 2, name, gamma=0.0, lambda_r=0.0), sessions)
    for other in set(LOGGING_POLICIES) - {name, "max"}:
        assert best > objective(PGLimit(mdp, 2, other), sessions)


def test_top_slates_under_max_logs_are_the_logged_ones_where_the_state_is_known():
    mdp = world()
    slate, state = PGLimit(mdp, 2, "max").predict(8, deterministic=True)
    np.testing.assert_array_equal(np.sort(slate), np.sort(mdp.ranked_items()[0, :2]))
    np.testing.assert_array_equal(state[0], [[1, 0, 0]])


def test_predicting_step_by_step_is_scoring_the_log():
    mdp = world("dirichlet")
    policy, sessions = PGLimit(mdp, 2, "random"), logged(world("dirichlet"), "random", 5)
    everything = np.exp(policy.log_probabilities(np.eye(3)))
    np.testing.assert_allclose(everything.sum(axis=1), 1)
    scores = policy.slate_scores(sessions).reshape(-1, 2)
    for session in range(5):
        state, seen = None, 8
        for step in range(sessions.offsets[session], sessions.offsets[session + 1]):
            _, state = policy.predict(np.array([seen]), state, np.array([False]))
            expected = policy.log_probabilities(state[0])[0, sessions.slate_items.reshape(-1, 2)[step]]
            np.testing.assert_allclose(scores[step], expected, rtol=1e-5)
            seen = int(sessions.clicks[step])


def test_sampled_slates_follow_the_policy_and_the_seed():
    mdp = world("dirichlet")
    policy = PGLimit(mdp, 1, "random")
    policy.set_random_seed(2)
    observations = np.full(20_000, 8)
    slates, _ = policy.predict(observations)
    chances = np.exp(policy.log_probabilities(np.eye(3)[:1]))[0]
    np.testing.assert_allclose(np.bincount(slates[:, 0], minlength=8) / 20_000, chances, atol=0.02)
    policy.set_random_seed(2)
    np.testing.assert_array_equal(policy.predict(observations)[0], slates)


def test_a_session_that_begins_again_is_a_new_one():
    policy = PGLimit(world(), 2, "random")
    _, state = policy.predict(np.array([8, 8]), deterministic=True)
    _, state = policy.predict(np.array([1, 8]), state, np.array([False, False]))
    assert state[0][0, 0] < 1
    np.testing.assert_array_equal(state[0][1], [1, 0, 0])
    _, state = policy.predict(np.array([1, 1]), state, np.array([True, False]))
    np.testing.assert_array_equal(state[0][0], [1, 0, 0])


def test_it_is_saved_and_loaded(tmp_path):
    policy = PGLimit(world(), 2, "mix", gamma=0.5, lambda_r=1.0, seed=3)
    policy.save(tmp_path / "limit.safetensors")
    loaded = PGLimit.load(tmp_path / "limit.safetensors")
    sessions = logged(world(), "mix", 20)
    np.testing.assert_array_equal(loaded.slate_scores(sessions), policy.slate_scores(sessions))
    assert (loaded.logging_policy, loaded.gamma, loaded.lambda_r, loaded.seed) == ("mix", 0.5, 1.0, 3)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="logging_policy must be one of"):
        PGLimit(world(), 2, "best")
    with pytest.raises(ValueError, match="50 items, the policy 8"):
        PGLimit(world(), 2).slate_scores(gym.make("RecSim-v0").unwrapped.collect(2, seed=0))


def test_it_earns_less_than_the_max_policy_that_sees_the_state():
    mdp = draw_mdp(transitions="item")
    policy, seeing = PGLimit(mdp, 10, "max"), MaxReward(mdp, 10).value
    earned = evaluate_online(policy, "RecSim-Observable-v0", 2000, deterministic=True, seed=0).reward
    assert 0.8 * seeing < earned.low < earned.high < seeing
