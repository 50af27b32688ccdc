#!/usr/bin/env python3
"""Takes weights from PyTorch to Gradus and back, for one network of each family, and compares logits.

  python3 tools/peer/round_trip.py                   all families, as a table
  python3 tools/peer/round_trip.py resnet18 dpn68    some networks

For each network: random weights and running statistics in PyTorch; `gradus import` to safetensors; `gradus predict` on
two pictures; `gradus export` to .pth; both files loaded in PyTorch with strict=True (which itself fills in
num_batches_tracked, a count that no network reads). The columns are the largest difference of logits over the largest
logit, against PyTorch with the first weights: of Gradus, and of PyTorch with the weights that came back; then whether
every value is the same. Exits 1 if a difference exceeds 1e-5.

Needs build/release/gradus; torch, torchvision, safetensors and pillow; for senet, dpn and bninception pretrainedmodels
(pip install --no-deps pretrainedmodels munch tqdm). LeNet, the MLP and the CIFAR networks are written out below.
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
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOUND = 1e-5
# One network of each family, and the side of its pictures.
NETWORKS = {"mlp": 32, "lenet5": 32, "alexnet": 224, "vgg11": 224, "googlenet": 224, "inception_v3": 299,
            "bninception": 224, "resnet18": 224, "cifar_resnet20": 32, "cifar_preresnet110": 32, "resnext50_32x4d": 224,
            "squeezenet1_1": 224, "densenet121": 224, "se_resnet50": 224, "dpn68": 224}


class CifarBlock(nn.Module):
    """With option A: every second pixel, zero channels on both sides."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.stride, self.pad = stride, (cout - cin) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad)))


class PreactivationBlock(nn.Module):
    """The branch and, where width or stride change, the shortcut start from the same rectified batch norm."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(cout), nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False))

    def forward(self, x):
        y = F.relu(self.bn1(x))
        shortcut = self.downsample(y) if hasattr(self, "downsample") else x
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + shortcut


def stages(block, n):
    cin = 16
    for cout, stride in ((16, 1), (32, 2), (64, 2)):
        yield nn.Sequential(*(block(cin if i == 0 else cout, cout, stride if i == 0 else 1) for i in range(n)))
        cin = cout


class CifarResNet(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = stages(CifarBlock, (depth - 2) // 6)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(y.mean((2, 3)))


class CifarPreactivation(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.layer1, self.layer2, self.layer3 = stages(PreactivationBlock, (depth - 2) // 6)
        self.bn, self.fc = nn.BatchNorm2d(64), nn.Linear(64, 10)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(F.relu(self.bn(y)).mean((2, 3)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(3072, 512), nn.Linear(512, 512), nn.Linear(512, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        y = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        y = F.avg_pool2d(torch.tanh(self.conv2(y)), 2)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(y.flatten(1))))))


HERE = {"mlp": Mlp, "lenet5": LeNet5, "cifar_resnet20": lambda: CifarResNet(20),
        "cifar_preresnet110": lambda: CifarPreactivation(110)}


def build(name):
    if name in HERE:
        return HERE[name]()
    import torchvision
    if hasattr(torchvision.models, name):
        extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        return getattr(torchvision.models, name)(weights=None, **extra)
    import pretrainedmodels
    return getattr(pretrainedmodels, name)(num_classes=1000, pretrained=None)


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
