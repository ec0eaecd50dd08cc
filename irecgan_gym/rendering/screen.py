"""Keeps track of a session and shows it in one of Gymnasium's render modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled, ResetNeeded
from numpy.typing import NDArray

from irecgan_gym.rendering.ansi import session_text
from irecgan_gym.rendering.canvas import HEIGHT, WIDTH, session_frame
from irecgan_gym.rendering.session_view import SessionView, SlateView

RENDER_MODES = ("ansi", "human", "rgb_array")
RENDER_FPS = 2


class SessionScreen:
    """Sessions of an env with a render mode, and their pictures.

    An env without one has no screen, and no work with it. Pillow and pygame are imported when a frame is first drawn.

    Args:
        mode: ``"ansi"``, ``"rgb_array"``, or ``"human"``: a window, brought up to date at every reset and step.
    """

    def __init__(self, mode: str) -> None:
        if mode not in RENDER_MODES:
            raise ValueError(f"render_mode must be None or one of {', '.join(RENDER_MODES)}, got {mode!r}")
        self._mode = mode
        self._title: str | None = None
        self._state = ""
        self._slate: SlateView | None = None
        self._ended = False
        self._clicks: list[tuple[int, float]] = []
        self._steps, self._reward = 0, 0.0
        self._window: Any = None
        self._clock: Any = None

    def begin(self, title: str, state: str) -> None:
        """A new session has begun; ``title`` names the env, ``state`` is the user's, in words."""
        self._title, self._state, self._slate, self._ended = title, state, None, False
        self._clicks, self._steps, self._reward = [], 0, 0.0
        self._refresh()

    def add(self, slate: SlateView, ended: bool, state: str) -> None:
        """A slate was shown and answered; ``ended``: the session was, by the answer; ``state`` is the user's now."""
        self._state, self._slate, self._ended = state, slate, ended
        self._steps += 1
        self._reward += slate.reward
        if slate.click is not None:
            self._clicks.append((slate.click, slate.reward))
        self._refresh()

    def view(self) -> SessionView:
        """The session as it stands.

        Raises:
            gymnasium.error.ResetNeeded: no session has begun.
        """
        if self._title is None:
            raise ResetNeeded("there is nothing to render yet: call reset before render")
        return SessionView(
            self._title, self._slate, tuple(self._clicks), self._steps, self._reward, self._ended, self._state
        )

    def render(self) -> str | NDArray[np.uint8] | None:
        """The picture of the present moment: text, a frame uint8 [H, W, 3], or None where a window shows it.

        Raises:
            gymnasium.error.ResetNeeded: no session has begun.
            gymnasium.error.DependencyNotInstalled: a library is missing; the message names the extra that brings it.
        """
        view = self.view()
        if self._mode == "ansi":
            return session_text(view)
        if self._mode == "rgb_array":
            return session_frame(view)
        # The window has been brought up to date by the last reset or step.
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            import pygame

            pygame.display.quit()
            self._window = None

    def _refresh(self) -> None:
        """Show the present moment in the window, for as long as a frame lasts."""
        if self._mode != "human":
            return
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled('pygame is not installed, run `pip install "irecgan-gym[render]"`') from error
        frame = session_frame(self.view())
        if self._window is None:
            pygame.display.init()
            pygame.display.set_caption(str(self._title))
            self._window = pygame.display.set_mode((WIDTH, HEIGHT))
            self._clock = pygame.time.Clock()
        self._window.blit(pygame.image.frombuffer(frame.tobytes(), (WIDTH, HEIGHT), "RGB"), (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(RENDER_FPS)
