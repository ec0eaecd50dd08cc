"""A session as pixels, drawn by Pillow."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from irecgan_gym.rendering.session_view import SessionView, SlateView

WIDTH, HEIGHT = 960, 640
"""Of every frame; multiples of 16, as video codecs like them."""

# Colors that people with any kind of color vision tell apart (Okabe and Ito); success and failure differ in form too.
_BLUE, _GREEN, _VERMILION, _ORANGE = "#0072B2", "#009E73", "#D55E00", "#E69F00"
_INK, _GREY, _LINE, _TRACK, _PAPER = "#222222", "#6B6B6B", "#D5D5D5", "#EEF1F4", "#FFFFFF"
_CLICKED = "#FDF1D8"

_SCALE = 2  # Everything is drawn larger and then reduced, which smooths the edges.
_MARGIN, _TOP, _BOTTOM = 28, 92, HEIGHT - 24
_SLATE_RIGHT = 600
_ROWS, _ROW_HEIGHT = 26, 46
_CHIPS_A_ROW, _CHIP_WIDTH, _CHIP_HEIGHT, _CHIP_GAP = 4, 68, 26, 8


def session_frame(view: SessionView) -> NDArray[np.uint8]:
    """The session as an image, uint8 [640, 960, 3].

    Raises:
        gymnasium.error.DependencyNotInstalled: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise DependencyNotInstalled('Pillow is not installed, run `pip install "irecgan-gym[render]"`') from error
    image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    pen.text(_MARGIN, 34, view.title, 26, bold=True)
    pen.text(WIDTH - _MARGIN, 36, f"step {view.steps}", 20, _GREY, "rm")
    pen.line(_MARGIN, 62, WIDTH - _MARGIN)
    _draw_slate(pen, view.slate)
    _draw_session(pen, view)
    frame: NDArray[np.uint8] = np.array(image.reduce(_SCALE))
    return frame


class _Pen:
    """Draws in the frame's own measure."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def text(
        self, x: float, y: float, text: str, size: float, color: str = _INK, anchor: str = "lm", bold: bool = False
    ) -> None:
        """One line of text; the anchor is Pillow's (``lm``: left, middle)."""
        self._draw.text(
            (x * _SCALE, y * _SCALE),
            text,
            fill=color,
            font=_font(size * _SCALE),
            anchor=anchor,
            stroke_width=_SCALE // 2 if bold else 0,
            stroke_fill=color,
        )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        line: str | None = None,
        radius: float = 4,
    ) -> None:
        """A rectangle with round corners."""
        corners = [edge * _SCALE for edge in (x, y, x + width, y + height)]
        curve = min(radius, width / 2, height / 2) * _SCALE
        self._draw.rounded_rectangle(corners, curve, fill=fill, outline=line, width=2 * _SCALE)

    def line(self, x: float, y: float, right: float) -> None:
        """A thin horizontal line."""
        self._draw.line([x * _SCALE, y * _SCALE, right * _SCALE, y * _SCALE], fill=_LINE, width=_SCALE)


