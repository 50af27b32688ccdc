#!/usr/bin/env python3
"""Writes figures.json: class probabilities under the test protocols, by a plain PyTorch and Pillow computation.

Weights follow the oracle's fill formula and pictures a linear congruential generator, so that nothing but the figures needs to be
kept. Needs torch, torchvision, numpy and Pillow.
"""
import json, os
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision import models, transforms as T

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)


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
    """Weights with two or more dimensions, and biases."""
    state = {}
    for name, t in net.state_dict().items():
        v = stream(name, t.numel())
        scale = np.sqrt(3 * gain2 / (t.numel() // t.shape[0])) if t.dim() > 1 else 0.1
        state[name] = torch.from_numpy((v * scale).astype(np.float32)).reshape(t.shape)
    net.load_state_dict(state)
    return net.double().eval()


def picture(height, width, seed):
    """Squares of 16 x 16 pixels of one random colour each."""
    cells = np.zeros((-(-height // 16), -(-width // 16), 3), np.uint8)
    for i in np.ndindex(cells.shape):
        seed = (seed * 1664525 + 1013904223) % 2**32
        cells[i] = seed >> 24
    return Image.fromarray(cells.repeat(16, 0).repeat(16, 1)[:height, :width])


def tensor(image, normalization):
    mean, std = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in normalization)
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).double() / 255 - mean) / std


def both(images):
    return [v for image in images for v in (image, T.functional.hflip(image))]


def resized(image, scale):
    return T.functional.resize(image, scale, T.InterpolationMode.BILINEAR)


def one(image, scale):
    return [T.functional.center_crop(resized(image, scale), 224)]


def ten(image, scale):
    return list(T.functional.ten_crop(resized(image, scale), 224))


def many(image):
    views = []
    for scale in (256, 288, 320, 352):
        r = resized(image, scale)
        w, h = r.size
        longer = max(w, h)
        for at in (0, round((longer - scale) / 2), longer - scale):
            square = T.functional.crop(r, at, 0, scale, scale) if h > w else T.functional.crop(r, 0, at, scale, scale)
            crops = list(T.functional.five_crop(square, 224)) + [T.functional.resize(square, [224, 224])]
            views += both(crops)
    return views


def probabilities(logits):
    return logits.softmax(1).mean(0)


def dense(net, x):
    """AlexNet's linear layers as convolutions."""
    y = net.features(x)
    c = net.classifier
    y = F.relu(F.conv2d(y, c[1].weight.view(4096, 256, 6, 6), c[1].bias))
    y = F.relu(F.conv2d(y, c[4].weight.view(4096, 4096, 1, 1), c[4].bias))
    return F.conv2d(y, c[6].weight.view(-1, 4096, 1, 1), c[6].bias).mean((2, 3))


def whole(net, image, scales, normalization, run):
    views = [tensor(v, normalization) for s in scales for v in both([resized(image, s)])]
    return torch.cat([run(v[None]) for v in views]).softmax(1).mean(0)


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    squeeze = filled(models.squeezenet1_1(num_classes=20), 1.9)
    alex = filled(models.alexnet(num_classes=20), 1.9)
    figures = []
    for height, width, seed in ((300, 417, 1), (391, 288, 2)):
        image = picture(height, width, seed)

        def crops(net, views, normalization):
            return probabilities(net(torch.stack([tensor(v, normalization) for v in views])))

        rows = {
            "one": crops(squeeze, one(image, 256), IMAGENET),
            "one, mirrored, three scales": crops(squeeze, both(v for s in (224, 256, 320) for v in one(image, s)), IMAGENET),
            "ten": crops(squeeze, ten(image, 256), IMAGENET),
            "many": crops(squeeze, many(image), IMAGENET),
            "dense, three scales": whole(squeeze, image, (224, 256, 320), IMAGENET, squeeze),
            "dense linear layers": whole(alex, image, (256, 300), HALF, lambda x: dense(alex, x)),
        }
        rows["ensemble"] = (rows["ten"] + crops(alex, ten(image, 240), HALF)) / 2
        figures.append({"height": height, "width": width, "seed": seed,
                        "probabilities": {k: [float(f"{p:.9g}") for p in v] for k, v in rows.items()}})
    with open(os.path.join(os.path.dirname(__file__), "figures.json"), "w") as out:
        json.dump(figures, out, indent=1)


main()
