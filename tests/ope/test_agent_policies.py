import numpy as np
import pytest
import torch

from irecgan_gym.mdp import draw_mdp
from irecgan_gym.models.building import build
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.ope.agent_policies import as_evaluation_policy, slate_log_probability, slot_probabilities
from irecgan_gym.sessions import Sessions
from tests.frequencies import assert_counts


class Agent:
    def __init__(self):
        config = EncoderConfig(embedding_size=4, hidden_size=5)
        self.policy = build(lambda: SlatePolicy(6, 2, config), torch.Generator().manual_seed(0), torch.device("cpu"))


@pytest.fixture(scope="module")
def agent():
    return Agent()


@pytest.fixture(scope="module")
def sessions():
    mdp = draw_mdp(2, 6, mdp_seed=0)
    assert mdp.num_items == 6
    return Sessions.from_columns(
        num_items=6,
        lengths=[3, 1],
        slates=[[0, 1], [2, 5], [4, 3], [1, 0]],
        clicks=[1, 2, 3, 0],
        rewards=[1, 1, 0, 0],
    )


def states_at_each_step(agent, sessions):
    """The policy's recurrent state, one click after the other."""
    states = []
    for session in sessions:
        state = agent.policy.start(1)
        for click in session.clicks:
            states.append(state)
            state = agent.policy.observe(torch.tensor([int(click)]), state)
    return states


def test_sampled_slates_have_the_stated_probabilities(agent, sessions):
    logs = slate_log_probability(agent, sessions)
    table, contexts = slot_probabilities(agent, sessions)
    drawn = as_evaluation_policy(agent).sample(sessions, 4000, np.random.default_rng(0))
    generator = torch.Generator().manual_seed(0)
    for step, state in enumerate(states_at_each_step(agent, sessions)):
        shown = agent.policy.sample(state, generator, draws=4000).numpy()
        slate = sessions.slate_items.reshape(-1, 2)[step]
        for slates in (shown, drawn[step]):
            assert_counts((slates == slate).all(axis=1).sum(), 4000, np.exp(logs[step]))
            for place in range(2):
                counts = np.bincount(slates[:, place], minlength=6)
                assert_counts(counts, 4000, table[contexts[step], place])


def test_top_k_is_a_point_mass_or_softened(agent, sessions):
    tops = [agent.policy.top(state)[0].tolist() for state in states_at_each_step(agent, sessions)]
    policy = as_evaluation_policy(agent, "top-k")
    assert policy.sample(sessions, 1, np.random.default_rng(0))[:, 0].tolist() == tops
    starts = Sessions.from_columns(
        num_items=6, lengths=[1, 1], slates=[tops[0], tops[0][::-1]], clicks=[tops[0][0]] * 2, rewards=[0, 0]
    )
    np.testing.assert_array_equal(slate_log_probability(agent, starts, "top-k"), [0, -np.inf])
    softened = np.exp(slate_log_probability(agent, starts, "top-k", epsilon=0.1))
    np.testing.assert_allclose(softened, [0.9 + 0.1 / 30, 0.1 / 30])


def test_softening_is_for_top_k_alone(agent):
    with pytest.raises(ValueError, match="epsilon softens"):
        as_evaluation_policy(agent, "sampled", epsilon=0.1)
    with pytest.raises(ValueError, match="deployment must be"):
        as_evaluation_policy(agent, "greedy")
