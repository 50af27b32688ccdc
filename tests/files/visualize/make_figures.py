#!/usr/bin/env python3
"""Writes figures.json: input gradients, guided gradients, Grad-CAM and occlusion by a plain PyTorch computation in float64.

Weights and input follow the oracle's fill formula. Needs torch, torchvision and numpy.
"""
import json, os
import numpy as np
import torch
from torchvision import models

SIZE = 64


def stream(name, n):
    """v_0 .. v_(n-1) of the fill formula."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) % 2**64
    z = np.uint64(h) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    u = z ^ (z >> np.uint64(31))
    return (u >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1


def filled(net, gain2):
    state = {}
    for name, t in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = t
            continue
        v = stream(name, t.numel())
        if t.dim() > 1:
            v = v * np.sqrt(3 * gain2 / (t.numel() // t.shape[0]))
        elif name.endswith("running_var"):
            v = 1 + 0.5 * v
        elif name.endswith((".bias", "running_mean")):
            v = 0.1 * v
        else:
            v = 1 + 0.25 * v
        state[name] = torch.from_numpy(v.astype(np.float32)).reshape(t.shape)
    net.load_state_dict(state)
    return net.double().eval()


def filled_input():
    cell = SIZE // 8
    a = stream("input", 3 * SIZE * SIZE).reshape(3, SIZE, SIZE)
    b = stream("input.coarse", 3 * 8 * 8).reshape(3, 8, 8).repeat(cell, 1).repeat(cell, 2)
    return torch.from_numpy((a + 1.5 * b).astype(np.float32)).double()[None]


def gradient(net, x, target):
    x = x.clone().requires_grad_()
    net(x)[0, target].backward()
    return x.grad


def guided(net, x, target):
    hooks = [m.register_full_backward_hook(lambda m, gi, go: (gi[0].clamp(min=0),))
             for m in net.modules() if isinstance(m, torch.nn.ReLU)]
    g = gradient(net, x, target)
    for hook in hooks:
        hook.remove()
    return g


def grad_cam(net, x, target, layer):
    kept = {}
    hook = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.update(maps=o))
    y = net(x.clone().requires_grad_())[0, target]
    hook.remove()
    g, = torch.autograd.grad(y, kept["maps"])
    return (g.mean((2, 3), keepdim=True) * kept["maps"]).sum(1).clamp(min=0)[0]


@torch.no_grad()
def occlusion(net, x, target, patch, stride):
    steps = (SIZE + patch - 2) // stride + 1
    rows = []
    for i in range(steps):
        rows.append([])
        for j in range(steps):
            top, left = i * stride - patch + 1, j * stride - patch + 1
            covered = x.clone()
            covered[:, :, max(top, 0):max(top + patch, 0), max(left, 0):max(left + patch, 0)] = 0
            rows[-1].append(net(covered).softmax(1)[0, target].item())
    return torch.tensor(rows)


def figures(t):
    t = t.detach().flatten().double()
    probe = (t * torch.from_numpy(stream("#probe", t.numel()))).sum().item()
    return {"l2": t.norm().item(), "probe": probe, "first": [float(f"{v:.9g}") for v in t[:4].tolist()]}


def no_inplace(net):
    for m in net.modules():
        if isinstance(m, torch.nn.ReLU):
            m.inplace = False
    return net


torch.set_num_threads(1)
out = {}
x = filled_input()
for name, layer, other in (("squeezenet1_1", "features.12", "features.5"), ("resnet18", "layer4", "layer2")):
    net = no_inplace(filled(getattr(models, name)(num_classes=20), 1.0 if name == "resnet18" else 1.9))
    out[name] = {
        "gradient": figures(gradient(net, x, 7)),
        "saliency": figures(gradient(net, x, 7).abs().amax(1)[0]),
        "grad_cam": {layer: figures(grad_cam(net, x, 7, layer)), other: figures(grad_cam(net, x, 7, other))},
        "occlusion": figures(occlusion(net, x, 7, 16, 12)),
    }
    if name == "squeezenet1_1":
        out[name]["guided"] = figures(guided(net, x, 7))
    else:
        # torchvision's blocks use one ReLU module several times, which a hook cannot tell apart: a ReLU as a function
        class Guided(torch.autograd.Function):
            @staticmethod
            def forward(ctx, v):
                ctx.save_for_backward(v)
                return v.clamp(min=0)

            @staticmethod
            def backward(ctx, g):
                return g.clamp(min=0) * (ctx.saved_tensors[0] > 0)

        for m in net.modules():
            if isinstance(m, torch.nn.ReLU):
                m.forward = Guided.apply
        out[name]["guided"] = figures(gradient(net, x, 7))
with open(os.path.join(os.path.dirname(__file__), "figures.json"), "w") as file:
    json.dump(out, file, indent=1)
