import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.agents import PG, ChoicePlanner, IRecGAN, Optimal, PopularityPolicy, RandomPolicy
from irecgan_gym.agents.policy_gradient import PGConfig
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.planning.planned_slates import PlannedSlates
from irecgan_gym.sessions import Sessions
from irecgan_gym.slate_requests import SlateRequest
from tests.frequencies import assert_counts

N, K = 7, 3


def sharpened(agent, spread=3.0):
    """Parameters far enough from zero that items differ much in probability."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * spread / 3)
    return agent


def small_agent():
    return sharpened(PG(N, K, PGConfig(encoder=EncoderConfig(hidden_size=5, embedding_size=4)), seed=3, device="cpu"))


def log_probabilities(agent, clicks, state):
    """Log-softmax over the catalogue after one more click, by the policy's own parts."""
    with torch.no_grad():
        recurrent = agent.policy.observe(torch.tensor(clicks), torch.tensor(state))
        return agent.policy.log_probabilities(agent.policy.encoder.output(recurrent)).double().numpy()


def plain_prefixes(logs, slate):
    """Log-probability of each beginning of a slate, draw by draw."""
    weights, found, total = np.exp(logs - logs.max()), [], 0.0
    for item in slate:
        total += np.log(weights[item] / weights.sum())
        weights[item] = 0.0
        found.append(total)
    return found


AGENT = small_agent()
REQUESTS = st.integers(1, 4).flatmap(
    lambda number: st.tuples(
        st.lists(st.integers(0, N), min_size=number, max_size=number),
        st.lists(st.sets(st.integers(0, N - 1), max_size=3), min_size=number, max_size=number),
        st.integers(1, N - 3),
    )
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.booleans(), st.integers(0, 2**32 - 1))
def test_slates_are_of_the_size_asked_for_hold_nothing_excluded_and_say_their_probability(request, top, seed):
    clicks, exclude, k = request
    before = np.random.default_rng(seed).normal(size=(len(clicks), 10)).astype(np.float32)
    AGENT.set_random_seed(seed)
    slates, logs, state = AGENT.recommend(np.array(clicks), (before,), deterministic=top, k=k, exclude=exclude)
    AGENT.set_random_seed(seed)
    again, other_state = AGENT.predict(np.array(clicks), (before,), deterministic=top, k=k, exclude=exclude)
    np.testing.assert_array_equal(slates, again)
    np.testing.assert_array_equal(state[0], other_state[0])
    allowed = log_probabilities(AGENT, clicks, before)
    for row, items in zip(allowed, exclude, strict=True):
        row[list(items)] = -np.inf
    for slate, items, row, found in zip(slates, exclude, allowed, logs, strict=True):
        assert len(set(slate.tolist())) == k
        assert not items & set(slate.tolist())
        if top:
            np.testing.assert_array_equal(row[slate], np.sort(row)[::-1][:k])
            np.testing.assert_array_equal(found, 0.0)
        else:
            np.testing.assert_allclose(found, plain_prefixes(row, slate), atol=1e-5)


@pytest.mark.parametrize("deterministic", [False, True])
def test_asked_for_nothing_the_slates_are_those_of_predict(deterministic):
    clicks = np.array([N, 2, 4])
    AGENT.set_random_seed(1)
    plain, state = AGENT.predict(clicks, deterministic=deterministic)
    AGENT.set_random_seed(1)
    same, other = AGENT.predict(clicks, deterministic=deterministic, k=K, exclude=[[], [], []])
    np.testing.assert_array_equal(plain, same)
    np.testing.assert_array_equal(state[0], other[0])


def test_sampled_slates_come_as_often_as_they_say():
    AGENT.set_random_seed(2)
    number = 20_000
    slates, logs, _ = AGENT.recommend(np.full(number, N), k=2, exclude=np.tile(np.arange(N) > 3, (number, 1)))
    said = {tuple(slate): np.exp(log[-1]) for slate, log in zip(slates.tolist(), logs, strict=True)}
    assert set(said) <= set(itertools.permutations(range(4), 2))
    assert sum(said.values()) == pytest.approx(1.0, abs=0.01)
    counts = np.array([(slates == slate).all(axis=1).sum() for slate in said])
    assert_counts(counts, number, np.array(list(said.values())))


