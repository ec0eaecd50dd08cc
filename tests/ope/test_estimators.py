"""Estimators against exact enumeration: the expectation over every log that can be, beside the true value."""

from functools import cache

import numpy as np
import pytest

from irecgan_gym.ope import (
    MAGIC,
    Abstraction,
    AdaptiveIPS,
    AdaptiveWeights,
    DoublyRobust,
    FromTheTop,
    InclusionIPS,
    KnownLogger,
    LatentIPS,
    OffPolicyData,
    PerDecisionImportanceSampling,
    PlaceRewards,
    PlackettLucePolicy,
    SelfNormalizedDR,
    SelfNormalizedLatentIPS,
    SelfNormalizedSlateIndependentIPS,
    SelfNormalizedSlateRewardInteractionIPS,
    SelfNormalizedSlateStandardIPS,
    SelfNormalizedTIS,
    SinglePlace,
    SlateCascadeDoublyRobust,
    SlateIndependentIPS,
    SlatePseudoInverse,
    SlateRewardInteractionIPS,
    SlateStandardIPS,
    StateMarginalIS,
    SwitchDoublyRobust,
    TopKPolicy,
    TrajectoryWiseImportanceSampling,
    ValueColumns,
    WholeSlate,
    last_click_scores,
    logging_pools,
    magic,
)
from irecgan_gym.ope.plackett_luce import prefix_log_probabilities
from tests.ope.worlds import (
    all_slates,
    cascade_clicks,
    expected_return,
    independent_clicks,
    list_sessions,
    luce_clicks,
    tiny_mdp,
)

GAMMA, SIZE, HORIZON = 0.8, 2, 2
MDP = tiny_mdp(seed=3)
"""Its two states have other best slates, which tell of the state."""
SLATES = all_slates(MDP.num_items, SIZE)
CLICKS = {"luce": luce_clicks, "independent": independent_clicks, "cascade": cascade_clicks}
SCORES = np.random.default_rng(1).normal(size=(MDP.num_items + 1, MDP.num_items))
LOGGED_SCORES = 0.5 * np.random.default_rng(2).normal(size=(MDP.num_items + 1, MDP.num_items))


def softmax_law(scores):
    table = np.stack(
        [np.exp(prefix_log_probabilities(np.tile(row, (len(SLATES), 1)), SLATES)[:, -1]) for row in scores]
    )
    return lambda state, previous: table[previous]


def uniform_law(state, previous):
    return np.full(len(SLATES), 1 / len(SLATES))


TARGET = PlackettLucePolicy(last_click_scores(SCORES), MDP.num_items, SIZE)


@cache
def truth(users):
    return expected_return(list_sessions(MDP, SIZE, softmax_law(SCORES), CLICKS[users], HORIZON), GAMMA)


@cache
def logged(users, logger):
    """Every session of a log and its data, by a logger that reads the last click or nothing."""
    if logger == "uniform":
        law, policy = uniform_law, KnownLogger.named("random", MDP, SIZE, given="clicks")
    else:
        law = softmax_law(LOGGED_SCORES)
        policy = PlackettLucePolicy(last_click_scores(LOGGED_SCORES), MDP.num_items, SIZE)
    listing = list_sessions(MDP, SIZE, law, CLICKS[users], HORIZON)
    assert np.isclose(listing.weights.sum(), 1)
    return listing, OffPolicyData.create(listing.sessions, policy, TARGET, gamma=GAMMA)


def expectation(estimator, users, logger):
    listing, data = logged(users, logger)
    return float(estimator.evaluate(data).statistic.resampled(listing.counts)[0])


class AnyValues:
    """Values that are right about nothing: any numbers for slates, and their exact mean over the policy's slates."""

    def __init__(self, seed=0):
        self.table = np.random.default_rng(seed).normal(size=(MDP.num_items + 1, len(SLATES)))

    def values(self, data):
        before = data.sessions.previous_clicks
        number = {tuple(slate): row for row, slate in enumerate(SLATES.tolist())}
        shown = [number[tuple(slate)] for slate in data.sessions.slate_items.reshape(-1, SIZE).tolist()]
        law = softmax_law(SCORES)
        means = np.array([law(0, row) @ self.table[row] for row in range(MDP.num_items + 1)])
        return ValueColumns(self.table[before, shown], means[before])


