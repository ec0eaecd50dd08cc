"""Watch a session of RecSim-v0: as text, in a window, or recorded in a file.

    python examples/watch_session.py                        # text
    python examples/watch_session.py --window               # a window (pygame)
    python examples/watch_session.py --out session.gif      # an animation (Pillow)
    python examples/watch_session.py --out frames           # a folder of PNG images
    python examples/watch_session.py --out session.mp4      # a video, by Gymnasium's RecordVideo (moviepy)

The slates are those of the env's own policies: ``--policy random``, ``max`` or ``mix``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RecordVideo, RenderCollection
from PIL import Image

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.logging_policies import make_logging_policy


def main() -> None:
    """Play one session and show it."""
    arguments = _arguments()
    out: Path | None = arguments.out
    mode = "rgb_array" if out is not None else "human" if arguments.window else "ansi"
    env = gym.make(arguments.env, render_mode=mode, max_episode_steps=40)
    if out is not None and out.suffix == ".mp4":
        env = RecordVideo(env, str(out.parent), name_prefix=out.stem, episode_trigger=lambda episode: True)
    elif out is not None:
        env = RenderCollection(env, pop_frames=False)
    play(env, arguments.policy, arguments.seed)
    if out is not None and out.suffix != ".mp4":
        save([Image.fromarray(frame) for frame in env.render()], out, env.metadata["render_fps"])
    env.close()
    if out is not None:
        print(f"recorded in {out if out.suffix != '.mp4' else out.parent}")


def play(env: gym.Env, policy_name: str, seed: int) -> None:
    """One session under a policy that sees the user's state."""
    world = env.unwrapped
    policy = make_logging_policy(policy_name, world.mdp, world.slate_size)
    rng = np.random.default_rng(seed)
    _, info = env.reset(seed=seed)
    over = False
    while not over:
        slate = policy.draw(np.array([info["state"]]), rng)[0]
        _, _, terminated, truncated, info = env.step(slate)
        over = terminated or truncated
        if env.render_mode == "ansi":
            print(env.render())


def save(frames: list[Image.Image], out: Path, frames_per_second: int) -> None:
    """Write frames to an animated GIF, or to PNG images in a folder."""
    if out.suffix == ".gif":
        duration = 1000 // frames_per_second
        frames[0].save(out, save_all=True, append_images=frames[1:], duration=duration, loop=0)
        return
    out.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        frame.save(out / f"{number:03d}.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--env", default="RecSim-v0", choices=[name for name in gym.registry if name.startswith("RecSim")]
    )
    parser.add_argument("--policy", default="max", help="random, max or mix")
    parser.add_argument("--seed", type=int, default=0, help="of the session")
    parser.add_argument("--window", action="store_true", help="show the session in a window")
    parser.add_argument("--out", type=Path, help="a .gif or .mp4 file, or a folder for PNG images")
    return parser.parse_args()


if __name__ == "__main__":
    main()
