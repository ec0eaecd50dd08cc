"""The claims of the paper (§7)."""

from __future__ import annotations

from typing import Any

from irecgan_gym.benchmarks.claims.claim import Claim, Comparison, Quantity, Setting, Statistic

METHODS = ("irecgan", "lstm", "pg", "lstmd")
"""Methods that §7.1 compares."""
ONLINE_METHODS = ("irecgan", "pg-online&offline", "pg-online", "lstm-offline")
"""Methods of Figure 3."""
USER_MODELS = ("lstm", "lstmd")
BASELINES = ("lstm", "lstmd", "pg", "pgis", "ac", "pgu", "acu")
"""Methods that §7.2 compares IRecGAN with."""
DEPLOYED = (Setting("sampled", "sampled"), Setting("top-k", "top-k"))
"""Deployments in a simulated environment, the paper's first: its policies are sampled from."""
ROUNDS = (Setting(),)
"""Online learning has one deployment: slates of the rounds are sampled."""
RE_RANKED = (
    *DEPLOYED,
    Setting("sampled, all features", "sampled", "all"),
    Setting("top-k, all features", "top-k", "all"),
)
"""Re-ranking with clicks alone, as in the paper, and with all that a log says beside clicks."""


def _greater(first: str, second: str, metric: str, **where: Any) -> Comparison:
    return Comparison(Quantity(first, metric), Quantity(second, metric), **where)


