"""Algorithm 1 and the loops of the other agents: which updates are made, how often, on what, and what is kept."""

from dataclasses import replace
from itertools import chain

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from irecgan_gym.agents import (
    AGENT_NAMES,
    ACUConfig,
    IRecGAN,
    IRecGANConfig,
    LSTMDConfig,
    PGCConfig,
    PGConfig,
    PGUConfig,
    adversarial_updates,
    agent_class,
    discriminator_training,
    irecgan,
    logging_policy_model,
    make_agent,
    pgu,
    policy_gradient,
    pre_training,
    selection,
)
from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.selection import SELECTION_RULES
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW, EarlyStopping, FitConfig
from irecgan_gym.sessions import Sessions

SHAPE = EncoderConfig(hidden_size=4, embedding_size=3)
FIT = FitConfig(max_epochs=2, batch_size=16)
ROUNDS = {"encoder": SHAPE, "fit": FIT, "rounds": 2, "r_steps": 2}
MODEL = {**ROUNDS, "user_model_fit": FIT, "generated_share": 0.2}
CONFIGS = {
    "pgc": PGCConfig(**ROUNDS, generated_share=0.2),
    "pgu": PGUConfig(**MODEL),
    "acu": ACUConfig(**MODEL),
    "irecgan": IRecGANConfig(
        **MODEL,
        d_steps=3,
        pre_training_d_steps=2,
        num_rollouts=2,
        discriminator_sessions=12,
        discriminator_fit=FitConfig(max_epochs=1),
    ),
}


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=12, slate_size=3).unwrapped.collect(50, seed=0)


def agent_of(kind, log, **changes):
    config = CONFIGS.get(kind)
    if config is None:
        config = LSTMDConfig(CONFIGS["irecgan"]) if kind == "lstmd" else agent_class(kind).config_type(SHAPE, FIT)
    config = replace(config, **changes)
    return make_agent(kind, num_items=log.num_items, slate_size=3, config=config, seed=0, device="cpu")