@pytest.mark.parametrize("users", ["luce", "independent", "cascade"])
@pytest.mark.parametrize("logger", ["uniform", "softmax"])
@pytest.mark.parametrize(
    "estimator",
    [
        SlateStandardIPS(),
        SelfNormalizedSlateStandardIPS(),
        TrajectoryWiseImportanceSampling(),
        SelfNormalizedTIS(),
        DoublyRobust(AnyValues()),
        SelfNormalizedDR(AnyValues(), None),
        SwitchDoublyRobust(AnyValues(), tau=np.inf),
    ],
    ids=lambda estimator: estimator.estimator_name,
)
def test_whole_slate_weights_are_right_for_any_users(estimator, users, logger):
    # Self-normalized estimates are right in the limit, which their expectation over a whole listing is.
    assert np.isclose(expectation(estimator, users, logger), truth(users), rtol=1e-7)


@pytest.mark.parametrize(
    ("estimator", "right", "wrong"),
    [
        (SlateIndependentIPS(), ["independent"], ["luce", "cascade"]),
        (SelfNormalizedSlateIndependentIPS(), ["independent"], ["luce", "cascade"]),
        (SlateRewardInteractionIPS(), ["independent", "cascade"], ["luce"]),
        (SelfNormalizedSlateRewardInteractionIPS(), ["independent", "cascade"], ["luce"]),
        (SlateCascadeDoublyRobust(PlaceRewards(SCORES[:SIZE])), ["independent", "cascade"], ["luce"]),
        (LatentIPS(), ["luce"], ["independent", "cascade"]),
        (SelfNormalizedLatentIPS(), ["luce"], ["independent", "cascade"]),
        (LatentIPS(Abstraction(SIZE)), ["luce", "independent", "cascade"], []),
        (LatentIPS(Abstraction(1)), [], ["luce", "independent", "cascade"]),
        (InclusionIPS(), [], ["luce", "independent", "cascade"]),
        (SwitchDoublyRobust(AnyValues(), tau=1.0), [], ["luce", "independent", "cascade"]),
    ],
    ids=lambda value: getattr(value, "estimator_name", ""),
)
@pytest.mark.parametrize("logger", ["uniform", "softmax"])
def test_what_is_assumed_of_users_decides(estimator, right, wrong, logger):
    for users in right:
        assert np.isclose(expectation(estimator, users, logger), truth(users), rtol=1e-7), users
    for users in wrong:
        assert abs(expectation(estimator, users, logger) / truth(users) - 1) > 1e-3, users


def test_pseudo_inverse_needs_no_product_form_where_clicks_add_up_over_places():
    estimator = SlatePseudoInverse()
    assert np.isclose(expectation(estimator, "independent", "uniform"), truth("independent"), rtol=1e-9)
    for users in ("luce", "cascade"):
        assert abs(expectation(estimator, users, "uniform") / truth(users) - 1) > 1e-3


def test_switch_dr_trusts_the_model_alone_at_tau_0():
    listing, data = logged("luce", "softmax")
    model = AnyValues()
    first = model.values(data).chosen[data.sessions.offsets[:-1]]
    assert np.isclose(expectation(SwitchDoublyRobust(model, tau=0.0), "luce", "softmax"), listing.weights @ first)


def confounded(mdp, given, target, horizon):
    """Every session of a log by one who sees the state, and its data as seen by who knows what is ``given``."""
    mixture = logging_pools("max", mdp, SIZE, epsilon=0.5)
    slates = all_slates(mdp.num_items, SIZE)
    law = [
        np.exp(mixture.prefix_log_probabilities(np.full(len(slates), state), slates)[:, -1])
        for state in range(mdp.num_states)
    ]
    listing = list_sessions(mdp, SIZE, lambda state, previous: law[state], luce_clicks, horizon)
    logger = KnownLogger(mixture, mdp, given=given)
    return listing, OffPolicyData.create(listing.sessions, logger, target, gamma=GAMMA)