_SIMULATED = (
    Claim(
        "IRecGAN earns most",
        "IRecGAN has a larger average cumulative reward than other methods under all configurations except "
        "pi_random with 200 offline sequences.",
        "simulated_online",
        DEPLOYED,
        tuple(_greater("irecgan", other, "reward", except_cells=(("random", 200),)) for other in METHODS[1:]),
        about=("irecgan",),
    ),
    Claim(
        "IRecGAN varies least on few random sessions",
        "On pi_random(200) it has less variance than other methods, which indicates the robustness of IRecGAN. "
        "(Standard deviation over seeds, that is over environments, logs and trainings, of the reward on each "
        "environment's scale random 0, belief 1.)",
        "simulated_online",
        DEPLOYED,
        tuple(
            _greater(other, "irecgan", "normalized", policies=("random",), sizes=(200,), statistic=Statistic.SPREAD)
            for other in METHODS[1:]
        ),
        about=("irecgan",),
    ),
    Claim(
        "LSTM over PG under random logs",
        "LSTM outperforms policy gradient under pi_random (coverage).",
        "simulated_online",
        DEPLOYED,
        tuple(_greater("lstm", "pg", f"coverage@{r}", policies=("random",)) for r in (1, 5, 10)),
    ),
    Claim(
        "LSTMD over IRecGAN's policy under random logs",
        "A similar comparison is observed between our user model and agent model: LSTMD can capture the true reward "
        "even with much fewer data.",
        "simulated_online",
        DEPLOYED,
        (_greater("lstmd", "irecgan", "coverage@10", policies=("random",), sizes=(200,)),),
        about=("lstmd", "irecgan"),
    ),
    Claim(
        "The best items are easy, all of them are not",
        "Under pi_max and pi_mix it is easy for all models to recognize items with the highest reward. But the low "
        "coverage@10 suggests that they fail to capture the overall preference.",
        "simulated_online",
        DEPLOYED,
        tuple(
            Comparison(Quantity(agent, "coverage@1"), Quantity(agent, "coverage@10"), policies=("max", "mix"))
            for agent in METHODS
        ),
    ),
    Claim(
        "Coverage@10 is worse after mix than after max",
        "This becomes more serious under pi_mix that requires a model to differentiate top relevant items from those "
        "with moderate reward.",
        "simulated_online",
        DEPLOYED,
        tuple(
            Comparison(Quantity(agent, "coverage@10"), Quantity(agent, "coverage@10", "mix"), policies=("max",))
            for agent in METHODS
        ),
    ),
    Claim(
        "Adversarial training helps",
        "By generating more training data via adversarial training, our model performed better than baselines. "
        "(Control: PGC, which is PG with as many updates on offline data.)",
        "simulated_online",
        DEPLOYED,
        (_greater("irecgan", "pgc", "reward"),),
        about=("irecgan",),
        equal_doses=True,
    ),
    Claim(
        "The discriminator helps",
        "With the help of the discriminator, IRecGAN reduces the bias in the user behavior model to improve value "
        "estimation and better policy learning. (Control: PGU, which has the generated data without D.)",
        "simulated_online",
        DEPLOYED,
        (_greater("irecgan", "pgu", "reward"),),
        about=("irecgan", "pgu"),
        equal_doses=True,
    ),
)
_ONLINE = (
    Claim(
        "LSTM offline is worst online",
        "LSTM-offline performs worse than all RL methods, especially in the later stage.",
        "online_learning",
        ROUNDS,
        tuple(_greater(other, "lstm-offline", "coverage@1/last") for other in ONLINE_METHODS[:3]),
    ),
    Claim(
        "PG-online is slow",
        "PG-online improves slowly, as it does not reuse the generated data.",
        "online_learning",
        ROUNDS,
        (_greater("pg-online&offline", "pg-online", "coverage@1/mean"),),
    ),
    Claim(
        "PG-online varies from round to round",
        "PG-online improves slowly with a high variance. (Standard deviation of coverage@1 between a round and the "
        "next, within a seed.)",
        "online_learning",
        ROUNDS,
        tuple(_greater("pg-online", other, "coverage@1/roughness") for other in ("pg-online&offline", "irecgan")),
    ),
    Claim(
        "PG-online varies from seed to seed",
        "PG-online improves slowly with a high variance. (Standard deviation over seeds of coverage@1 in the last "
        "rounds.)",
        "online_learning",
        ROUNDS,
        tuple(
            _greater("pg-online", other, "coverage@1/last", statistic=Statistic.SPREAD)
            for other in ("pg-online&offline", "irecgan")
        ),
    ),
    Claim(
        "IRecGAN converges best online",
        "Compared with PG-online&offline, IRecGAN has better convergence and coverage.",
        "online_learning",
        ROUNDS,
        tuple(_greater("irecgan", "pg-online&offline", f"coverage@{r}/mean") for r in (1, 10)),
        about=("irecgan",),
    ),
    Claim(
        "Coverage@10 is harder to improve online",
        "We also find that coverage@10 is harder to improve. (Gain from the first round to the last rounds.)",
        "online_learning",
        ROUNDS,
        tuple(
            Comparison(Quantity(method, "coverage@1/gain"), Quantity(method, "coverage@10/gain"))
            for method in ONLINE_METHODS
        ),
    ),
)
_RERANKING = (
    Claim(
        "IRecGAN re-ranks best",
        "IRecGAN achieved encouraging improvement against all baselines (p@10).",
        "rerank",
        RE_RANKED,
        tuple(_greater("irecgan", other, "p@10") for other in BASELINES),
        about=("irecgan",),
    ),
    Claim(
        "IRecGAN is the best of the policies at p@1",
        "Table 1, p@1: IRecGAN 6.79, ACU 6.63, AC 6.54, PGU 6.44, PG 6.25, PGIS 4.61.",
        "rerank",
        RE_RANKED,
        tuple(_greater("irecgan", other, "p@1") for other in BASELINES if other not in USER_MODELS),
        about=("irecgan",),
    ),
    Claim(
        "User models are best at p@1",
        "Table 1, p@1: LSTMD 8.55, LSTM 8.20, all others at most 6.79.",
        "rerank",
        RE_RANKED,
        tuple(
            _greater(model, policy, "p@1")
            for model in USER_MODELS
            for policy in ("irecgan", *BASELINES)
            if policy not in USER_MODELS
        ),
    ),
    Claim(
        "LSTMD over LSTM",
        "LSTMD outperformed LSTM, given both of them are for user behavior modeling.",
        "rerank",
        RE_RANKED,
        tuple(_greater("lstmd", "lstm", metric) for metric in ("p@1", "p@10")),
        about=("lstmd",),
    ),
    Claim(
        "PGIS under PG",
        "PGIS did not perform as well as PG, partially because of the high variance of importance sampling.",
        "rerank",
        RE_RANKED,
        tuple(_greater("pg", "pgis", metric) for metric in ("p@1", "p@10")),
    ),
    Claim(
        "PGU between PG and IRecGAN",
        "PGU was able to fit the given data more accurately than PG. However, PGU performed worse than IRecGAN.",
        "rerank",
        RE_RANKED,
        (_greater("pgu", "pg", "p@10"), _greater("irecgan", "pgu", "p@10")),
        about=("pgu", "irecgan"),
    ),
)
CLAIMS = (*_SIMULATED, *_ONLINE, *_RERANKING)
