"""Two processes that share batches learn what one does; started by torchrun, as a user would."""

import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from discs import make_folder

from cellular.errors import SettingsError
from cellular.segment.model.weights import load_network
from cellular.train.checkpoint import CHECKPOINT
from cellular.train.loss import flow_loss
from cellular.train.parallel import together

GRADIENTS = """
import multiprocessing, os, sys
import torch
from torch import distributed
from cellular.segment.model.network import build_network
from cellular.train.loss import flow_loss
from cellular.train.parallel import Share

random = torch.Generator().manual_seed(0)
images, targets = (torch.rand(3, c, 32, 32, generator=random) for c in (2, 4))
targets = targets.round()

def learned(share):
    torch.manual_seed(1)
    network = build_network(2, 4).train()
    image, target = images[share.rank :: share.of], targets[share.rank :: share.of]
    learner = share.learner(network)
    output, _ = learner(image)
    (flow_loss(output, target, share.total(target[:, 3].sum())) * share.of).backward()
    return [p.grad for p in network.parameters() if p.requires_grad], network.state_dict()

def process(rank):
    distributed.init_process_group("gloo", f"file://{sys.argv[1]}/meet", rank=rank, world_size=4)
    torch.save(learned(Share(rank, 4)), f"{sys.argv[1]}/{rank}.pt")
    distributed.destroy_process_group()

torch.set_num_threads(1)
torch._dynamo  # is imported by what shares gradients: once here, and not in each of four
crew = [multiprocessing.get_context("fork").Process(target=process, args=(rank,)) for rank in range(4)]
for one in crew: one.start()
for one in crew: one.join()
torch.save(learned(Share()), f"{sys.argv[1]}/alone.pt")
"""
FEW = ["--model_type", "scratch", "--width", "4", "--crop_size", "64", "--optimizer", "sgd", "--learning_rate", "0.02"]


def train(tmp_path, name, processes, *more):
    """`cellular train` by so many processes; its output."""
    return subprocess.run(**command_of(tmp_path, name, processes, *more), capture_output=True, text=True, timeout=300)


def command_of(tmp_path, name, processes, *more):
    starter = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "cellular"]
    command = [sys.executable, *(starter if processes > 1 else ["-m", "cellular"]), "train", *FEW, *more]
    command += ["--train_dir", tmp_path / "train", "--valid_dir", tmp_path / "valid", "--device", "cpu"]
    command += ["--experiment_name", name, "--experiments_dir", tmp_path / "made", "--batch_size", "4"]
    environment = os.environ | {"CELLULAR_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    return {"args": list(map(str, command)), "env": environment}


def test_a_step_of_four_processes_is_that_of_one(tmp_path):
    """Of a batch of three crops, one process has none; gradients and running means are those of the whole batch."""
    done = subprocess.run([sys.executable, "-c", GRADIENTS, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    alone, normed = torch.load(tmp_path / "alone.pt", weights_only=True)
    for rank in range(4):
        gradients, state = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for gradient, wanted in zip(gradients, alone):
            assert float((gradient - wanted).norm()) <= 1e-4 * float(wanted.norm()) + 1e-6
        for name, value in normed.items():
            np.testing.assert_allclose(state[name].numpy(), value.numpy(), atol=1e-6, err_msg=name)


@pytest.mark.long
def test_two_processes_learn_what_one_does(tmp_path):
    """Five fields in batches of four: the last batch leaves one of two processes without a crop."""
    make_folder(tmp_path / "train", 5, ignore=True)
    make_folder(tmp_path / "valid", 3, seed=9)
    often = ("--validate_every", "1", "--checkpoint_every", "1", "--n_epochs", "3")
    for name, processes in (("one", 1), ("two", 2)):
        done = train(tmp_path, name, processes, *often)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained 3 epochs") == 1  # the first process alone speaks
    logs = [pd.read_csv(tmp_path / "made" / name / "log.csv") for name in ("one", "two")]
    for column in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(logs[1][column], logs[0][column], rtol=1e-4)
    one, two = (load_network(tmp_path / "made" / n / "models" / n).state_dict() for n in ("one", "two"))
    assert list(one) == list(two)
    for name, value in one.items():
        # rounding grows from step to step; another order of the crops would move weights by their own size
        np.testing.assert_allclose(two[name].numpy(), value.numpy(), atol=2e-3, err_msg=name)
    assert train(tmp_path, "two", 2, *often).returncode != 0  # it is there already


@pytest.mark.long
def test_one_process_goes_on_where_two_were_stopped(tmp_path):
    make_folder(tmp_path / "train", 5, ignore=True)
    make_folder(tmp_path / "valid", 3, seed=9)
    often = ("--validate_every", "1", "--checkpoint_every", "1", "--n_epochs", "12")
    whole = train(tmp_path, "whole", 1, *often)
    assert whole.returncode == 0, whole.stderr
    checkpoint, seen = tmp_path / "made" / "stopped" / CHECKPOINT, set()
    with subprocess.Popen(**command_of(tmp_path, "stopped", 2, *often)) as begun:
        while len(seen) < 3:  # epochs
            assert begun.poll() is None
            seen |= {checkpoint.stat().st_mtime_ns} if checkpoint.is_file() else set()
            time.sleep(0.02)
        begun.terminate()  # killed at once, torchrun would leave its processes at work
    assert not (tmp_path / "made" / "stopped" / "models" / "stopped").exists()
    resumed = train(tmp_path, "stopped", 1, *often, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    logs = [pd.read_csv(tmp_path / "made" / name / "log.csv") for name in ("whole", "stopped")]
    assert logs[1]["epoch"].tolist() == logs[0]["epoch"].tolist()
    for column in ("train_loss", "valid_loss"):
        # rounding grows from step to step; other crops would move a loss by tenths
        np.testing.assert_allclose(logs[1][column], logs[0][column], rtol=0.01)


def test_a_part_of_a_batch_has_its_share_of_the_loss():
    output, target = torch.randn(3, 3, 8, 8), torch.rand(3, 4, 8, 8).round()
    pixels = target[:, 3].sum()
    parts = flow_loss(output[:1], target[:1], pixels) + flow_loss(output[1:], target[1:], pixels)
    torch.testing.assert_close(parts, flow_loss(output, target))
    assert float(flow_loss(output[:0], target[:0], pixels)) == 0


def test_processes_need_a_gpu_each(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="2 processes cannot share cuda:0; give --device cuda"), together("cuda:0"):
        pass
