"""The plain baselines compute what the suite computes, and the operations that phases need are counted right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from irecgan_gym.agents.discriminator_training import fit_discriminator
from irecgan_gym.agents.generation import generate_adversarial_sessions
from irecgan_gym.agents.policy_gradient import policy_gradient_epoch
from irecgan_gym.agents.returns import ReturnsData, ReturnSettings, offline_rewards
from irecgan_gym.benchmarks.throughput import phases, plain_phases
from irecgan_gym.benchmarks.throughput.arithmetic import (
    Cost,
    NetworkCost,
    discriminator_cost,
    encoder_cost,
    inference_cost,
    policy_cost,
    training_cost,
    user_model_cost,
)
from irecgan_gym.benchmarks.throughput.machine import Rates
from irecgan_gym.benchmarks.throughput.plain_models import PlainDiscriminator, PlainEncoder, PlainPolicy, PlainUserModel
from irecgan_gym.benchmarks.throughput.plain_phases import (
    agent_losses,
    discriminator_losses,
    generate_scored_session,
    generate_session,
    plain_networks,
    user_losses,
)
from irecgan_gym.benchmarks.throughput.shapes import networks, smoke_shape
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import ClippedAdamW, FitConfig, user_model_epoch, user_sessions
from irecgan_gym.models.sequence_score import SequenceScore

CPU = torch.device("cpu")


@pytest.fixture(params=["cikm", "max"])
def world(request):
    """A shape whose users leave, and one whose users end with a reward of 0."""
    return smoke_shape(request.param)


def take(iterator, count):
    return torch.stack([next(iterator) for _ in range(count)])


# An epoch of one batch reports the loss of the weights it started from.


def test_plain_agent_loss(world):
    log, config = world.sessions(seed=3), world.config
    policy = networks(world, CPU).policy
    data = ReturnsData(log, offline_rewards(log, config.lambda_r), config.gamma, CPU)
    optimizer = ClippedAdamW(policy, config.fit)
    fast = policy_gradient_epoch(policy, data, optimizer, len(log), np.random.default_rng(0))
    plain = take(agent_losses(plain_networks(world, None, CPU), log, world, CPU), len(log)).sum()
    assert plain.item() / log.num_steps == pytest.approx(fast, rel=1e-4)


def test_plain_user_model_loss(world):
    model, log = networks(world, CPU).user_model, world.sessions(seed=3)
    sessions = user_sessions(log, model.config)
    data = SessionTensors(sessions, leave_option=model.leave_option)
    fit = FitConfig(batch_size=len(log))
    fast = user_model_epoch(model, data, ClippedAdamW(model, fit), fit, np.random.default_rng(0))
    plain = take(user_losses(plain_networks(world, None, CPU), log, world, CPU), len(log)).sum()
    assert plain.item() / sessions.num_steps == pytest.approx(fast, rel=1e-4)


def test_plain_discriminator_loss(world):
    models, log = networks(world, CPU), world.sessions(seed=3)
    sessions = user_sessions(log, models.user_model.config)
    fit, reported = FitConfig(batch_size=len(log), max_epochs=1), {}
    # The plain pairs are sessions 0 and 1, 2 and 3 and so on.
    fit_discriminator(
        models.discriminator,
        sessions.select(slice(0, None, 2)),
        sessions.select(slice(1, None, 2)),
        ClippedAdamW(models.discriminator, fit),
        fit,
        leave_option=models.user_model.leave_option,
        generator=np.random.default_rng(0),
        recorder=Recorded(reported),
    )
    plain = take(discriminator_losses(plain_networks(world, None, CPU), log, world, CPU), len(log) // 2).mean()
    assert plain.item() == pytest.approx(reported["disc/loss"], rel=1e-4)


class Recorded:
    def __init__(self, metrics):
        self.metrics = metrics

    def record(self, metrics, step):
        self.metrics.update(metrics)


def test_plain_sessions(world):
    models, generator = plain_networks(world, None, CPU), torch.Generator().manual_seed(0)
    for _ in range(5):
        clicks = generate_session(models, 3, generator)
        assert 1 <= len(clicks) <= 3
        assert 0 <= int(clicks.min()) <= int(clicks.max()) <= world.num_items
        clicks, scores = generate_scored_session(models, 3, 2, generator)
        assert clicks.shape == scores.shape
        assert ((scores > 0) & (scores < 1)).all()


def test_plain_sessions_are_as_long_as_the_suites_own(world):
    """Equal weights, so equal laws: mean lengths agree within sampling error."""
    models, generator = plain_networks(world, None, CPU), torch.Generator().manual_seed(0)
    plain = np.array([len(generate_session(models, 6, generator)) for _ in range(400)])
    fast = phases.generate_plainly(networks(world, CPU), world.config, 6, 4_000, seed=1).lengths
    error = np.hypot(plain.std() / np.sqrt(len(plain)), fast.std() / np.sqrt(len(fast)))
    assert abs(plain.mean() - fast.mean()) < 3 * error


@pytest.mark.parametrize("phase", [*phases.TRAINING_PHASES, *phases.GENERATION_PHASES])
def test_plain_phases_are_timed(world, phase, tmp_path):
    path = tmp_path / "user_model.safetensors"
    phases.fit_for_generation(phases.UserModelTask(world, path, "cpu"))
    assert plain_phases.measure_plain(plain_phases.PlainTask(world, phase, path, "cpu", 0.001)) > 0


# Operations, against PyTorch's own count of matrix products.

ENCODER = EncoderConfig(num_layers=2, hidden_size=12, embedding_size=6)
LENGTH, ITEMS, CANDIDATES = 40, 30, 5


def counted(function):
    """Operations of forward and backward pass; oneDNN's fused LSTM is invisible to the counter."""
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        function().backward()
    return counter.get_total_flops()


