#!/usr/bin/env python3
"""The generator of docs/method.md in PyTorch, timed on one image: what `stig bench generator` is compared with.

Every variant that the installed PyTorch has is tried, so that the comparison is with the best one: eager, channels-last,
bfloat16 autocast, torch.compile, CUDA graphs. Times are of the forward pass; on a GPU the result is waited for. Weights
and the image are random: they change nothing about the time.
"""
import argparse
import json
import os
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F


def block(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs, track_running_stats=False), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class NestedUNet(nn.Module):
    """UNet++ (Zhou et al. 2018) of five levels; node (i, j) joins (i, 0) ... (i, j - 1) and the enlarged (i + 1, j - 1)."""

    LEVELS = 5

    def __init__(self, width):
        super().__init__()
        c = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.nodes = nn.ModuleDict()
        for level in range(self.LEVELS):
            for column in range(self.LEVELS - level):
                inputs = c[level] * column + c[level + 1] if column else c[level - 1] if level else 3
                self.nodes[f"{level}_{column}"] = block(inputs, c[level])
        self.final = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        made = {}
        for diagonal in range(self.LEVELS):
            for column in range(diagonal + 1):
                level = diagonal - column
                if column:
                    above = F.interpolate(made[level + 1, column - 1], scale_factor=2, mode="bicubic", align_corners=False)
                    inputs = torch.cat([made[level, j] for j in range(column)] + [above], 1)
                else:
                    inputs = F.max_pool2d(made[level - 1, 0], 2) if level else x
                made[level, column] = self.nodes[f"{level}_{column}"](inputs)
        return 2 * torch.sigmoid(self.final(made[0, self.LEVELS - 1])) - 1


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(device, runs, run):
    """Seconds of each run; the first ones, which compile and allocate, are not counted."""
    for _ in range(1 if device.type == "cpu" else 10):
        run()
    wait(device)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)


def graphed(model, x):
    """The forward pass recorded into a CUDA graph, after warming up on a stream of its own as PyTorch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return graph.replay


def variants(device, width, image):
    """Name and a function that prepares and returns the run, for all that this PyTorch can do on this device."""
    cuda = device.type == "cuda"

    def plain(form, cast):
        model = NestedUNet(width).eval().to(device=device, memory_format=form)
        x = image.to(memory_format=form)
        if cast is None:
            return model, x

        def run(y):
            with torch.autocast(device.type, dtype=cast):
                return model(y)
        return run, x

    forms = {"": torch.contiguous_format, " channels-last": torch.channels_last}
    casts = {"f32": None, "bf16": torch.bfloat16}
    for cast_name, cast in casts.items():
        for form_name, form in forms.items():
            def eager(form=form, cast=cast):
                model, x = plain(form, cast)
                return lambda: model(x)
            yield f"{cast_name} eager{form_name}", eager
            if hasattr(torch, "compile"):
                def compiled(form=form, cast=cast):
                    model, x = plain(form, cast)
                    model = torch.compile(model, mode="max-autotune" if cuda else "default")
                    return lambda: model(x)
                yield f"{cast_name} compiled{form_name}", compiled
            if cuda:
                yield f"{cast_name} CUDA graph{form_name}", lambda form=form, cast=cast: graphed(*plain(form, cast))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's default")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="variants whose name contains this")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    image = torch.rand(1, 3, args.size, args.size, device=device)
    results = []

    def write(complete):
        """What has been measured so far, so that a run that is stopped has not been for nothing."""
        if args.json:
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with open(args.json + ".new", "w", encoding="utf-8") as file:
                json.dump({"torch": torch.__version__, "device": args.device, "threads": torch.get_num_threads(), "width": args.width,
                           "size": args.size, "peak": peak, "complete": complete, "variants": results}, file, indent=1)
            os.replace(args.json + ".new", args.json)

    with torch.inference_mode():
        for name, prepare in variants(device, args.width, image):
            if args.only not in name:
                continue
            try:
                seconds = measure(device, args.runs, prepare())
            except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
                print(f"{name:28} not possible here: {(str(error).splitlines() or [type(error).__name__])[0]}", flush=True)
                continue
            results.append({"name": name, "median": seconds[len(seconds) // 2], "least": seconds[0], "runs": len(seconds)})
            print(f"{name:28} {results[-1]['median']:.4f} s (least {seconds[0]:.4f} s)", flush=True)
            write(complete=False)
    write(complete=True)


if __name__ == "__main__":
    main()
