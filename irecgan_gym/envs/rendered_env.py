"""Rendering that the suite's envs share."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.core import ActType, ObsType

from irecgan_gym.rendering.screen import RENDER_FPS, RENDER_MODES, SessionScreen


class RenderedEnv(gym.Env[ObsType, ActType]):
    """An env whose sessions can be looked at.

    Subclasses tell :attr:`screen` about every reset and step, where there is one.

    Args:
        render_mode: None, or one of ``metadata["render_modes"]``.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}

    def __init__(self, render_mode: str | None) -> None:
        self.render_mode = render_mode
        self.screen = None if render_mode is None else SessionScreen(render_mode)

    @property
    def title(self) -> str:
        """The env's id, or the name of its class if it was made without one."""
        return type(self).__name__ if self.spec is None else self.spec.id

    def render(self) -> Any:
        """The session as it stands, in the env's render mode.

        Returns:
            ``"ansi"``: text. ``"rgb_array"``: uint8 [640, 960, 3]. ``"human"``: None; a window shows it.

        Raises:
            gymnasium.error.ResetNeeded: no session has begun.
            gymnasium.error.DependencyNotInstalled: Pillow or pygame is missing; the message says what to install.
        """
        if self.screen is None:
            gym.logger.warn(
                f'{self.title} was made without a render mode: make it with render_mode="ansi", "rgb_array" or "human"'
            )
            return None
        return self.screen.render()

    def close(self) -> None:
        """Close the window of ``"human"``."""
        if self.screen is not None:
            self.screen.close()
        super().close()