def test_probabilities_of_unlikely_slates_are_not_lost_in_rounding():
    policy = small_agent().policy
    with torch.no_grad():
        policy.head.weight.zero_()
        policy.head.bias.copy_(torch.tensor([0.0, 200.0, 400.0, 400.0, 401.0, 600.0, 600.0]))
    slates = torch.tensor([[5, 4, 0], [6, 5, 1]])
    found = policy.prefix_log_probabilities(policy.start(2), slates).numpy()
    bias = policy.head.bias.detach().double().numpy()
    expected = []
    for slate in slates.tolist():
        left, total, row = set(range(N)), 0.0, []
        for item in slate:
            total += bias[item] - np.logaddexp.reduce(bias[sorted(left)])
            left.remove(item)
            row.append(total)
        expected.append(row)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_session_takes_one_collection_and_gives_one_slate():
    slate, state = AGENT.predict(N, deterministic=True, k=2, exclude={0, 3})
    assert slate.shape == (2,)
    assert state[0].shape == (1, 10)
    assert not {0, 3} & set(slate.tolist())
    whole, _ = AGENT.predict(N, k=N)
    assert sorted(whole.tolist()) == list(range(N))


@pytest.mark.parametrize(
    ("k", "exclude", "message"),
    [
        (0, None, "k must be an integer from 1 to num_items=7"),
        (8, None, "k must be an integer from 1 to num_items=7"),
        (True, None, "k must be an integer"),
        (2.0, None, "k must be an integer"),
        (None, [[1]], "for each of 2 sessions"),
        (None, "ab", "for each of 2 sessions"),
        (None, [[1], [7]], r"exclude\[1\] holds 7, expected item ids from 0 to 6"),
        (None, [[-1], []], r"exclude\[0\] holds -1"),
        (None, [["a"], []], r"exclude\[0\] must be a collection of item ids"),
        (None, [[0.5], []], r"exclude\[0\] must be a collection of item ids"),
        (5, [[], [1, 2, 3]], r"exclude\[1\] leaves 4 of 7 items, fewer than the 5"),
    ],
)
def test_what_cannot_be_is_refused_with_the_place(k, exclude, message):
    with pytest.raises(ValueError, match=message):
        AGENT.predict(np.array([N, N]), k=k, exclude=exclude)


def test_repeated_ids_count_once_and_nothing_excluded_is_nothing_to_do():
    request = SlateRequest.checked(2, [[3, 3, 1], []], number=2, num_items=5, slate_size=3)
    np.testing.assert_array_equal(request.excluded[0], [1, 3])
    assert SlateRequest.checked(None, [[], []], number=2, num_items=5, slate_size=3) == SlateRequest(3, None)


def test_policies_of_fixed_slates_say_that_they_take_neither():
    agent = Optimal(draw_mdp(5, 6, 0), 2)
    with pytest.raises(ValueError, match="Optimal chooses whole slates of 2 items"):
        agent.predict(np.array([0]), k=3)
    choice = agent.recommend(np.array([0, 1]))
    assert np.isnan(choice.log_probabilities).all()
    np.testing.assert_array_equal(choice.slates, agent.predict(np.array([0, 1]))[0])


def log_of(number=40):
    """Sessions of two clicks, of which the first succeed: those after which users go on."""
    rng = np.random.default_rng(0)
    slates = np.argsort(rng.random((2 * number, N)), axis=1)[:, :K]
    clicks = slates[:, 0]
    rewards = (clicks < 4).astype(np.float32)
    rewards[::2] = 1
    return Sessions.from_columns(num_items=N, lengths=[2] * number, slates=slates, clicks=clicks, rewards=rewards)