@pytest.mark.parametrize(
    ("given", "unbiased"), [("state", True), ("history", False), ("clicks", False)], ids=["state", "history", "clicks"]
)
def test_a_logger_that_sees_more_confounds_unless_what_it_saw_is_known(given, unbiased):
    listing, data = confounded(MDP, given, TARGET, HORIZON)
    for estimator in (SlateStandardIPS(), LatentIPS(), SelfNormalizedSlateStandardIPS()):
        value = float(estimator.evaluate(data).statistic.resampled(listing.counts)[0])
        assert np.isclose(value, truth("luce"), rtol=1e-8) if unbiased else abs(value / truth("luce") - 1) > 1e-3


FEW = tiny_mdp(num_items=3, seed=3)
"""Few items, for longer sessions."""


@cache
def without_memory():
    """A log of three steps whose logger sees the state, a policy that reads nothing, and its true value."""
    scores = np.tile(SCORES[:1, : FEW.num_items], (FEW.num_items + 1, 1))
    target = PlackettLucePolicy(last_click_scores(scores), FEW.num_items, SIZE)
    slates = all_slates(FEW.num_items, SIZE)
    law = np.exp(prefix_log_probabilities(np.tile(scores[0], (len(slates), 1)), slates)[:, -1])
    true = expected_return(list_sessions(FEW, SIZE, lambda state, previous: law, luce_clicks, 3), GAMMA)
    return *confounded(FEW, "state", target, 3), true


@pytest.mark.parametrize("states", ["state", "click"])
def test_marginal_weights_are_right_where_the_state_is_one(states):
    listing, data, true = without_memory()
    value = float(StateMarginalIS(states=states).evaluate(data).statistic.resampled(listing.counts)[0])
    # The last click is no state: it hides where the user is, which the logger saw.
    assert np.isclose(value, true, rtol=1e-8) == (states == "state")


def test_marginal_weights_have_a_smaller_variance_than_products():
    listing, data, _ = without_memory()
    rho = StateMarginalIS(states="state").evaluate(data).statistic.ratios_of_steps(listing.weights)
    weights = data.of_steps(rho)
    products = data.shifted(data.running_products(np.exp(data.target.slates - data.logging.slates)), 1.0)
    of_steps = np.repeat(listing.weights, listing.sessions.lengths)
    assert of_steps @ weights**2 < of_steps @ products**2


def test_abstraction_never_has_a_larger_variance():
    listing, data = logged("luce", "uniform")
    spreads = []
    for estimator in (LatentIPS(), SlateStandardIPS()):
        values = estimator.evaluate(data).statistic.plain
        spreads.append(listing.weights @ values**2)
    assert spreads[0] < spreads[1]


def test_a_top_k_policy_without_its_slates_in_the_log_is_worth_nothing_to_weights():
    listing, _ = logged("luce", "uniform")
    top = TopKPolicy(last_click_scores(SCORES), MDP.num_items, SIZE)
    without = listing.sessions.select(
        ~np.isin(
            np.arange(len(listing.sessions)),
            listing.sessions.session_of_step[np.isfinite(top.propensities(listing.sessions).slates)],
        )
    )
    data = OffPolicyData.create(without, KnownLogger.named("random", MDP, SIZE, given="clicks"), top)
    for estimator in (SlateStandardIPS(), SelfNormalizedSlateStandardIPS()):
        found = estimator.evaluate(data)
        assert found.estimate == 0
        assert found.effective_sample_size == 0


class RightValues:
    """Values of the policy of :func:`without_memory` as they are, by state and steps left."""

    def values(self, data):
        slates = all_slates(FEW.num_items, SIZE)
        scores = np.tile(SCORES[0, : FEW.num_items], (len(slates), 1))
        law = np.exp(prefix_log_probabilities(scores, slates)[:, -1])
        worth = np.zeros((4, FEW.num_states))
        of_slates = np.zeros((4, FEW.num_states, len(slates)))
        for step in reversed(range(3)):
            for state in range(FEW.num_states):
                for number, slate in enumerate(slates):
                    of_slates[step, state, number] = sum(
                        chance
                        * FEW.rewards[state, click]
                        * (1 + GAMMA * FEW.transitions[state, click] @ worth[step + 1])
                        for click, chance in luce_clicks(FEW, state, slate)
                    )
                worth[step, state] = law @ of_slates[step, state]
        number = {tuple(slate): row for row, slate in enumerate(slates.tolist())}
        shown = [number[tuple(slate)] for slate in data.sessions.slate_items.reshape(-1, SIZE).tolist()]
        steps, states = data.step_in_session, data.sessions.states
        return ValueColumns(of_slates[steps, states, shown], worth[steps, states])


