#!/usr/bin/env python3
"""Takes weights from PyTorch to Gradus and back, for one network of each family, and compares logits.

  python3 tools/peer/round_trip.py                   all families, as a table
  python3 tools/peer/round_trip.py resnet18 dpn68    some networks

For each network: random weights and running statistics in PyTorch; `gradus import` to safetensors; `gradus predict` on
two pictures; `gradus export` to .pth; both files loaded in PyTorch with strict=True (which itself fills in
num_batches_tracked, a count that no network reads). The columns are the largest difference of logits over the largest
logit, against PyTorch with the first weights: of Gradus, and of PyTorch with the weights that came back; then whether
every value is the same. Exits 1 if a difference exceeds 1e-5.

Needs build/release/gradus; torch, safetensors, pillow and what tools/peer/networks.py names.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy
import torch
import torch.nn as nn
from PIL import Image
from safetensors.torch import load_file

import networks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOUND = 1e-5
# One network of each family or of each scheme of names in it, and the side of its pictures.
NETWORKS = {"mlp": 32, "lenet5": 32, "alexnet": 224, "zfnet": 224, "vgg11": 224, "googlenet": 224,
            "googlenet_paper": 224, "bninception": 224, "inception_v3": 299, "inceptionv4": 299,
            "inceptionresnetv2": 299, "resnet18": 224, "wide_resnet50_2": 224, "cifar_resnet20": 32,
            "cifar_preresnet110": 32, "resnext50_32x4d": 224, "squeezenet1_1": 224, "densenet121": 224,
            "cifar_densenet_bc100_k12": 32, "se_resnet50": 224, "se_resnext50_32x4d": 224, "se_inception": 224,
            "senet154": 224, "dpn68": 224}


def build(name):
    return networks.build(name, 10 if name.startswith("cifar_") or name in ("mlp", "lenet5") else 1000)


def randomize(net):
    """Running statistics and scales as a trained network has them."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.75, 1.25)
            module.bias.data.uniform_(-0.1, 0.1)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\nfailed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def strict(name, state):
    net = build(name)
    net.load_state_dict(state, strict=True)
    return net.eval()


def difference(logits, expected):
    return ((logits.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


@torch.no_grad()
def round_trip(name, side, gradus, folder):
    torch.manual_seed(1)
    net = build(name).eval()
    randomize(net)
    pictures, files = [], []
    for i in range(2):
        coarse = numpy.random.RandomState(i).randint(0, 256, (8, 8, 3), numpy.uint8)
        picture = Image.fromarray(coarse).resize((side, side), Image.BICUBIC)
        files.append(os.path.join(folder, f"{i}.png"))
        picture.save(files[-1])
        pictures.append(torch.from_numpy(numpy.asarray(picture).copy()).permute(2, 0, 1).float() / 255)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (torch.stack(pictures) - mean[:, None, None]) / std[:, None, None]
    expected = net(x)

    first, ours, back = (os.path.join(folder, file) for file in ("first.pth", "ours.safetensors", "back.pth"))
    torch.save(net.state_dict(), first)
    run(gradus, "import", first, "--model", name, "-o", ours)
    told = json.loads(run(gradus, "predict", "--model", name, "--weights", ours, "--json", "--top", "1000",
                          "--preprocess", f"resize({side} {side}) | normalize(imagenet)", *files).splitlines()[-1])
    logits = torch.tensor([[c["logit"] for c in sorted(picture["classes"], key=lambda c: c["index"])]
                           for picture in told], dtype=torch.float64)
    run(gradus, "export", ours, "-o", back)
    returned = [strict(name, torch.load(back, weights_only=True)), strict(name, load_file(ours))]
    same = all(torch.equal(value, r.state_dict()[key]) for r in returned for key, value in net.state_dict().items()
               if not key.endswith("num_batches_tracked"))
    return difference(logits, expected), max(difference(r(x), expected) for r in returned), same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--gradus", default=os.path.join(ROOT, "build/release/gradus"))
    args = parser.parse_args()
    print("| network | Gradus | PyTorch, weights back | values back |\n|---|---|---|---|", flush=True)
    good = True
    for name in args.networks:
        with tempfile.TemporaryDirectory() as folder:
            here, back, buffers = round_trip(name, NETWORKS.get(name, 224), args.gradus, folder)
        good &= here <= BOUND and back <= BOUND and buffers
        print(f"| {name} | {here:.1e} | {back:.1e} | {'equal' if buffers else 'CHANGED'} |", flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