def test_popular_items_are_ranked_without_those_excluded():
    agent = PopularityPolicy(N, K, seed=1).learn(log_of())
    order, _ = agent.predict(N, deterministic=True, k=N)
    np.testing.assert_array_equal(order[:K], agent.predict(N, deterministic=True)[0])
    slates, _ = agent.predict(np.full(2, N), deterministic=True, k=2, exclude=[[order[0]], [order[1]]])
    np.testing.assert_array_equal(slates, [order[1:3], order[[0, 2]]])
    slates, logs, _ = agent.recommend(np.full(50, N), k=2, exclude=[[int(order[0])]] * 50)
    row = agent._scores.astype(float)
    row[order[0]] = -np.inf
    np.testing.assert_allclose(logs, [plain_prefixes(row, slate) for slate in slates], atol=1e-9)


def test_random_slates_are_equally_probable():
    choice = RandomPolicy(N, K).recommend(np.full(30, N), k=2, exclude=[[0, 1]] * 30, deterministic=True)
    assert choice.slates.min() == 2
    np.testing.assert_allclose(choice.log_probabilities, np.tile(np.log([1 / 5, 1 / 20]), (30, 1)))


@pytest.fixture(scope="module", name="planner")
def learned_planner():
    return ChoicePlanner(N, K, seed=0).learn(log_of())


class TestPlanner:
    def test_the_slate_is_the_best_of_those_allowed(self, planner):
        choice = planner.recommend(np.array([N, N]), deterministic=True, k=2, exclude=[[1, 5], []])
        chooser, beliefs = planner._chooser.slates_for(choice.state[0]), choice.state[0]
        for row, allowed in ((0, [0, 2, 3, 4, 6]), (1, range(N))):
            pairs = np.array(list(itertools.combinations(allowed, 2)))
            scores = chooser.scores(np.tile(beliefs[row], (len(pairs), 1)), pairs)
            reached = chooser.scores(beliefs[row : row + 1], choice.slates[row : row + 1])
            assert reached[0] == pytest.approx(scores.max())
        np.testing.assert_array_equal(choice.log_probabilities, 0.0)

    def test_asked_for_nothing_it_is_the_slate_of_predict(self, planner):
        plain, _ = planner.predict(np.array([N]), deterministic=True)
        np.testing.assert_array_equal(plain, planner.recommend(np.array([N]), deterministic=True).slates)

    def test_drawn_slates_say_their_probability(self, planner):
        number = 4000
        planner.set_random_seed(0)
        slates, logs, _ = planner.recommend(np.full(number, N), k=1, exclude=[[0, 1, 2]] * number)
        assert slates.min() == 3
        for item in range(3, N):
            chance = np.exp(logs[slates[:, 0] == item, 0])
            share = np.mean(slates[:, 0] == item)
            assert share == pytest.approx(chance.mean() if len(chance) else 0.0, abs=0.05)
            assert len(np.unique(chance.round(9))) <= 1

    def test_beliefs_go_on_from_the_slate_that_was_shown(self, planner):
        first = planner.recommend(np.array([N]), deterministic=True, k=2, exclude=[[3]])
        click = first.slates[:, 0]
        _, state = planner.predict(click, first.state, deterministic=True)
        world = planner.world
        expected = world.update(first.state[0], world.totals(first.slates), click)
        np.testing.assert_allclose(state[0], expected)


def test_chooser_among_some_items_keeps_values_by_belief():
    rng = np.random.default_rng(0)
    weights, values = rng.random((2, 6)), rng.random((3, 2, 6))
    items, rows = np.array([0, 2, 5]), np.array([2])
    part = PlannedSlates(weights, values, 4).among(items, 2, rows)
    direct = PlannedSlates(weights[:, items], values[rows][..., items], 2)
    beliefs = np.array([[0.3, 0.7]])
    np.testing.assert_array_equal(part.choose(beliefs), direct.choose(beliefs))


def test_irecgan_takes_requests_too():
    slates, _ = IRecGAN(N, K, seed=0).predict(np.full(5, N), k=4, exclude=[[0]] * 5)
    assert slates.shape == (5, 4)
    assert slates.min() > 0