def flat(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def signature(session):
    """What was shown and clicked, by which sessions of large enough catalogues are known again."""
    return (*np.concatenate(session.slates).tolist(), *session.clicks.tolist())


class Calls(list):
    """Calls of functions, in order: name, arguments, result."""

    def spy(self, monkeypatch, module, name):
        real = getattr(module, name)

        def called(*args, **kwargs):
            result = real(*args, **kwargs)
            self.append((name, args, kwargs, result))
            return result

        monkeypatch.setattr(module, name, called)

    @property
    def names(self):
        return [name for name, *_ in self]

    def of(self, wanted):
        return [call[1:] for call in self if call[0] == wanted]


@pytest.fixture
def calls(monkeypatch):
    calls = Calls()
    for module, name in (
        (pre_training, "fit_user_model"),
        (pre_training, "fit_policy"),
        (irecgan, "generate_adversarial_sessions"),
        (adversarial_updates, "generate_sessions"),
        (adversarial_updates, "user_model_epoch"),
        (adversarial_updates, "fit_discriminator"),
    ):
        calls.spy(monkeypatch, module, name)
    return calls


def test_irecgan_makes_the_steps_of_algorithm_1_in_their_order(calls, log, monkeypatch):
    agent = agent_of("irecgan", log)
    calls.spy(monkeypatch, policy_gradient.PolicyUpdates, "update")
    agent.learn(log)
    # A d-step ends with other generated sessions, beside which those held out are judged.
    d_step = ["generate_sessions", "fit_discriminator", "generate_sessions"]
    r_step = ["generate_adversarial_sessions", "user_model_epoch", "update"]
    assert calls.names == ["fit_user_model", "fit_policy", *d_step * 2, *(r_step * 2 + d_step * 3) * 2]


def test_irecgan_learns_from_as_much_as_its_settings_say(calls, log):
    agent_of("irecgan", log).learn(log)
    # A tenth of the 50 sessions is held out, and a fifth of the other 45 generated.
    assert [args[2] for args, *_ in calls.of("generate_adversarial_sessions")] == [9] * 4
    assert [args[2] for args, *_ in calls.of("generate_sessions")] == [12, 5] * 8
    for args, _, _ in calls.of("fit_discriminator"):
        assert len(args[1]) == len(args[2]) == 12
    seeds = [
        kwargs["seed"] for _, kwargs, _ in calls.of("generate_adversarial_sessions") + calls.of("generate_sessions")
    ]
    assert len(set(seeds)) == len(seeds)


SCALES = ["mean", "none"]


def scaled(generated, score_scale):
    return generated.scores / (generated.scores.mean() if score_scale == "mean" else 1)


@pytest.mark.parametrize("score_scale", SCALES)
def test_the_user_model_learns_with_the_weights_of_eq_7(score_scale, calls, log):
    agent_of("irecgan", log, score_scale=score_scale).learn(log)
    for (*_, generated), (args, *_) in zip(
        calls.of("generate_adversarial_sessions"), calls.of("user_model_epoch"), strict=True
    ):
        data, weights = args[1], args[5]
        real = data.sessions.num_steps - generated.sessions.num_steps
        assert real > 0
        np.testing.assert_array_equal(weights[:real], 1)
        np.testing.assert_allclose(weights[real:], scaled(generated, score_scale), rtol=1e-6)
        np.testing.assert_array_equal(data.sessions.clicks[real:], generated.sessions.clicks)
        assert (generated.scores < 1).all()


@pytest.mark.parametrize("score_scale", SCALES)
def test_the_policy_learns_from_rescaled_rewards_beside_the_offline_ones(score_scale, calls, log, monkeypatch):
    calls.spy(monkeypatch, policy_gradient.PolicyUpdates, "update")
    agent = agent_of("irecgan", log, gamma=0.0, score_scale=score_scale)
    agent.learn(log)
    for (*_, generated), (args, *_) in zip(calls.of("generate_adversarial_sessions"), calls.of("update"), strict=True):
        data = args[1]
        both = data.sessions.sessions
        returns = np.empty(both.num_steps)
        for batch in data.sessions.all(1000):
            returns[batch.steps.numpy()] = data.returns(batch).numpy()
        offline = both.num_steps - generated.sessions.num_steps
        np.testing.assert_allclose(returns[:offline], 1 + 3 * both.rewards[:offline])
        expected = scaled(generated, score_scale) * (1 + 3 * generated.sessions.rewards)
        np.testing.assert_allclose(returns[offline:], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("accuracies", "updates"),
    [
        # The mean of the last three is what counts, and there must be three.
        ([1.0, 0.5, 0.5, 1.0, 1.0, 1.0], 5),
        ([1.0, 1.0, 1.0, 1.0], 3),
        ([0.75, 0.75, 0.75, 0.75], 3),
        ([0.6] * 9, 6),
    ],
)
def test_the_discriminator_is_pre_trained_until_it_discriminates_or_the_most(
    accuracies, updates, calls, log, monkeypatch
):
    script = iter(accuracies)
    monkeypatch.setattr(adversarial_updates, "discriminator_accuracy", lambda *_, **__: next(script))
    agent = agent_of("irecgan", log, rounds=0, pre_training_d_steps=6, discriminator_accuracy=0.75).learn(log)
    assert len(calls.of("fit_discriminator")) == agent.treatment["treatment/discriminator_updates"] == updates
    expected = np.mean(accuracies[:updates][-3:])
    assert agent.treatment["treatment/discriminator_accuracy"] == pytest.approx(expected)


def test_held_out_sessions_are_never_shown_to_the_discriminator(calls, monkeypatch):
    # Random slates of 50 items: no two sessions are the same.
    log = gym.make("RecSim-v0", logging_policy="random", num_items=50, slate_size=3).unwrapped.collect(50, seed=0)
    judged = Calls()
    judged.spy(monkeypatch, adversarial_updates, "discriminator_accuracy")
    agent_of("irecgan", log, discriminator_sessions=1000).learn(log)
    shown = [{signature(session) for session in args[1]} for args, *_ in calls.of("fit_discriminator")]
    held_out = [{signature(session) for session in args[1]} for args, *_ in judged.of("discriminator_accuracy")]
    everything = {signature(session) for session in log}
    assert len(everything) == 50
    for learned, kept in zip(shown, held_out, strict=True):
        assert (len(learned), len(kept)) == (45, 5)
        assert learned | kept == everything
    assert {len(args[2]) for args, *_ in judged.of("discriminator_accuracy")} == {5}


@pytest.mark.parametrize("epochs", [0, 2])
def test_passes_over_offline_data_alone_follow_the_r_steps(epochs, calls, log):
    agent_of("irecgan", log, likelihood_epochs=epochs).learn(log)
    rounds = calls.of("user_model_epoch")
    assert len(rounds) == 2 * (2 + epochs)
    real = rounds[0][0][1].sessions.num_steps - calls.of("generate_adversarial_sessions")[0][2].sessions.num_steps
    for number in range(2):
        of_round = rounds[number * (2 + epochs) : (number + 1) * (2 + epochs)]
        # Eq 7 has weights; Eq 3 has none, and real sessions alone.
        assert [len(args) for args, *_ in of_round] == [6] * 2 + [5] * epochs
        for args, _, _ in of_round[2:]:
            assert args[1].sessions.num_steps == real


def test_generated_sessions_are_cut_where_the_settings_say(calls, log):
    agent_of("irecgan", log, length_cut=0.5).learn(log)
    [cut] = {kwargs["max_session_steps"] for _, kwargs, _ in calls.of("generate_sessions")}
    assert cut == pytest.approx(0.5 * log.lengths.mean(), abs=1)
    assert 1 <= cut < log.lengths.max()
    lengths = [generated.sessions.lengths.max() for *_, generated in calls.of("generate_adversarial_sessions")]
    assert max(lengths) == cut


@pytest.mark.parametrize("kind", ["pgu", "irecgan"])
def test_a_pool_of_generated_sessions_is_learned_from_again(kind, log, monkeypatch):
    calls = Calls()
    calls.spy(monkeypatch, policy_gradient.PolicyUpdates, "update")
    agent_of(kind, log, generated_pool=12).learn(log)
    # 45 offline, 9 fresh ones, and at most 12 of those before.
    assert [args[1].num_sessions for args, *_ in calls.of("update")] == [54, 63, 66, 66]


@pytest.mark.parametrize("kind", ["pgu", "acu"])
def test_agents_with_a_user_model_generate_for_every_r_step(kind, log, monkeypatch):
    calls = Calls()
    calls.spy(monkeypatch, pgu, "generate_sessions")
    calls.spy(monkeypatch, policy_gradient.PolicyUpdates, "update")
    agent_of(kind, log).learn(log)
    assert calls.names == ["generate_sessions", "update"] * 4
    assert [len(generated) for *_, generated in calls.of("generate_sessions")] == [9] * 4


def test_the_control_makes_as_many_updates_from_offline_data_alone(log, monkeypatch):
    calls = Calls()
    calls.spy(monkeypatch, policy_gradient.PolicyUpdates, "update")
    agent_of("pgc", log).learn(log)
    # A fifth of the 45 sessions a second time, where others learn from generated ones.
    updates = [args[1].sessions.sessions for args, *_ in calls.of("update")]
    assert [len(sessions) for sessions in updates] == [54] * 4
    offline, again = updates[0].select(slice(0, 45)), [sessions.select(slice(45, 54)) for sessions in updates]
    logged = {signature(session) for session in offline}
    for replayed in again:
        assert {signature(session) for session in replayed} <= logged
    assert len({tuple(replayed.slate_items) for replayed in again}) == 4


class Script:
    """Losses of the method itself on held-out sessions as written down, and the parameters at each of them."""

    def __init__(self, monkeypatch, losses):
        self.losses, self.states = iter(losses), []
        monkeypatch.setattr(selection.HeldOutObjective, "loss", lambda _, policy: self.take(policy))

    def take(self, policy):
        self.states.append(flat(policy))
        return next(self.losses)


def test_fitting_a_policy_stops_early_and_keeps_the_best(log, monkeypatch):
    script = Script(monkeypatch, [3.0, 1.0, 2.0, 1.5, 0.0])
    fit = FitConfig(max_epochs=5, patience=2, batch_size=16)
    agent = agent_of("pg", log, fit=fit, selection="objective").learn(log)
    assert len(script.states) == 4
    assert torch.equal(flat(agent.policy), script.states[1])
    assert not torch.equal(script.states[1], script.states[3])


@pytest.mark.parametrize("kind", CONFIGS)
def test_rounds_stop_early_and_keep_the_best_policy(kind, log, monkeypatch):
    # One epoch of pre-training, the policy that it leaves, and the rounds.
    script = Script(monkeypatch, [5.0, 5.0, 3.0, 4.0, 4.0, 0.0])
    fit = FitConfig(max_epochs=1, batch_size=16)
    agent = agent_of(kind, log, fit=fit, rounds=4, patience=2, selection="objective").learn(log)
    assert len(script.states) == 5
    assert torch.equal(flat(agent.policy), script.states[2])
    assert not torch.equal(script.states[2], script.states[4])
    assert (agent.treatment["treatment/kept_round"], agent.treatment["treatment/rounds"]) == (1, 3)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_pre_trained_policy_is_kept_where_no_round_is_better(kind, log, monkeypatch):
    script = Script(monkeypatch, [5.0, 5.0, 6.0, 7.0])
    fit = FitConfig(max_epochs=1, batch_size=16)
    agent = agent_of(kind, log, fit=fit, selection="objective").learn(log)
    assert torch.equal(flat(agent.policy), script.states[1])
    assert not torch.equal(script.states[1], script.states[3])
    assert (agent.treatment["treatment/kept_round"], agent.treatment["treatment/policy_moved"]) == (0, 0)


@pytest.mark.parametrize("kind", CONFIGS)
def test_training_of_a_fixed_length_ends_with_what_it_ends_with(kind, log, monkeypatch):
    states, validate = [], policy_gradient.PolicyTraining.validate

    def spy(self):
        states.append(flat(self._policy))
        return validate(self)

    monkeypatch.setattr(policy_gradient.PolicyTraining, "validate", spy)
    # Whatever the patience is: there is nothing to wait for.
    agent = agent_of(kind, log, rounds=3, patience=1).learn(log)
    # Two epochs of pre-training, the policy that they leave, and three rounds.
    assert len(states) == 6
    assert torch.equal(states[1], states[2])
    assert torch.equal(flat(agent.policy), states[-1])
    assert not torch.equal(states[-1], states[-2])
    assert (agent.treatment["treatment/kept_round"], agent.treatment["treatment/rounds"]) == (3, 3)


@pytest.mark.parametrize(("selection", "kept"), [("objective", 1), ("last", 2)])
def test_the_user_model_is_that_of_the_best_round_where_rounds_are_chosen_and_the_last_else(
    selection, kept, log, monkeypatch
):
    states, script = [], iter([-4.0, -1.0, -2.0])

    def validate(model, batches):
        states.append(flat(model))
        return next(script), 0.0

    monkeypatch.setattr(adversarial_updates, "mean_log_likelihood", validate)
    agent = agent_of("irecgan", log, user_model_learning_rate=1e-2, selection=selection).learn(log)
    assert torch.equal(flat(agent.user_model), states[kept])
    assert not torch.equal(states[1], states[2])


def test_the_model_of_the_logging_policy_stops_early_and_keeps_its_best_epoch(log, monkeypatch):
    states, losses, stoppings = [], iter([3.0, 1.0, 2.0, 1.5, 0.0]), []

    class Scripted(EarlyStopping):
        def __init__(self, module, patience=None):
            super().__init__(module, patience)
            stoppings.append(module)

        def update(self, loss):
            states.append(flat(stoppings[0]))
            return super().update(next(losses))

    monkeypatch.setattr(logging_policy_model, "EarlyStopping", Scripted)
    fit = FitConfig(max_epochs=5, patience=2, batch_size=16)
    agent_of("pgis", log, propensities="estimated", logging_policy_fit=fit).learn(log)
    assert len(states) == 4
    assert torch.equal(flat(stoppings[0]), states[1])
    assert not torch.equal(states[1], states[3])


@pytest.fixture
def batches(monkeypatch):
    """The numbers of the sessions in each batch that is cut."""
    cut, batch = [], SessionTensors.batch

    def spy(self, numbers):
        cut.append(numbers.tolist())
        return batch(self, numbers)

    monkeypatch.setattr(SessionTensors, "batch", spy)
    return cut


def assert_epochs_are_shuffled(epochs, number):
    for epoch in epochs:
        assert sorted(epoch) == list(range(number))
        assert epoch != list(range(number))
    assert epochs[0] != epochs[1]


def test_batches_of_a_policy_are_shuffled(batches, log):
    # Batches of 9 of 45 sessions; the 5 held-out ones are one batch, in their order.
    agent_of("pg", log, fit=FitConfig(max_epochs=2, batch_size=9)).learn(log)
    assert_epochs_are_shuffled([list(chain(*batches[first : first + 5])) for first in (0, 6)], 45)


def test_batches_of_the_logging_policy_are_shuffled(batches, log):
    agent_of("pgis", log, propensities="estimated", logging_policy_fit=FitConfig(max_epochs=2, batch_size=9)).learn(log)
    assert_epochs_are_shuffled([list(chain(*batches[first : first + 5])) for first in (0, 6)], 45)


def test_batches_of_the_discriminator_are_shuffled(batches, log):
    discriminator = Discriminator.create(DiscriminatorConfig(12, SHAPE), seed=0, device="cpu")
    fit = FitConfig(max_epochs=2, batch_size=10)
    real, generated = log.select(np.arange(20)), log.select(np.arange(20, 40))
    rng = np.random.default_rng(0)
    fit_discriminator(
        discriminator, real, generated, ClippedAdamW(discriminator, fit), fit, leave_option=False, generator=rng
    )
    assert [len(batch) for batch in batches] == [20] * 4
    for first, kind in ((0, real), (20, generated)):
        orders = [
            [one for batch in batches[at : at + 2] for one in batch if first <= one < first + 20] for at in (0, 2)
        ]
        assert_epochs_are_shuffled([[one - first for one in order] for order in orders], len(kind))


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_discriminator_is_trained_for_its_epochs(epochs, log, monkeypatch):
    calls = Calls()
    calls.spy(monkeypatch, discriminator_training, "discriminator_loss")
    discriminator = Discriminator.create(DiscriminatorConfig(12, SHAPE), seed=0, device="cpu")
    fit, before = FitConfig(max_epochs=epochs, batch_size=10), flat(discriminator)
    parts = log.select(np.arange(20)), log.select(np.arange(20, 40))
    optimizer, rng = ClippedAdamW(discriminator, fit), np.random.default_rng(0)
    fit_discriminator(discriminator, *parts, optimizer, fit, leave_option=False, generator=rng)
    assert len(calls) == 2 * epochs
    assert not torch.equal(before, flat(discriminator))


def reachable(thing, seen):
    """Everything that an object holds, by attributes, containers and closures."""
    if id(thing) in seen or isinstance(thing, (type, str, bytes, int, float, torch.Tensor, np.ndarray)):
        return
    seen[id(thing)] = thing
    parts = [thing.keys(), thing.values()] if isinstance(thing, dict) else []
    held = [item for part in parts for item in part]
    if isinstance(thing, (list, tuple, set, frozenset)):
        held += list(thing)
    if hasattr(thing, "__dict__"):
        held += list(vars(thing).values())
    held += [cell.cell_contents for cell in getattr(thing, "__closure__", None) or ()]
    held += [getattr(thing, "__self__", None)]
    for one in held:
        reachable(one, seen)


@pytest.mark.parametrize("kind", AGENT_NAMES)
def test_a_trained_agent_holds_no_log_and_no_optimizer(kind, log):
    agent = agent_of(kind, log).learn(log)
    seen = {}
    reachable(agent, seen)
    assert any(isinstance(one, nn.Module) for one in seen.values())
    kept = (Sessions, SessionTensors, ClippedAdamW, torch.optim.Optimizer, EarlyStopping)
    assert [type(one).__name__ for one in seen.values() if isinstance(one, kept)] == []


@pytest.mark.parametrize("kind", AGENT_NAMES)
def test_at_most_two_base_classes_stand_above_an_agent(kind):
    ours = [base for base in agent_class(kind).__mro__[1:] if base.__module__.startswith("irecgan_gym")]
    assert len(ours) <= 2


def test_learning_goes_on_from_the_present_networks(log):
    agent = agent_of("irecgan", log)
    start = flat(agent.policy)
    agent.learn(log)
    first = flat(agent.policy)
    agent.learn(log)
    assert not torch.equal(start, first)
    assert not torch.equal(first, flat(agent.policy))


def test_senseless_settings_are_refused():
    with pytest.raises(ValueError, match="r_steps must be at least 1, got 0"):
        PGCConfig(r_steps=0)
    with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1, got 1"):
        PGConfig(validation_fraction=1)
    with pytest.raises(ValueError, match="generated_share must be positive, got 0"):
        PGUConfig(generated_share=0)
    with pytest.raises(ValueError, match="max_generated must be at least 1, got 0"):
        PGCConfig(max_generated=0)
    with pytest.raises(ValueError, match=r"selection must be 'last', .*, got 'best'") as refused:
        PGConfig(selection="best")
    assert all(repr(rule) in str(refused.value) for rule in SELECTION_RULES)
    for settings, message in (
        ({"unrewarded_click": -1.0}, "unrewarded_click must not be negative, got -1"),
        ({"generated_pool": -1}, "generated_pool must not be negative, got -1"),
        ({"length_cut": 0.0}, "length_cut must be positive, got 0"),
        ({"likelihood_epochs": -1}, "likelihood_epochs must not be negative, got -1"),
        ({"pre_training_d_steps": 0}, "pre_training_d_steps must be at least 1, got 0"),
        ({"d_steps": 0}, "d_steps must be at least 1, got 0"),
        ({"num_rollouts": 0}, "num_rollouts must be at least 1, got 0"),
        ({"discriminator_sessions": 0}, "discriminator_sessions must be at least 1, got 0"),
        ({"discriminator_accuracy": 0.4}, "discriminator_accuracy must be from 0.5 to 1, got 0.4"),
        ({"score_at": "session"}, "score_at must be 'reward' or 'click', got 'session'"),
        ({"score_scale": "max"}, "score_scale must be 'mean' or 'none', got 'max'"),
    ):
        with pytest.raises(ValueError, match=message):
            IRecGANConfig(**settings)


def test_logs_over_another_catalogue_are_refused(log):
    with pytest.raises(ValueError, match="the sessions have 12 items, the policy 13"):
        IRecGAN(13, 3, CONFIGS["irecgan"], device="cpu").learn(log)


def test_a_progress_bar_shows_the_components_and_hands_the_numbers_on(log, capsys):
    class Keep(dict):
        def record(self, values, step):
            self.update(values)

    kept = Keep()
    agent_of("pgc", log).learn(log, recorder=kept, progress_bar=True)
    shown = capsys.readouterr().err
    assert "train 0: " in shown
    assert "adversarial 2: " in shown
    assert {"train/policy_loss", "adversarial/policy_loss"} <= kept.keys()
    agent_of("pgc", log).learn(log)
    assert capsys.readouterr().err == ""
