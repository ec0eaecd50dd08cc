"""Policies that know the tables, deployed: they earn what they are worth, and carry what they must."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents.references.belief import Belief, MaxLogBelief
from irecgan_gym.agents.references.blind import Blind
from irecgan_gym.agents.references.pg_limit import PGLimit
from irecgan_gym.agents.references.state_policies import MaxLogOptimal, MaxReward, Myopic, Optimal
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.evaluation.reranking import evaluate_reranking
from irecgan_gym.mdp import RecommendationMDP, draw_mdp
from irecgan_gym.planning.belief_slates import BeliefSlates
from irecgan_gym.planning.optimal_slates import optimal_slates
from irecgan_gym.planning.values import item_values
from irecgan_gym.sessions import Sessions

SEEING = (MaxReward, MaxLogOptimal, Myopic, Optimal)
ALL = (*SEEING, Blind, Belief, MaxLogBelief)


def assert_earns(result, value):
    """The mean reward is within four standard errors of the value: one in 16,000 right ones is not."""
    error = result.rewards.std() / np.sqrt(len(result.rewards))
    assert abs(result.rewards.mean() - value) < 4 * error


def small_mdp(seed=0, transitions="item"):
    return draw_mdp(4, 9, seed, transitions, reward_scale=0.3)


def belief_value(mdp, slate_size, steps):
    """What the filter and QMDP slates earn in the first steps, over all histories, and the chance to get further."""
    slates_of = BeliefSlates(mdp.rewards, item_values(mdp, optimal_slates(mdp, slate_size).values), slate_size)
    # Probability of a history, of its successes and of the state now; one row for each history.
    joint = np.zeros((1, mdp.num_states))
    joint[0, 0] = 1
    value = 0.0
    for _ in range(steps):
        slates = slates_of.choose(joint / joint.sum(axis=1, keepdims=True))
        shown = mdp.rewards[:, slates]
        successes = joint.T[:, :, None] * shown**2 / shown.sum(axis=2, keepdims=True)
        value += successes.sum()
        joint = np.einsum("sbk,sbkt->bkt", successes, mdp.transitions[:, slates]).reshape(-1, mdp.num_states)
    return value, joint.sum()


def item_world_belief_value(mdp, slate_size):
    """Exact worth of Belief where transitions depend on the item alone: the last click then says all there is."""
    slates_of = BeliefSlates(mdp.rewards, item_values(mdp, optimal_slates(mdp, slate_size).values), slate_size)
    start = np.eye(mdp.num_states)[:1]
    arrivals = np.vstack([mdp.transitions[0], start])
    slates = slates_of.choose(arrivals)
    # V[c, s] after the click c, in state s; the last row is before any click.
    number = mdp.num_items + 1
    system, success = np.eye(number * mdp.num_states), np.zeros((number, mdp.num_states))
    for click, state in product(range(number), range(mdp.num_states)):
        slate = slates[click]
        chances = mdp.rewards[state, slate] ** 2 / mdp.rewards[state, slate].sum()
        success[click, state] = chances.sum()
        for chance, item in zip(chances, slate, strict=True):
            following = slice(item * mdp.num_states, (item + 1) * mdp.num_states)
            system[click * mdp.num_states + state, following] -= chance * mdp.transitions[state, item]
    return np.linalg.solve(system, success.reshape(-1)).reshape(number, -1)[-1, 0]


@pytest.mark.parametrize("kind", [*SEEING, Blind])
@pytest.mark.parametrize("arguments", [{}, {"transitions": "item", "reward_scale": 0.1}])
def test_policies_earn_their_exact_values(kind, arguments):
    mdp = draw_mdp(mdp_seed=3, **arguments)
    policy = kind(mdp, 10)
    result = evaluate_online(policy, "RecSim-v0", 3000, deterministic=False, seed=0, env_kwargs={"mdp": mdp})
    assert_earns(result, policy.value)


def test_belief_earns_what_all_histories_say():
    drawn = draw_mdp(3, 6, 4, "dirichlet", concentration=0.3)
    mdp = RecommendationMDP(0.6 * drawn.rewards, drawn.transitions)
    expected, further = belief_value(mdp, 2, 11)
    assert further < 0.01
    options = {"mdp": mdp, "slate_size": 2}
    result = evaluate_online(Belief(mdp, 2), "RecSim-v0", 4000, deterministic=True, seed=0, env_kwargs=options)
    assert_earns(result, expected)


def test_belief_is_between_blind_and_optimal_and_near_the_latter_where_clicks_tell_the_state():
    values = []
    for mdp_seed in range(4):
        mdp = draw_mdp(mdp_seed=mdp_seed, transitions="item")
        values.append([Blind(mdp, 10).value, item_world_belief_value(mdp, 10), Optimal(mdp, 10).value])
    blind, belief, optimal = np.mean(values, axis=0)
    assert 0.8 * optimal < belief < 0.9 * optimal
    assert blind < 0.5 * optimal
    env_kwargs = {"mdp_seed": 3}
    result = evaluate_online(
        Belief(mdp, 10), "RecSim-Observable-v0", 1000, deterministic=True, seed=0, env_kwargs=env_kwargs
    )
    assert_earns(result, values[3][1])


def test_what_max_logs_and_clicks_teach_is_to_show_the_logged_slates():
    mdp, earned = draw_mdp(transitions="item"), {}
    for policy in (MaxLogBelief(mdp, 10), Belief(mdp, 10), PGLimit(mdp, 10, "max")):
        result = evaluate_online(policy, "RecSim-Observable-v0", 1500, deterministic=True, seed=0)
        earned[policy.kind] = result.rewards
    assert earned["belief"].mean() > earned["max-log-belief"].mean() + 1
    gap = earned["max-log-belief"].mean() - earned["pg-limit"].mean()
    # Four standard errors of the difference of two means of as many sessions.
    assert abs(gap) < 4 * earned["pg-limit"].std() * np.sqrt(2 / 1500)


def test_max_reward_covers_the_best_items():
    result = evaluate_online(MaxReward(draw_mdp(), 10), "RecSim-v0", 100, deterministic=True, seed=0)
    np.testing.assert_array_equal(result.coverage, 1)


def test_slates_of_state_policies_begin_with_the_best_item():
    mdp = draw_mdp()
    np.testing.assert_array_equal(MaxReward(mdp, 10).slates, mdp.ranked_items()[:, :10])
    slates = Optimal(mdp, 10).slates
    assert (np.diff(np.take_along_axis(mdp.rewards, slates, axis=1), axis=1) <= 0).all()


def test_a_policy_that_sees_states_plays_in_an_env_that_shows_them():
    env = gym.make("RecSim-v0", observation="state")
    policy = Optimal(env.unwrapped.mdp, 10)
    state, _ = env.reset(seed=0)
    for _ in range(20):
        slate, _ = policy.predict(state)
        np.testing.assert_array_equal(slate, policy.slates[state])
        state, _, terminated, _, _ = env.step(slate)
        if terminated:
            state, _ = env.reset()
    given = gym.make_vec("RecSim-v0", num_envs=4, observation="state")
    shown = evaluate_online(policy, given, 40, deterministic=True, seed=1)
    hidden = evaluate_online(policy, "RecSim-v0", 40, deterministic=True, seed=1, num_envs=4)
    np.testing.assert_array_equal(shown.rewards, hidden.rewards)


def test_clicks_are_no_states():
    policy = Optimal(draw_mdp(), 10)
    with pytest.raises(ValueError, match=r"Optimal observes states from 0 to 9, got 50: .*observation='state'"):
        policy.predict(np.array([0, 50]))
    with pytest.raises(ValueError, match="got -1"):
        policy.predict(-1)


class StatelessEnv(gym.vector.VectorWrapper):
    def reset(self, **arguments):
        return self.env.reset(**arguments)[0], {"click": None}


def test_users_without_states_are_no_users_for_policies_that_see_them():
    env = StatelessEnv(gym.make_vec("RecSim-v0", num_envs=2))
    with pytest.raises(ValueError, match=r"observes true states, but the env's info holds only \['click'\]"):
        evaluate_online(Optimal(draw_mdp(), 10), env, 2, deterministic=True, seed=0)


def test_belief_carries_each_session_by_itself():
    mdp = small_mdp(2, "dirichlet")
    together, alone = Belief(mdp, 3), Belief(mdp, 3)
    slates, state = together.predict(np.array([9, 9]))
    first, kept = alone.predict(9)
    np.testing.assert_array_equal(slates, [first, first])
    # The second session ends and starts again; the first one goes on as if it were alone.
    clicks = np.array([slates[0, 1], 9])
    slates, state = together.predict(clicks, state, np.array([False, True]))
    np.testing.assert_array_equal(slates, [alone.predict(clicks[0], kept, np.array([False]))[0], first])
    np.testing.assert_array_equal(state[0][1], [1, 0, 0, 0])
    # "No click yet" begins a session, whether the caller says so or not.
    np.testing.assert_array_equal(together.predict(np.array([9, 9]), state)[0], [first, first])


def test_belief_must_be_told_of_every_step():
    policy = Belief(small_mdp(), 3)
    slates, state = policy.predict(np.array([9, 9]))
    stranger = next(item for item in range(9) if item not in slates[1])
    with pytest.raises(ValueError, match=f"click {stranger} of session 1 is not in the last slate"):
        policy.predict(np.array([slates[0, 0], stranger]), state, np.zeros(2, dtype=bool))


@pytest.mark.parametrize("kind", ALL)
def test_slates_hold_different_items_and_nothing_is_random(kind):
    policy = kind(small_mdp(), 4)
    policy.set_random_seed(3)
    observations = np.array([0, 3, 2, 1]) if kind in SEEING else np.full(4, 9)
    slates, _ = policy.predict(observations, deterministic=True)
    assert slates.dtype == np.int64
    assert all(len(set(slate)) == 4 for slate in slates.tolist())
    np.testing.assert_array_equal(policy.predict(observations, deterministic=False)[0], slates)
    assert policy.predict(int(observations[1]))[0].tolist() == slates[1].tolist()


def logged(mdp, slate_size=4, logging_policy="random"):
    env = gym.make("RecSim-v0", mdp=mdp, slate_size=slate_size, logging_policy=logging_policy)
    return env.unwrapped.collect(40, seed=0)


@pytest.mark.parametrize("kind", ALL)
def test_policies_are_saved_and_loaded(kind, tmp_path):
    mdp = small_mdp(1)
    policy = kind(mdp, 4).learn(logged(mdp))
    policy.save(tmp_path / "policy.safetensors")
    loaded = kind.load(tmp_path / "policy.safetensors")
    assert loaded.mdp.digest() == mdp.digest()
    assert loaded.slate_size == 4
    np.testing.assert_array_equal(loaded.slate_scores(logged(mdp)), policy.slate_scores(logged(mdp)))


@pytest.mark.parametrize("kind", ALL)
def test_logged_slates_are_scored_by_what_would_have_been_shown(kind):
    mdp = small_mdp(1, "dirichlet")
    policy, sessions = kind(mdp, 4), logged(mdp)
    scores = policy.slate_scores(sessions)
    assert scores.dtype == np.float32
    assert set(np.unique(np.exp(scores)).round(6)) == {0, 0.25}
    evaluate_reranking(policy, sessions, deterministic=False, seed=0, at=(1,), min_list_length=4)


def test_scores_of_the_policy_s_own_log_are_all_alike():
    mdp = small_mdp(1)
    np.testing.assert_allclose(MaxReward(mdp, 2).slate_scores(logged(mdp, 2, "max")), np.log(0.5), rtol=1e-6)


def test_belief_scores_logs_as_it_would_have_acted():
    mdp = small_mdp(5, "dirichlet")
    policy = Belief(mdp, 3)
    # A log of the policy's own slates, so that predict's state is that of the logged slates.
    env = gym.make_vec("RecSim-v0", num_envs=1, mdp=mdp, slate_size=3)
    lengths, slates, clicks, rewards = [], [], [], []
    observation, _ = env.reset(seed=0)
    state, start, length = None, np.array([True]), 0
    while len(lengths) < 15:
        slate, state = policy.predict(observation, state, start)
        observation, reward, terminated, _, _ = env.step(slate)
        if not start[0] or length == 0:
            slates.append(slate[0]), clicks.append(observation[0]), rewards.append(reward[0])
            length += 1
        if terminated[0]:
            lengths.append(length)
            observation, _ = env.reset()
            state, length = None, 0
        start = terminated
    sessions = Sessions.from_columns(
        num_items=9, lengths=lengths, slates=np.stack(slates), clicks=clicks, rewards=rewards
    )
    np.testing.assert_allclose(policy.slate_scores(sessions), np.log(1 / 3), rtol=1e-6)
    assert max(lengths) > 2


def test_logs_that_do_not_fit_are_refused():
    mdp = small_mdp()
    sessions = logged(draw_mdp(4, 8))
    for kind in ALL:
        with pytest.raises(ValueError, match="8 items, the policy 9"):
            kind(mdp, 4).slate_scores(sessions)
    stateless = Sessions.from_columns(num_items=9, lengths=[1], slates=[[0, 1]], clicks=[0], rewards=[0])
    with pytest.raises(ValueError, match="MaxReward needs sessions with their true states"):
        MaxReward(mdp, 4).slate_scores(stateless)
    with pytest.raises(ValueError, match="slate_size must be from 1 to num_items=9"):
        Optimal(mdp, 10)
