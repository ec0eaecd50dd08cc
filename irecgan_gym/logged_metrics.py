"""Every number that training reports to a recorder: what it is, and how it looks when all is well."""

from __future__ import annotations

from typing import NamedTuple


class LoggedMetric(NamedTuple):
    """One number that training reports.

    Attributes:
        name: under which recorders receive it.
        unit: of the number.
        equation: of the paper that it belongs to; empty where there is none.
        meaning: in one sentence.
        healthy: how it looks in a run in which nothing is wrong.
    """

    name: str
    unit: str
    equation: str
    meaning: str
    healthy: str


_FALLS = "falls, then levels off"
_RISES = "rises, then levels off; far below the training value: overfitting"

LOGGED_METRICS = (
    LoggedMetric("user_model/train_loss", "nats a step", "3", "Mean loss of U over the training sessions.", _FALLS),
    LoggedMetric(
        "user_model/validation_click_log_likelihood",
        "nats a step",
        "1, 3",
        "Log-probability of the clicks of held-out sessions.",
        "rises above that of uniform clicks, -log(slate size), and levels off",
    ),
    LoggedMetric(
        "user_model/validation_reward_log_likelihood",
        "nats a step",
        "2, 3",
        "Log-probability of the rewards of held-out sessions.",
        "rises towards 0, above -0.69 (a coin)",
    ),
    LoggedMetric("train/policy_loss", "reward a step", "8, 9", "Loss of the policy on the training sessions.", _FALLS),
    LoggedMetric("train/validation_loss", "reward a step", "8, 9", "The same on held-out sessions.", _FALLS),
    LoggedMetric(
        "train/value_error", "squared return", "", "Mean squared error of the critic's values (AC, ACU).", "falls"
    ),
    LoggedMetric(
        "logging_policy/validation_log_likelihood",
        "nats a step",
        "",
        "Log-probability of held-out clicks under the logging policy as PGIS estimates it.",
        _RISES,
    ),
    LoggedMetric(
        "importance/mean_weight",
        "ratio",
        "",
        "Mean importance weight of PGIS.",
        "near 1; elsewhere, weights are noise",
    ),
    LoggedMetric(
        "importance/clipped_share", "share", "", "Share of importance weights that were clipped.", "below 0.1"
    ),
    LoggedMetric(
        "importance/effective_sample_share",
        "share",
        "",
        "Effective number of samples under the weights, as a share of all.",
        "above 0.1; lower, a few sessions decide everything",
    ),
    LoggedMetric(
        "disc/loss",
        "nats, two means",
        "5",
        "Loss of D before each batch was learnt from.",
        "between 0.7 and 1.39 (D cannot tell); near 0, D tells everything and q_D teaches little",
    ),
    LoggedMetric("disc/accuracy", "share", "5", "Mean of the next two.", "0.5 to 0.9; 1: generated sessions give away"),
    LoggedMetric("disc/accuracy_real", "share", "5", "Share of real sessions that D takes for real.", "0.5 to 0.95"),
    LoggedMetric(
        "disc/accuracy_generated",
        "share",
        "5",
        "Share of generated sessions that D finds out.",
        "0.5 to 0.95",
    ),
    LoggedMetric("adversarial/policy_loss", "reward a step", "10", "Loss of A in a round.", "falls, with noise"),
    LoggedMetric("adversarial/user_model_loss", "nats a step", "7", "Loss of U in a round, weighted by q_D.", _FALLS),
    LoggedMetric(
        "adversarial/mean_q", "probability", "6", "Mean q_D of generated prefixes.", "0.1 to 0.5; 0: D has won"
    ),
    LoggedMetric(
        "adversarial/generated_reward", "reward a session", "10", "Mean reward of generated sessions, by U.", "rises"
    ),
    LoggedMetric(
        "adversarial/generated_length",
        "steps",
        "",
        "Mean length of generated sessions.",
        "near that of logged ones; at the limit of steps, U never ends sessions",
    ),
    LoggedMetric(
        "adversarial/rescaled_reward", "reward a step", "10", "Mean q_D (1 + lambda_r r) of generated steps.", "rises"
    ),
    LoggedMetric(
        "adversarial/validation_loss", "reward a step", "9", "Loss of A on held-out sessions.", "falls, noisily"
    ),
    LoggedMetric(
        "adversarial/validation_click_log_likelihood",
        "nats a step",
        "1, 3",
        "Log-probability of held-out clicks under U after a round.",
        "stays where Eq 3 left it, or rises; a fall means that Eq 7 forgets the log",
    ),
    LoggedMetric(
        "adversarial/validation_reward_log_likelihood",
        "nats a step",
        "2, 3",
        "Log-probability of held-out rewards under U after a round.",
        "stays where Eq 3 left it, or rises",
    ),
    LoggedMetric(
        "fidelity/click_log_likelihood",
        "nats a click",
        "1",
        "Log-probability of held-out clicks among those who click.",
        "above the next two",
    ),
    LoggedMetric(
        "fidelity/uniform_log_likelihood", "nats a click", "", "The same of uniform clicks.", "-log(slate size)"
    ),
    LoggedMetric(
        "fidelity/popularity_log_likelihood", "nats a click", "", "The same of clicks by popularity.", "a reference"
    ),
    LoggedMetric(
        "fidelity/reward_log_likelihood", "nats a click", "2", "Log-probability of held-out rewards.", "above -0.69"
    ),
    LoggedMetric(
        "fidelity/reward_calibration_error",
        "probability",
        "2",
        "Mean difference of predicted and observed rewards over ten bins of the prediction.",
        "below 0.05",
    ),
    LoggedMetric("fidelity/mean_length", "clicks", "", "Mean length of held-out sessions.", "a reference"),
    LoggedMetric(
        "fidelity/simulated_mean_length", "clicks", "", "Mean length of simulated sessions.", "near the one before"
    ),
    LoggedMetric(
        "fidelity/length_distance",
        "probability",
        "",
        "Largest difference of the distributions of both lengths (Kolmogorov-Smirnov).",
        "below 0.1",
    ),
    LoggedMetric(
        "online/policy_loss", "reward a step", "8", "Mean loss of the updates of an online stage (Figure 3).", "noisy"
    ),
)
"""All of them; the documentation's page is made from this table."""
