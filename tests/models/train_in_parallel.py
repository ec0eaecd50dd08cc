"""A program that several processes run at once: what they fit together is written by each of them."""

import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from irecgan_gym.agents import AC, ACConfig, IRecGAN, IRecGANConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.ranks import ALONE, data_parallel
from irecgan_gym.models.user_model import UserModelConfig
from irecgan_gym.recorder import silent
from tests.conftest import random_sessions

ROOT = Path(__file__).parents[2]
ENCODER = EncoderConfig(hidden_size=5, embedding_size=3)


class Losses:
    """Recorder that keeps the losses of training."""

    def __init__(self):
        self.seen = []

    def record(self, values, step):
        self.seen += [value for name, value in values.items() if name.endswith(("train_loss", "policy_loss"))]


def fitted(device="cpu", recorder=silent):
    """Parameters of a user model, of an actor and critic, and of all three networks of IRecGAN, by name."""
    # 33 training sessions in batches of 4: the last batch has fewer sessions than there are processes.
    log, held_out = (
        random_sessions(np.random.default_rng(seed), num_sessions=size) for seed, size in ((0, 33), (1, 9))
    )
    fit = FitConfig(batch_size=4, max_epochs=2)
    config = UserModelConfig(log.num_items, log.slate_size, "leave", ENCODER)
    model = fit_user_model(log, held_out, config, fit, seed=0, device=device, recorder=recorder)
    shape = (log.num_items, log.slate_size)
    critic = AC(*shape, ACConfig(encoder=ENCODER, fit=fit), seed=0, device=device)
    critic.learn(log, held_out, recorder=recorder)
    settings = IRecGANConfig(
        encoder=ENCODER,
        ending="leave",
        fit=fit,
        user_model_fit=fit,
        rounds=1,
        pre_training_d_steps=1,
        selection="last",
    )
    agent = IRecGAN(*shape, settings, seed=0, device=device)
    agent.learn(log, held_out, recorder=recorder)
    networks = {"fit": model, "ac": critic.policy, "policy": agent.policy, "users": agent.user_model}
    return {
        f"{name}.{key}": value.cpu().clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def main(folder, how, device="cpu"):
    """Fit, in parallel or alone, and write parameters and losses."""
    torch.set_num_threads(1)
    with data_parallel() if how == "parallel" else nullcontext(ALONE) as ranks:
        recorder = Losses()
        parameters = fitted(device, recorder)
    losses = torch.tensor(recorder.seen, dtype=torch.float64)
    save_file({**parameters, "losses": losses}, Path(folder) / f"{how}-{ranks.rank}.safetensors")


def start(folder, *, processes, device="cpu"):
    """Start the processes of a group, as torchrun does, which would load PyTorch once more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    group = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    program = [sys.executable, "-m", "tests.models.train_in_parallel", str(folder), "parallel", device]
    return [
        subprocess.Popen(program, cwd=ROOT, env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(processes)
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