@cache
def _font(size: float) -> Any:
    """Pillow's own font, which needs no file."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_slate(pen: _Pen, slate: SlateView | None) -> None:
    """The slate as a table: item, its chance of a click, its chance of a reward."""
    if slate is None:
        pen.text((_MARGIN + _SLATE_RIGHT) / 2, (_TOP + _BOTTOM) / 2, "no slate has been shown yet", 20, _GREY, "mm")
        return
    rows, hidden = _rows(slate)
    height = min(_ROW_HEIGHT, (_BOTTOM - _TOP - 16) / (len(rows) + (hidden > 0)))
    size = min(18.0, height * 0.74)
    click_x, click_width, reward_x, reward_width = 136, 190, 404, 120
    for x, label, anchor in (
        (120, "item", "rm"),
        (click_x, "click probability", "lm"),
        (reward_x, "reward probability", "lm"),
    ):
        pen.text(x, _TOP - 10, label, 15, _GREY, anchor)
    largest = max(chance for _, chance, _, _ in rows)
    y = _TOP + 6.0
    for label, click, reward, chosen in rows:
        middle, bar = y + height / 2, min(20.0, height * 0.56)
        if chosen:
            pen.box(_MARGIN - 8, y + 0.5, _SLATE_RIGHT - _MARGIN + 8, height - 1, _CLICKED)
            pen.box(_MARGIN - 8, y + 0.5, 6, height - 1, _ORANGE, radius=3)
        pen.text(120, middle, label, size, anchor="rm", bold=chosen)
        pen.box(click_x, middle - bar / 2, click_width, bar, _TRACK)
        pen.box(click_x, middle - bar / 2, max(2.0, click_width * click / largest), bar, _ORANGE if chosen else _BLUE)
        pen.text(click_x + click_width + 8, middle, f"{click:.3f}", size, anchor="lm")
        if reward is not None:
            pen.box(reward_x, middle - bar / 2, reward_width, bar, _TRACK)
            pen.box(reward_x, middle - bar / 2, max(2.0, reward_width * reward), bar, _GREEN)
            pen.text(reward_x + reward_width + 8, middle, f"{reward:.3f}", size, anchor="lm")
        y += height
    if hidden:
        pen.text(click_x, y + height / 2, f"and {hidden} more items", size, _GREY)


def _rows(slate: SlateView) -> tuple[list[tuple[str, float, float | None, bool]], int]:
    """Label, chances and whether it was chosen, of the alternatives that there is room for; how many there are besides.

    The chosen alternative and leaving are always there.
    """
    rows: list[tuple[str, float, float | None, bool]] = [
        (str(item), click, reward, item == slate.click)
        for item, click, reward in zip(slate.items, slate.click_chances, slate.reward_chances, strict=True)
    ]
    last: list[tuple[str, float, float | None, bool]] = []
    if slate.leave_chance is not None:
        last = [("leave", slate.leave_chance, None, slate.click is None)]
    room = _ROWS - len(last)
    if len(rows) <= room:
        return rows + last, 0
    shown, rest = rows[: room - 2], rows[room - 2 :]
    clicked = [row for row in rest if row[3]] or rest[:1]
    return shown + clicked + last, len(rest) - 1


def _draw_session(pen: _Pen, view: SessionView) -> None:
    """Outcome, rewards, state and clicks."""
    left, right = _SLATE_RIGHT + 36, WIDTH - _MARGIN
    y = _TOP - 10.0
    failed = view.slate is not None and view.slate.reward <= 0
    color = _INK if view.slate is None else _VERMILION if failed else _GREEN
    words, _, over = view.user.partition(", ")
    pen.text(left, y, "user", 15, _GREY)
    pen.text(left, y + 26, words, 20, color, bold=True)
    pen.text(left, y + 52, over, 17, _VERMILION)
    pen.text(left, y + 88, "state", 15, _GREY)
    pen.text(left, y + 112, view.state, 17)
    pen.text(left, y + 150, "reward of this step", 15, _GREY)
    pen.text(left, y + 178, view.step_reward, 26, bold=True)
    pen.text(left + 160, y + 150, "of the session", 15, _GREY)
    pen.text(left + 160, y + 178, f"{view.session_reward:g}", 26, bold=True)
    pen.line(left, y + 208, right)
    _draw_clicks(pen, view.clicks, left, y + 228)


def _draw_clicks(pen: _Pen, clicks: tuple[tuple[int, float], ...], left: float, top: float) -> None:
    """The clicks in order, as many of the last ones as there is room for."""
    pen.text(left, top, f"clicks so far: {len(clicks)}", 15, _GREY)
    first_y = top + 18
    room = _CHIPS_A_ROW * int((_BOTTOM - 24 - first_y) / (_CHIP_HEIGHT + _CHIP_GAP))
    earlier = len(clicks) - room + 1 if len(clicks) > room else 0
    chips: list[tuple[str, float | None]] = [(f"{earlier} earlier", None)] if earlier else []
    chips += [(str(item), reward) for item, reward in clicks[earlier:]]
    for number, (label, reward) in enumerate(chips):
        row, column = divmod(number, _CHIPS_A_ROW)
        x, y = left + column * (_CHIP_WIDTH + _CHIP_GAP), first_y + row * (_CHIP_HEIGHT + _CHIP_GAP)
        _draw_chip(pen, x, y, _CHIP_WIDTH, label, reward)
    _draw_chip(pen, left, _BOTTOM - 20, 76, "success", 1.0, size=13)
    _draw_chip(pen, left + 84, _BOTTOM - 20, 76, "failure", 0.0, size=13)


def _draw_chip(pen: _Pen, x: float, y: float, width: float, label: str, reward: float | None, size: float = 15) -> None:
    """A click that succeeded is full, one that failed an outline; None is a number of others."""
    height = size + 11
    if reward is None:
        pen.box(x, y, width, height, _TRACK, radius=6)
        color, size = _GREY, 12
    elif reward > 0:
        pen.box(x, y, width, height, _GREEN, radius=6)
        color = _PAPER
    else:
        pen.box(x, y, width, height, _PAPER, _VERMILION, radius=6)
        color = _VERMILION
    pen.text(x + width / 2, y + height / 2, label, size, color, "mm")
