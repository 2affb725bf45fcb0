"""The peer's side of the benchmarks, run by benchmarks/__main__.py in the peer's environment.

    .venv-peer/bin/python peer.py FOLDER REPEATS DEVICE TASK...

Reads FOLDER/input.npz, writes FOLDER/<task>.npz with what came out and the seconds of every repeat; a task that fails
leaves none, and the others are done. What comes out is of the first call, in full single precision: on a GPU Cellpose
convolves in TF32, three digits, and is timed so.
"""

import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from cellpose import dynamics, models, train, transforms, utils
from cellpose.resnet_torch import CPnet

DEVICE = []
# A first run below these seconds is not counted; a longer one is all that is taken of the work, being minutes.
WARM_UP = 20


def model_of(path, nchan=2):
    gpu = DEVICE[0].type == "cuda"
    return models.CellposeModel(gpu=gpu, device=DEVICE[0], pretrained_model=str(path), nchan=nchan)


def flows(folder, given):
    labels = given["labels"].astype(np.int64)
    return lambda: {"flows": dynamics.masks_to_flows(labels, device=DEVICE[0]).astype(np.float32)}


def seen_by_filter():
    """A dict that keeps the labels as they go into the filter of small masks, whose fault is known."""
    seen = {}
    original = utils.fill_holes_and_remove_small_masks

    def remembering(labels, **options):
        seen["unfiltered"] = labels.copy()
        return original(labels, **options)

    utils.fill_holes_and_remove_small_masks = remembering
    return seen


def masks(folder, given):
    """Following the flows, with the flow check."""
    seen = seen_by_filter()
    niter = int(given["niter"])
    return lambda: {
        "labels": dynamics.resize_and_compute_masks(
            given["flows"], given["cell_probability"], niter=niter, device=DEVICE[0]
        ),
        **seen,
    }


def network(folder, given):
    """The full-width network over a field at its own scale, tiled and blended."""
    return run_net(model_of(folder / "network.pth"), given)


def slim(folder, given):
    """A narrower network in the same way; CellposeModel makes none, and takes every style for 256 numbers long."""
    model = model_of(folder / "network.pth")
    width = int(given["slim_width"])
    model.net = CPnet([2, width, 2 * width, 4 * width, 8 * width], 3, sz=3, mkldnn=model.mkldnn).to(DEVICE[0])
    model.net.load_model(str(folder / "slim.pth"), device=DEVICE[0])
    forward = model.net.forward

    def with_long_style(image):
        output, style, *rest = forward(image)
        return output, torch.nn.functional.pad(style, (0, 256 - style.shape[1])), *rest

    model.net.forward = with_long_style
    return run_net(model, given)


def run_net(model, given):
    planes = transforms.convert_image(given["image"], [0, 0], nchan=2)[None]
    planes = transforms.normalize_img(planes)
    rescale = 30.0 / float(given["diameter"])

    def run():
        output, probability, _ = model._run_net(planes, rescale=rescale)
        return {"output": np.concatenate([output[:, 0], probability])}

    return run


def segment(folder, given):
    """A whole segmentation, from the image to its labels."""
    nchan = int(given["nchan"])
    model = model_of(folder / "trained.pth", nchan)
    channels = [0, 0] if nchan == 2 else None
    seen = seen_by_filter()
    return lambda: {
        "labels": model.eval(given["image"], diameter=float(given["diameter"]), channels=channels)[0],
        **seen,
    }


def training(folder, given):
    """Epochs of train_seg on crops, flows at hand."""
    torch.manual_seed(0)
    images, targets = list(given["train_images"]), list(given["train_targets"])

    def run():
        width = int(given["train_width"])
        net = CPnet([2, width, 2 * width, 4 * width, 8 * width], 3, 3, mkldnn=False).to(DEVICE[0])
        train.train_seg(
            net,
            train_data=images,
            train_labels=targets,
            normalize=False,
            compute_flows=False,
            batch_size=8,
            n_epochs=int(given["train_epochs"]),
            learning_rate=0.1,
            SGD=True,
            bsize=int(given["train_crop"]),
            min_train_masks=0,
            save_path=folder,
        )
        return {"crops": len(images) * int(given["train_epochs"])}

    return run


def instances(folder, given):
    """Cellpose's average precision at all thresholds and its variant of the AJI."""
    from cellpose import metrics

    truth, prediction = given["truth"], given["prediction"]
    return lambda: {
        "ap": metrics.average_precision(truth, prediction, threshold=list(given["thresholds"]))[0],
        "aji": metrics.aggregated_jaccard_index([truth], [prediction])[0],
    }


def matching(folder, given):
    """StarDist's matching at all thresholds."""
    from stardist.matching import matching as match

    def run():
        found = match(given["truth"], given["prediction"], thresh=tuple(given["thresholds"]))
        return {key: np.array([getattr(m, key) for m in found]) for key in ("tp", "f1", "panoptic_quality")}

    return run


def synchronize():
    if DEVICE[0].type == "cuda":
        torch.cuda.synchronize()


def timed(run):
    synchronize()
    start = time.perf_counter()
    result = run()
    synchronize()
    return time.perf_counter() - start, result


def main(folder, repeats, device, *tasks):
    folder = Path(folder)
    DEVICE.append(torch.device(device))
    given = dict(np.load(folder / "input.npz"))
    for task in tasks:
        try:
            seconds, result = measured(globals()[task](folder, given), int(repeats))
        except Exception:
            traceback.print_exc()
        else:
            np.savez(folder / f"{task}.npz", seconds=seconds, **result)


def measured(run, repeats):
    torch.backends.cudnn.allow_tf32 = False
    seconds, result = timed(run)
    torch.backends.cudnn.allow_tf32 = True
    # Below that it was the warm-up.
    return [seconds] if seconds >= WARM_UP else [timed(run)[0] for _ in range(repeats)], result


if __name__ == "__main__":
    main(*sys.argv[1:])
