#!/usr/bin/env python3
"""Writes the figures of networks of the zoo that tests/oracle_models_test.cpp compares with, computed in PyTorch.

  python3 tools/peer/oracle.py --out FOLDER resnet34 se_resnet101     <model>.json each
  python3 tools/peer/oracle.py --compare tests/oracle/models resnet18 against a file there: the largest differences
  GRADUS_ORACLE_DIR=FOLDER ctest -R oracle.models                     Gradus against them

All parameters and inputs come from a closed formula (tests/harness/oracle.hpp). In float64: evaluation logits, then the
training loss with auxiliary heads and without dropout, every gradient, running statistics. In float32: how far three runs
stray (as PyTorch is, with other convolution kernels, with every input moved by one unit in the last place), from which
the test takes its tolerances in f32. `gain2` scales the weights; the largest of 2, 1, 0.75, 0.5, 0.25 that keeps the mean
size of activations below 100 is taken unless --gain2 says otherwise.

Needs torch and what tools/peer/networks.py names.
"""
import argparse
import json
import math
import os
import statistics

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F

import networks

SIDES = {"alexnet_paper": 227, "inception_v3": 299, "inceptionv4": 299, "inceptionresnetv2": 299,
         "se_inceptionresnetv2": 299}


def stream(name, n):
    """n values in [-1, 1) of the stream of that name: FNV-1a of the name, then splitmix64."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    z = numpy.uint64(h) + numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(40)).astype(numpy.float64) * 2.0**-23 - 1


def filled(name, shape, gain2):
    n = math.prod(shape)
    v = stream(name, n)
    if len(shape) > 1:
        v *= math.sqrt(3 * gain2 / (n // shape[0]))
    elif name.endswith("running_var"):
        v = 1 + 0.5 * v
    elif name.endswith(("running_mean", ".bias")):
        v *= 0.1
    else:
        v = 1 + 0.25 * v
    return torch.from_numpy(v.astype(numpy.float32)).reshape(shape)


def input_of(n, side):
    cell = max(1, side // 8)
    coarse = -(-side // cell)
    fine = stream("input", n * 3 * side * side).reshape(n, 3, side, side)
    rough = stream("input.coarse", n * 3 * coarse * coarse).reshape(n, 3, coarse, coarse)
    at = numpy.arange(side) // cell
    return torch.from_numpy((fine + 1.5 * rough[:, :, at][:, :, :, at]).astype(numpy.float32))


def fill(net, gain2):
    """The state of step 1 and 2 of a run; dropout off."""
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(filled(name, tuple(tensor.shape), gain2))
            else:
                tensor.zero_()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_rate"):
            module.drop_rate = 0.0
    net.zero_grad()


def heads_of(name, output):
    """{"main": logits, auxiliary heads in the order in which the network returns them}."""
    if torch.is_tensor(output):
        return {"main": output}
    names = ("main", "aux") if name == "inception_v3" else ("main", "aux1", "aux2")
    return dict(zip(names, output))


def weights_of(name):
    if name == "inception_v3":
        return {"main": 1.0, "aux": 0.4}
    return {"main": 1.0, "aux1": 0.3, "aux2": 0.3} if name in ("googlenet", "googlenet_paper") else {"main": 1.0}


class Taps:
    """Sums of what top-level modules give, and those in "features"."""

    def __init__(self, net):
        self.rows, self.hooks = [], []
        for name, module in net.named_modules():
            if name and (name.count(".") == 0 or name.count(".") == 1 and name.startswith("features.")):
                self.hooks.append(module.register_forward_hook(self.row(name)))

    def row(self, name):
        def hook(module, args, y):
            if torch.is_tensor(y):
                self.rows.append([name, list(y.shape), y.sum().item(), y.abs().sum().item(), y.abs().mean().item()])
        return hook

    def close(self):
        for hook in self.hooks:
            hook.remove()


def run(name, net, x, labels, gain2, with_taps=False):
    """One evaluation forward, one training forward and backward."""
    fill(net, gain2)
    net.eval()
    taps = Taps(net) if with_taps else None
    with torch.no_grad():
        logits = net(x)
    if taps:
        taps.close()
    net.train()
    x = x.clone().requires_grad_()
    heads = heads_of(name, net(x))
    losses = {head: F.cross_entropy(y, labels) for head, y in heads.items()}
    loss = sum(losses[head] * weight for head, weight in weights_of(name).items())
    loss.backward()
    zeros = torch.zeros_like
    return {"eval": logits, "train": heads["main"].detach(), "loss": loss.item(),
            "losses": {head: value.item() for head, value in losses.items()}, "taps": taps.rows if taps else None,
            # Copies: net.float() would round what the parameters hold.
            "grads": {n: zeros(p) if p.grad is None else p.grad.clone() for n, p in net.named_parameters()},
            "input": x.grad}


def gain_for(name, net, x):
    for gain2 in (2.0, 1.0, 0.75, 0.5, 0.25):
        fill(net, gain2)
        net.eval()
        taps = Taps(net)
        with torch.no_grad():
            net(x)
        taps.close()
        if max(row[4] for row in taps.rows) < 100:
            return gain2
    raise SystemExit(f"{name}: activations exceed 100 whatever the gain")


def significant(x, digits=10):
    return float(f"{x:.{digits}g}")


def logits_block(y):
    return {"logits16": [significant(v) for v in y.flatten()[:16].tolist()], "sum": significant(y.sum().item()),
            "abs_sum": significant(y.abs().sum().item())}


def gradient(g, name):
    flat = g.double().flatten()
    probe = float(numpy.dot(flat.numpy(), stream(name + "#probe", flat.numel())))
    return [significant(flat.norm().item()), [significant(v) for v in flat[:4].tolist()], significant(probe)]


def strays(exact, other, zero):
    """How far a float32 run is from the float64 one."""
    def of_largest(mode):
        return ((other[mode].double() - exact[mode]).abs().max() / exact[mode].abs().max()).item()
    l2, vec = {}, {}
    for name, g in exact["grads"].items():
        h = other["grads"][name].double()
        if name not in zero:
            l2[name] = abs(h.norm().item() - g.norm().item()) / g.norm().item()
            vec[name] = ((h - g).norm() / g.norm()).item()
    return {"eval_logits": of_largest("eval"), "train_logits": of_largest("train"),
            "loss": abs(other["loss"] - exact["loss"]) / abs(exact["loss"]),
            "grad_l2_max": max(l2.values()), "grad_l2_median": statistics.median(l2.values()),
            "grad_vec_max": max(vec.values()), "grad_vec_median": statistics.median(vec.values()),
            "zero_grad_l2": max((other["grads"][n].double().norm().item() for n in zero), default=0.0),
            "worst_param": max(vec, key=vec.get)}


def figures(name, batch, side, gain2):
    classes = 10 if name.startswith("cifar_") else 1000
    side = side or SIDES.get(name, 32 if classes == 10 else 224)
    batch = batch or (4 if classes == 10 else 2)
    labels = torch.tensor([(7 * n + 3) % classes for n in range(batch)])
    x = input_of(batch, side)
    net = networks.build(name, classes)
    gain2 = gain2 or gain_for(name, net, x)
    net = net.double()
    exact = run(name, net, x.double(), labels, gain2, with_taps=True)
    running = [[n, significant(m.running_mean.sum().item()), significant(m.running_var.sum().item())]
               for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)]
    norms = {n: g.norm().item() for n, g in exact["grads"].items()}
    least = 1e-11 * statistics.median(norms.values())
    zero = [n for n in norms if norms[n] < least]
    norm_layers = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    blocks = [m for m in net.modules() if isinstance(m, networks.CifarBlock)]
    dropped = any(b.dropped for b in blocks)

    net, strayed = net.float(), []
    for nudge, kernels in ((False, True), (False, False), (True, True)):
        start = torch.nextafter(x, torch.full_like(x, math.inf)) if nudge else x
        with torch.backends.mkldnn.flags(enabled=kernels):
            strayed.append(strays(exact, run(name, net, start, labels, gain2), set(zero)))
    fp32 = {key: max(s[key] for s in strayed) for key in strayed[0] if key != "worst_param"}
    fp32 = {key: significant(value, 3) for key, value in fp32.items()}
    fp32["worst_param"] = max(strayed, key=lambda s: s["grad_vec_max"])["worst_param"]

    return {"format": "gradus-oracle-1", "model": name, "reference": "float64", "input_shape": [batch, 3, side, side],
            "num_classes": classes, "labels": labels.tolist(), "gain2": gain2, "loss_weights": weights_of(name),
            "bn": {"eps": sorted({m.eps for m in norm_layers}), "momentum": sorted({m.momentum for m in norm_layers})},
            "num_params": sum(p.numel() for p in net.parameters()), "num_tensors": len(list(net.parameters())),
            "note": f"train mode: residual block i (0-based, over all {len(blocks)}) is dropped when i % 3 == 2; eval "
                    f"mode: residual branch of block i scaled by 1 - 0.5*(i+1)/{len(blocks)}" if dropped else "",
            "eval": logits_block(exact["eval"]), "taps": [[n, s, significant(a), significant(b)]
                                                          for n, s, a, b, _ in exact["taps"]],
            "train": {**logits_block(exact["train"]), "loss": significant(exact["loss"], 12),
                      "losses": {head: significant(v, 12) for head, v in exact["losses"].items()}},
            "input_grad": gradient(exact["input"], "input"),
            "grads": [[n, list(g.shape), *gradient(g, n)] for n, g in exact["grads"].items()],
            "running": running, "zero_grad": zero, "fp32": fp32}


def compare(ours, theirs):
    """The largest relative differences of two files of one network."""
    def relative(a, b):
        return abs(a - b) / max(abs(b), 1e-30)
    rows = {row[0]: row for row in ours["grads"]}
    zero = set(theirs["zero_grad"])
    mine = {row[0]: row for row in ours["running"]}
    return {"eval": max(map(relative, ours["eval"]["logits16"], theirs["eval"]["logits16"])),
            "loss": relative(ours["train"]["loss"], theirs["train"]["loss"]),
            "grads": max(relative(rows[r[0]][2], r[2]) for r in theirs["grads"] if r[0] not in zero),
            "input_grad": relative(ours["input_grad"][0], theirs["input_grad"][0]),
            "running": max((relative(mine[r[0]][2], r[2]) for r in theirs["running"]), default=0.0),
            "zero_grad equal": zero == set(ours["zero_grad"]),
            "fp32": {k: (ours["fp32"][k], v) for k, v in theirs["fp32"].items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--out", help="folder to write to")
    parser.add_argument("--compare", help="folder of files to compare with")
    parser.add_argument("--batch", type=int, default=0, help="2, CIFAR networks 4")
    parser.add_argument("--side", type=int, default=0, help="of the images; the network's own")
    parser.add_argument("--gain2", type=float, default=0)
    args = parser.parse_args()
    for name in args.networks:
        theirs, gain2 = None, args.gain2
        if args.compare:
            with open(os.path.join(args.compare, name + ".json")) as file:
                theirs = json.load(file)
            gain2 = theirs["gain2"]
        file = figures(name, args.batch, args.side, gain2)
        if theirs:
            print(name, json.dumps(compare(file, theirs)), flush=True)
        if args.out:
            os.makedirs(args.out, exist_ok=True)
            with open(os.path.join(args.out, name + ".json"), "w") as out:
                json.dump(file, out)
            print(name, f"gain2 {file['gain2']}, loss {file['train']['loss']:.6g}", file["fp32"], flush=True)


if __name__ == "__main__":
    main()
