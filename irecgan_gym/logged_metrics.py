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

_SELECTION = "What the rule of selection compares epochs or rounds by: the least is kept."
_MOVED = "above 0: at 0 the rounds changed nothing, and nothing can be said of them"

_NORM = "Mean L2 norm of the gradients of a pass, before they are clipped."
_STEADY = "steady or falling; growing by powers of ten: about to diverge"
_DIVERGED = "1 where training ended because a loss or gradient was not a finite number; the best before that is kept."

LOGGED_METRICS = (
    LoggedMetric("user_model/grad_norm", "nats", "3", _NORM, _STEADY),
    LoggedMetric("train/policy_grad_norm", "reward", "8, 9", _NORM, _STEADY),
    LoggedMetric("logging_policy/grad_norm", "nats", "", _NORM, _STEADY),
    LoggedMetric("disc/grad_norm", "nats", "5", _NORM, _STEADY),
    LoggedMetric("adversarial/policy_grad_norm", "reward", "10", _NORM, _STEADY),
    LoggedMetric("adversarial/user_model_grad_norm", "nats", "7", _NORM, _STEADY),
    LoggedMetric("user_model/diverged", "yes or no", "3", _DIVERGED, "not there"),
    LoggedMetric("train/diverged", "yes or no", "8, 9", _DIVERGED, "not there"),
    LoggedMetric("logging_policy/diverged", "yes or no", "", _DIVERGED, "not there"),
    LoggedMetric("disc/diverged", "yes or no", "5", _DIVERGED, "not there"),
    LoggedMetric("adversarial/diverged", "yes or no", "7, 10", _DIVERGED, "not there"),
    LoggedMetric(
        "disc/score_spread",
        "log-odds",
        "5",
        "Standard deviation of D's log-odds over the sessions of its last pass.",
        "above 0.01; at 0, D says the same of every session: it has collapsed",
    ),
    LoggedMetric(
        "adversarial/click_variety",
        "items",
        "",
        "Different items clicked in generated sessions, in effect: e to the entropy of the clicks.",
        "near that of the log; at 1, user model or policy have collapsed",
    ),
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
    LoggedMetric(
        "train/validation_loss", "nats", "8, 9", "PG's loss on held-out sessions, by their total return.", _FALLS
    ),
    LoggedMetric("train/selection_loss", "of the rule", "", _SELECTION, "falls, unless the rule is 'last'"),
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
    LoggedMetric(
        "disc/held_out_accuracy",
        "share",
        "5",
        "Share of held-out sessions, and of as many generated ones, that D tells right.",
        "above 0.6; at 0.5, q_D is noise and teaches nothing",
    ),
    LoggedMetric("adversarial/policy_loss", "reward a step", "10", "Loss of A in a round.", "falls, with noise"),
    LoggedMetric("adversarial/user_model_loss", "nats a step", "7", "Loss of U in a round, weighted by q_D.", _FALLS),
    LoggedMetric(
        "adversarial/mean_q", "probability", "6", "Mean q_D of generated prefixes.", "0.1 to 0.5; 0: D has won"
    ),
    LoggedMetric(
        "adversarial/std_q",
        "probability",
        "6",
        "Standard deviation of q_D of generated prefixes.",
        "above 0.01: without a spread no session is better than another",
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
        "adversarial/validation_loss", "nats", "9", "PG's loss of A on held-out sessions, by their return.", "any"
    ),
    LoggedMetric("adversarial/selection_loss", "of the rule", "", _SELECTION, "falls, unless the rule is 'last'"),
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
        "treatment/policy_updates", "updates", "10", "Updates of the policy, at the epoch or round kept.", "as wanted"
    ),
    LoggedMetric(
        "treatment/sessions_seen", "sessions", "10", "Sessions in those updates, as often as seen.", "as wanted"
    ),
    LoggedMetric("treatment/rounds", "rounds", "", "Rounds after pre-training.", "as wanted"),
    LoggedMetric("treatment/kept_round", "round", "", "Round whose policy is kept; 0: the pre-trained one.", "above 0"),
    LoggedMetric(
        "treatment/policy_moved",
        "total variation",
        "4",
        "How far the rounds moved the policy on held-out sessions, 0 to 1.",
        _MOVED,
    ),
    LoggedMetric(
        "treatment/user_model_moved",
        "total variation",
        "1",
        "How far the rounds moved the user model's clicks on held-out slates, 0 to 1.",
        _MOVED,
    ),
    LoggedMetric(
        "treatment/discriminator_accuracy",
        "share",
        "5",
        "Accuracy of D on held-out sessions, mean of its last three updates.",
        "above 0.6; at 0.5, q_D is noise and teaches nothing",
    ),
    LoggedMetric("treatment/discriminator_updates", "updates", "5", "Updates of D in all.", "as wanted"),
    LoggedMetric(
        "treatment/mean_q", "probability", "6", "Mean q_D of all generated prefixes.", "0.1 to 0.5; 0: D has won"
    ),
    LoggedMetric("treatment/std_q", "probability", "6", "Standard deviation of the same.", "above 0.01"),
    LoggedMetric(
        "online/policy_loss", "reward a step", "8", "Mean loss of the updates of an online stage (Figure 3).", "noisy"
    ),
)
"""All of them; the documentation's page is made from this table."""
