"""Policies in production: exported to ONNX, served over HTTP, with a log that is ready for the next policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from irecgan_gym._lazy import lazily

if TYPE_CHECKING:
    from irecgan_gym.serving.app import create_app
    from irecgan_gym.serving.event_log import EventLog
    from irecgan_gym.serving.events import LogError
    from irecgan_gym.serving.exported_policy import ExportedPolicy, ExportError
    from irecgan_gym.serving.named_policy import NamedPolicy
    from irecgan_gym.serving.onnx_export import export_onnx
    from irecgan_gym.serving.opening import open_service
    from irecgan_gym.serving.policy_step import PolicyStep
    from irecgan_gym.serving.requests import Answer, Click, ServiceError, Start
    from irecgan_gym.serving.served_log import ServedLog, read_served_log, write_table
    from irecgan_gym.serving.service import Limits, RecommendationService
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "irecgan_gym.serving.app": "create_app",
            "irecgan_gym.serving.event_log": "EventLog",
            "irecgan_gym.serving.events": "LogError",
            "irecgan_gym.serving.exported_policy": "ExportError ExportedPolicy",
            "irecgan_gym.serving.named_policy": "NamedPolicy",
            "irecgan_gym.serving.onnx_export": "export_onnx",
            "irecgan_gym.serving.opening": "open_service",
            "irecgan_gym.serving.policy_step": "PolicyStep",
            "irecgan_gym.serving.served_log": "ServedLog read_served_log write_table",
            "irecgan_gym.serving.requests": "Answer Click ServiceError Start",
            "irecgan_gym.serving.service": "Limits RecommendationService",
        },
    )

__all__ = [
    "Answer",
    "Click",
    "EventLog",
    "ExportError",
    "ExportedPolicy",
    "Limits",
    "LogError",
    "NamedPolicy",
    "PolicyStep",
    "RecommendationService",
    "ServedLog",
    "ServiceError",
    "Start",
    "create_app",
    "export_onnx",
    "open_service",
    "read_served_log",
    "write_table",
]
