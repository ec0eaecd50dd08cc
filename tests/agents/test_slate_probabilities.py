"""What agents say of their slates' probabilities, against the slates that they show."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import chisquare

from irecgan_gym.agents import PG, Agent, ChoicePlanner, PGConfig, PopularityPolicy, RandomPolicy
from irecgan_gym.agents.references.belief import Belief
from irecgan_gym.agents.references.blind import Blind
from irecgan_gym.agents.references.pg_limit import PGLimit
from irecgan_gym.agents.references.state_policies import Optimal
from irecgan_gym.envs.recsim import RecSimEnv
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.ope import OffPolicyData, calibration_p_value
from tests.ope.worlds import all_slates

ITEMS, SIZE = 6, 2
AGENTS = ("random", "popularity", "pg", "planner", "pg-limit", "belief", "blind", "optimal")
DRAWN = AGENTS[:5]


@cache
def env():
    return RecSimEnv(num_states=3, num_items=ITEMS, slate_size=SIZE)


@cache
def log():
    return env().collect(200, seed=0)


@cache
def agent(name):
    mdp = env().mdp
    made = {
        "random": lambda: RandomPolicy(ITEMS, SIZE),
        "popularity": lambda: PopularityPolicy(ITEMS, SIZE),
        "pg": lambda: PG(ITEMS, SIZE, PGConfig(fit=FitConfig(max_epochs=2)), device="cpu"),
        "planner": lambda: ChoicePlanner(ITEMS, SIZE),
        "pg-limit": lambda: PGLimit(mdp, SIZE, "random"),
        "belief": lambda: Belief(mdp, SIZE),
        "blind": lambda: Blind(mdp, SIZE),
        "optimal": lambda: Optimal(mdp, SIZE),
    }[name]()
    return made.learn(log())


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_slates_have_the_stated_probabilities(name):
    drawing = agent(name)
    drawing.set_random_seed(1)
    shown, _ = drawing.predict(np.full(4000, ITEMS))
    slates = all_slates(ITEMS, SIZE)
    counts = np.array([(shown == slate).all(axis=1).sum() for slate in slates])
    start = log().select([0])
    (first,) = drawing.slot_probabilities(start)[1][:1]
    stated = np.exp([drawing.slate_log_probability(one_step(slate))[0] for slate in slates])
    assert np.isclose(stated.sum(), 1, atol=1e-6)
    assert chisquare(counts, stated / stated.sum() * 4000).pvalue > 1e-3
    # And so have those of single places.
    table = drawing.slot_probabilities(start).table[first]
    for place in range(SIZE):
        expected = np.bincount(slates[:, place], stated, minlength=ITEMS)
        np.testing.assert_allclose(table[place], expected, atol=1e-5)


def one_step(slate):
    made = log().select([0])
    return type(made).from_columns(num_items=ITEMS, lengths=[1], slates=[slate], clicks=[slate[0]], rewards=[0])


@pytest.mark.parametrize("name", DRAWN)
def test_probabilities_follow_the_clicks(name):
    drawing = agent(name)
    own = env().collect(1500, seed=2, policy=drawing)
    policy = drawing.evaluation_policy()
    assert calibration_p_value(OffPolicyData.create(own, policy, policy)) > 1e-3
    # Of what came later in a session, too: where the clicks before are those of another session, they are wrong.
    if name in ("planner", "pg-limit"):
        strange = type(own).from_columns(
            num_items=ITEMS,
            lengths=np.ones(own.num_steps, dtype=int),
            slates=own.slate_items.reshape(-1, SIZE),
            clicks=own.clicks,
            rewards=own.rewards,
        )
        assert calibration_p_value(OffPolicyData.create(strange, policy, policy)) < 1e-3


@pytest.mark.parametrize("name", AGENTS)
def test_best_slates_are_a_point_mass_or_softened(name):
    best = agent(name)
    own = env().collect(20, seed=3, policy=best, deterministic=True)
    hard = best.slate_log_probability(own, "top-k")
    soft = best.slate_log_probability(own, "top-k", epsilon=0.25)
    number = ITEMS * (ITEMS - 1)
    np.testing.assert_allclose(np.exp(hard), 1 / number if name == "random" else 1)
    np.testing.assert_allclose(np.exp(soft), 1 / number if name == "random" else 0.75 + 0.25 / number)
    table, contexts = best.slot_probabilities(own, "top-k")
    if name != "random":
        shown = table[contexts[:, None], np.arange(SIZE), own.slate_items.reshape(-1, SIZE)]
        np.testing.assert_allclose(shown, 1)
    if name in AGENTS[5:]:
        np.testing.assert_allclose(best.slate_log_probability(own), 0)


def test_an_agent_that_only_predicts_has_its_best_slates():
    class Memory(RandomPolicy):
        """Shows the last two clicks, the later one first."""

        _sampled_policy = Agent._sampled_policy
        _top_policy = Agent._top_policy

        def _choose(self, observed, state, starts, deterministic):
            before = np.zeros(len(observed), dtype=np.int64) if state is None else np.where(starts, 0, state[0])
            first = np.where(observed == ITEMS, 1, observed)
            second = np.where(before == first, (first + 1) % ITEMS, before)
            return np.stack([first, second], axis=1), (first,)

    own = env().collect(30, seed=4, policy=Memory(ITEMS, SIZE))
    assert (own.lengths > 2).any()
    np.testing.assert_allclose(Memory(ITEMS, SIZE).slate_log_probability(own, "top-k"), 0)
    with pytest.raises(NotImplementedError, match="Memory does not say"):
        Memory(ITEMS, SIZE).slate_log_probability(own)


def test_wrong_deployments_are_named():
    with pytest.raises(ValueError, match="deployment must be"):
        agent("random").evaluation_policy("best")
    with pytest.raises(ValueError, match="epsilon softens"):
        agent("popularity").evaluation_policy(epsilon=0.5)
    with pytest.raises(ValueError, match="epsilon must be a probability"):
        agent("popularity").evaluation_policy("top-k", epsilon=2)
