#!/usr/bin/env python3
"""PyTorch's side of tools/bench_against_torch: times one training step of a network of the zoo's name.

The step is the one `gradus bench step` times: forward, cross-entropy (auxiliary heads included), backward, SGD with
momentum 0.9 and weight decay 1e-4, on synthetic images. Prints one JSON object per mode.

  python3 tools/peer/torch_step.py --model cifar_resnet20 --batch 128 --input 3x32x32 --classes 10 --threads 2

Networks that torchvision has come from there; the CIFAR forms are written out below. se_resnet50 is timm's seresnet50
where timm is installed: the same parameters, but the stride is on the 3x3, as in torchvision's ResNet-50, which makes
6 % more multiply-adds than the published network's stride on the 1x1. --own-twin takes the latter, written out below.
Needs torch and torchvision.
"""
import argparse
import importlib.util
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)), inplace=True)))


class CifarBlock(nn.Module):
    """Basic block with the parameter-free shortcut: every second pixel, zero channels on both sides."""

    def __init__(self, cin, cout, stride, se=False, plain=False):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.se = SqueezeExcite(cout) if se else nn.Identity()
        self.pad = (cout - cin) // 2
        self.stride = stride
        self.plain = plain

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True))))
        if self.plain:
            return F.relu(y, inplace=True)
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x, inplace=True)


def cifar_resnet(depth, classes, **options):
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    cin = 16
    for cout, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range((depth - 2) // 6):
            layers.append(CifarBlock(cin, cout, stride if i == 0 else 1, **options))
            cin = cout
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def cifar_vgg16_bn(classes):
    layers, cin = [], 3
    for row in "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M".split():
        if row == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(cin, int(row), 3, 1, 1), nn.BatchNorm2d(int(row)), nn.ReLU(inplace=True)]
            cin = int(row)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, classes))


class DenseLayer(nn.Module):
    def __init__(self, cin, growth):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(cin), nn.Conv2d(cin, 4 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x), inplace=True))
        return torch.cat((x, self.conv2(F.relu(self.norm2(y), inplace=True))), 1)


def cifar_densenet_bc(depth, growth, classes):
    width = 2 * growth
    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False)]
    for block in range(3):
        for _ in range((depth - 4) // 6):
            layers.append(DenseLayer(width, growth))
            width += growth
        if block < 2:
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, width // 2, 1, bias=False),
                       nn.AvgPool2d(2)]
            width //= 2
    layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(width, classes))


class SEBottleneck(nn.Module):
    """SE-ResNet: stride on the first 1x1, SE before the sum."""

    def __init__(self, cin, width, stride):
        super().__init__()
        cout = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(cin, width, 1, stride, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, cout, 1, bias=False), nn.BatchNorm2d(cout), SqueezeExcite(cout))
        self.shortcut = nn.Identity()
        if stride != 1 or cin != cout:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


def se_resnet50(classes):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
              nn.MaxPool2d(3, 2, ceil_mode=True)]
    cin = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            layers.append(SEBottleneck(cin, width, stride if i == 0 else 1))
            cin = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, classes))


def build(name, classes, own_twin=False):
    if name.startswith("cifar_se_resnet"):
        return cifar_resnet(int(name[15:]), classes, se=True)
    if name.startswith("cifar_resnet") and name[12:].isdigit():
        return cifar_resnet(int(name[12:]), classes)
    if name.startswith("cifar_plain"):
        return cifar_resnet(int(name[11:]), classes, plain=True)
    if name == "cifar_vgg16_bn":
        return cifar_vgg16_bn(classes)
    if name == "cifar_densenet_bc100_k12":
        return cifar_densenet_bc(100, 12, classes)
    if name == "se_resnet50":
        if not own_twin and importlib.util.find_spec("timm"):
            import timm
            return timm.create_model("seresnet50", pretrained=False, num_classes=classes)
        return se_resnet50(classes)
    import torchvision
    if not hasattr(torchvision.models, name):
        raise SystemExit(f"torch_step: no PyTorch twin of {name}")
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **extra)


def loss_of(out, target):
    if isinstance(out, torch.Tensor):
        return F.cross_entropy(out, target)
    main, *auxiliary = [o for o in out if o is not None]
    return F.cross_entropy(main, target) + sum(0.3 * F.cross_entropy(a, target) for a in auxiliary)


def measure(args, mode):
    torch.manual_seed(0)
    channels, height, width = map(int, args.input.split("x"))
    model = build(args.model, args.classes, args.own_twin).train(not args.inference)
    x = torch.randn(args.batch, channels, height, width)
    target = torch.randint(0, args.classes, (args.batch,))
    if "channels_last" in mode:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(model) if "compile" in mode else model

    def step():
        if args.inference:
            with torch.no_grad():
                forward(x)
            return
        loss = loss_of(forward(x), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(args.warmup):
        step()
    times = []
    for _ in range(args.steps):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    median = statistics.median(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"engine": "torch " + torch.__version__, "model": args.model, "mode": mode, "batch": args.batch,
                      "threads": torch.get_num_threads(), "step_ms_median": round(median * 1e3, 3),
                      "images_per_second": round(args.batch / median, 2), "peak_mem_mib": round(peak, 1)}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--input", default="3x224x224")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--mode", default="channels_last", help="eager, channels_last or compile")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--inference", action="store_true", help="time the evaluation-mode forward pass alone")
    parser.add_argument("--own-twin", action="store_true", help="se_resnet50 as published, not timm's")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measure(arguments, arguments.mode)
