"""Measures of policies and user models: online, on logged lists, and against held-out sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from irecgan_gym._lazy import lazily

if TYPE_CHECKING:
    from irecgan_gym.evaluation.examination import Examination, ExaminedScorer
    from irecgan_gym.evaluation.metrics import (
        Interval,
        Metric,
        RankedLists,
        catalogue_coverage,
        click_ranks,
        coverage_at_r,
        diversity,
        load_metric,
        mean_interval,
        mean_reciprocal_rank,
        measure,
        ndcg,
        precision_at_k,
        recall,
    )
    from irecgan_gym.evaluation.online import OnlineResult, evaluate_online
    from irecgan_gym.evaluation.rankings import CoClick, LastInteraction, LoggedOrder
    from irecgan_gym.evaluation.reranking import RerankResult, SlateScorer, evaluate_reranking
    from irecgan_gym.evaluation.user_model_fidelity import Fidelity, fidelity
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "irecgan_gym.evaluation.examination": "Examination ExaminedScorer",
            "irecgan_gym.evaluation.metrics": (
                "Interval Metric RankedLists catalogue_coverage click_ranks coverage_at_r diversity load_metric "
                "mean_interval mean_reciprocal_rank measure ndcg precision_at_k recall"
            ),
            "irecgan_gym.evaluation.online": "OnlineResult evaluate_online",
            "irecgan_gym.evaluation.rankings": "CoClick LastInteraction LoggedOrder",
            "irecgan_gym.evaluation.reranking": "RerankResult SlateScorer evaluate_reranking",
            "irecgan_gym.evaluation.user_model_fidelity": "Fidelity fidelity",
        },
    )

__all__ = [
    "CoClick",
    "Examination",
    "ExaminedScorer",
    "Fidelity",
    "Interval",
    "LastInteraction",
    "LoggedOrder",
    "Metric",
    "OnlineResult",
    "RankedLists",
    "RerankResult",
    "SlateScorer",
    "catalogue_coverage",
    "click_ranks",
    "coverage_at_r",
    "diversity",
    "evaluate_online",
    "evaluate_reranking",
    "fidelity",
    "load_metric",
    "mean_interval",
    "mean_reciprocal_rank",
    "measure",
    "ndcg",
    "precision_at_k",
    "recall",
]