def test_every_blend_of_a_right_model_is_right():
    listing, data, true = without_memory()
    magic = MAGIC(RightValues())
    assert np.isclose(float(magic.evaluate(data).statistic.resampled(listing.counts)[0]), true, rtol=1e-8)
    shares = magic.shares(data)
    assert len(shares) == 4
    assert np.isclose(shares.sum(), 1)
    assert (shares >= 0).all()


def test_a_blend_goes_from_the_model_to_the_weights():
    listing, data = logged("luce", "softmax")
    model = AnyValues()
    terms, _ = MAGIC(model)._terms(data)
    steps = int(data.sessions.lengths.max())
    first, whole = (magic._blended(terms, np.eye(steps + 1)[j]).resampled(listing.counts)[0] for j in (0, steps))
    assert np.isclose(first, listing.weights @ model.values(data).chosen[data.sessions.offsets[:-1]])
    assert np.isclose(whole, truth("luce"), rtol=1e-7)
    assert abs(first / truth("luce") - 1) > 1e-3


def users_by_state(mdp, state, slate):
    """Look at one place at first; read from the top down in the other state."""
    return independent_clicks(mdp, state, slate) if state == 0 else cascade_clicks(mdp, state, slate)


def test_weights_by_context_are_right_where_users_differ():
    true = expected_return(list_sessions(MDP, SIZE, softmax_law(SCORES), users_by_state, HORIZON), GAMMA)
    listing = list_sessions(MDP, SIZE, uniform_law, users_by_state, HORIZON)
    logger = KnownLogger.named("random", MDP, SIZE, given="clicks")
    data = OffPolicyData.create(listing.sessions, logger, TARGET, gamma=GAMMA)
    kinds = (WholeSlate(), FromTheTop(), SinglePlace())

    def expected(choices, otherwise):
        weighing = PerDecisionImportanceSampling(AdaptiveWeights(kinds, choices, otherwise))
        return float(weighing.evaluate(data).statistic.resampled(listing.counts)[0])

    start = MDP.num_items
    assert np.isclose(expected({start: 2}, 1), true, rtol=1e-7)
    assert np.isclose(expected({start: 1}, 0), true, rtol=1e-7)
    assert abs(expected({start: 2}, 2) / true - 1) > 1e-3


def test_the_kind_is_learned_from_the_log():
    listing, data = logged("cascade", "uniform")
    drawn = data.select(np.random.default_rng(0).choice(len(listing.weights), 6000, p=listing.weights))
    fitted = AdaptiveWeights.fit(drawn, (WholeSlate(), FromTheTop(), SinglePlace()))
    assert fitted.choices[MDP.num_items] == 1
    found, plain = AdaptiveIPS().evaluate(drawn), SlateStandardIPS().evaluate(drawn)
    assert abs(found.estimate - truth("cascade")) < 4 * found.standard_error()
    assert found.standard_error() < plain.standard_error()
    with pytest.raises(ValueError, match="choices must be numbers of 1 kinds"):
        AdaptiveWeights((WholeSlate(),), {0: 1})


@pytest.mark.parametrize(
    ("matrix", "shares"),
    [
        ([[1.0, 0.0], [0.0, 2.0]], [2 / 3, 1 / 3]),
        ([[1.0, 2.0], [2.0, 5.0]], [1.0, 0.0]),
        ([[4.0, 0.0], [0.0, 0.0]], [0.0, 1.0]),
        ([[1.0, 1.0], [1.0, 1.0]], [0.5, 0.5]),
    ],
)
def test_the_smallest_blend_in_closed_form(matrix, shares):
    np.testing.assert_allclose(magic.smallest_blend(np.array(matrix)), shares, atol=1e-4)