def columns():
    generator = torch.Generator().manual_seed(0)
    slates = [torch.randperm(ITEMS, generator=generator)[:CANDIDATES] for _ in range(LENGTH)]
    return slates, torch.stack([slate[0] for slate in slates]), torch.ones(LENGTH)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_operations(cell):
    config = replace(ENCODER, cell=cell)
    encoder = PlainEncoder(ITEMS, config)
    # PyTorch spares itself the gradient by the state before the first step, which is not a parameter.
    assert counted(lambda: encoder(columns()[1]).sum()) == pytest.approx(needed(encoder_cost(config)), rel=0.02)


def test_policy_operations():
    policy = PlainPolicy(ITEMS, ENCODER)
    expected = needed(policy_cost(ENCODER, ITEMS))
    assert counted(lambda: policy.loss(columns()[1], torch.ones(LENGTH))) == pytest.approx(expected, rel=0.02)


def test_user_model_operations():
    model = PlainUserModel(ITEMS, ENCODER)
    expected = needed(user_model_cost(ENCODER, CANDIDATES))
    assert counted(lambda: model.loss(*columns(), 1.0)) == pytest.approx(expected, rel=0.02)


def test_discriminator_operations():
    model = PlainDiscriminator(ITEMS, ENCODER, 0.1)
    expected = needed(discriminator_cost(ENCODER, CANDIDATES))
    assert counted(lambda: F.softplus(model.logit(*columns()))) == pytest.approx(expected, rel=0.02)


def needed(network):
    """Operations of training on one session."""
    return training_cost(network, LENGTH, LENGTH, 0, 1).flops


def test_parameters_are_those_of_the_modules():
    world = smoke_shape("cikm")
    models, encoder = networks(world, CPU), world.config.encoder
    for module, network in (
        (models.policy, policy_cost(encoder, world.num_items)),
        (models.user_model, user_model_cost(encoder, 4)),
        (models.discriminator, discriminator_cost(encoder, 4)),
    ):
        table = (world.num_items + 1) * encoder.embedding_size
        assert sum(parameter.numel() for parameter in module.parameters()) == network.parameters + table


def test_costs_bound_the_time():
    network = NetworkCost(10, 2, 100)
    assert training_cost(network, 7, 9, 20, 3) == Cost(3 * (10 * 7 + 2 * 9), 11 * 4 * (100 * 3 + 20))
    assert inference_cost(network, 7, 9, 2) == Cost(10 * 7 + 2 * 9, 4 * 100 * 2)
    rates = Rates({"float32": 100.0}, 10.0)
    assert rates.limit(Cost(1000, 50), "float32") == 10
    assert rates.limit(Cost(100, 50), "float32") == 5
    assert rates.best(Rates({"float32": 50.0}, 20.0)) == Rates({"float32": 100.0}, 20.0)


@pytest.mark.parametrize("phase", phases.TRAINING_PHASES)
def test_operations_of_an_epoch(phase):
    """Every step is a choice; every state but the first of a batch's sessions is one of its own."""
    world = smoke_shape("cikm")
    log, encoder = world.sessions(seed=0), world.config.encoder
    leaving = 0 if phase == "agent" else 1
    lengths = [length + leaving for length in log.lengths.tolist()]
    states = sum(1 + sum(length - 1 for length in lengths[first : first + 5]) for first in range(0, len(lengths), 5))
    candidates = log.slate_lengths.mean() + leaving
    if phase == "agent":
        network = policy_cost(encoder, log.num_items)
    elif phase == "user model":
        network = user_model_cost(encoder, candidates)
    else:
        network = discriminator_cost(encoder, candidates)
        # As many generated sessions as real ones, which start alike.
        lengths, states = 2 * lengths, 2 * (states - 3) + 3
    expected = 3 * (network.state_flops * states + network.choice_flops * sum(lengths))
    assert phases.epoch_cost(phase, log, world, 5).flops == pytest.approx(expected)


def test_rows_of_the_embedding_table_in_use():
    world = smoke_shape("cikm")
    log, rows = world.sessions(seed=0), 0
    for first in range(0, len(log), 5):
        sessions = [log[number] for number in range(first, min(first + 5, len(log)))]
        rows += len({int(item) for session in sessions for slate in session.slates for item in slate})
    encoder = world.config.encoder
    values = user_model_cost(encoder, 4).parameters * 3 + rows * encoder.embedding_size
    assert phases.epoch_cost("user model", log, world, 5).bytes == 11 * 4 * values


def test_completions_are_as_long_as_sessions_rests():
    """The estimate of roll-out steps against those that the score really asks the policy for."""
    world = replace(smoke_shape("max"), num_sessions=30)
    models = networks(world, CPU)
    config = replace(world.config, num_rollouts=3)
    counts = []

    class Counting:
        start, observe = models.policy.start, models.policy.observe

        def sample(self, state, generator, **options):
            slates = models.policy.sample(state, generator, **options)
            counts.append(len(slates))
            return slates

    score = SequenceScore(
        models.user_model, Counting(), models.discriminator, num_rollouts=config.num_rollouts, max_session_steps=8
    )
    sessions = generate_adversarial_sessions(models.policy, score, 2_000, rewards=ReturnSettings(), seed=0).sessions
    estimate = config.num_rollouts * phases.completion_steps(sessions)
    assert sum(counts) == pytest.approx(estimate, rel=0.1)
