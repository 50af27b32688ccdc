"""The zoo's networks in PyTorch, with the zoo's state_dict names: the other side of comparisons and timings.

Those of torchvision and of the pretrainedmodels collection come from there (the second: pip install --no-deps
pretrainedmodels munch tqdm); the rest is written out below from the papers' tables.
"""
import importlib

import torch
import torch.nn as nn
import torch.nn.functional as F


def relu(x):
    return F.relu(x, inplace=True)


# --- CIFAR ResNets: plain, stochastic depth, squeeze and excitation, pre-activation, ResNeXt ------------------------


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))


class CifarBlock(nn.Module):
    """With option A: every second pixel, zero channels on both sides. `survival` scales the branch in evaluation;
    in training `dropped` leaves it out."""

    def __init__(self, cin, cout, stride, se=False, plain=False, survival=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.conv2, self.bn2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        if se:
            self.se_module = SqueezeExcite(cout)
        self.se, self.plain, self.survival, self.dropped = se, plain, survival, False
        self.stride, self.pad = stride, (cout - cin) // 2

    def branch(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return self.se_module(y) if self.se else y

    def forward(self, x):
        if self.plain:
            return relu(self.branch(x))
        shortcut = x
        if self.stride != 1:
            shortcut = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad))
        if self.training and self.dropped:
            return F.relu(shortcut)
        y = self.branch(x)
        return relu(shortcut + (y if self.training or self.survival == 1 else self.survival * y))


class CifarResNet(nn.Module):
    def __init__(self, depth, classes, stochastic=False, **options):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        cin = 16
        for stage, cout in enumerate((16, 32, 64)):
            row = []
            for i in range(blocks):
                index = stage * blocks + i
                block = CifarBlock(cin, cout, 2 if stage and i == 0 else 1, **options,
                                   survival=1 - 0.5 * (index + 1) / (3 * blocks) if stochastic else 1)
                block.dropped = stochastic and index % 3 == 2  # as the figures of the reference were made
                row.append(block)
                cin = cout
            setattr(self, f"layer{stage + 1}", nn.Sequential(*row))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(x))))))
        return self.linear(y.mean((2, 3)))


class PreactivationBlock(nn.Module):
    """The branch and, where width or stride change, the shortcut start from the same rectified batch norm."""

    def __init__(self, cin, width, stride, bottleneck):
        super().__init__()
        cout = 4 * width if bottleneck else width
        rows = [(cin, width, 1, stride), (width, width, 3, 1), (width, cout, 1, 1)] if bottleneck else \
               [(cin, width, 3, stride), (width, cout, 3, 1)]
        for i, (a, b, kernel, s) in enumerate(rows, 1):
            setattr(self, f"bn{i}", nn.BatchNorm2d(a))
            setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, s, kernel // 2, bias=False))
        self.units = len(rows)
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False))

    def forward(self, x):
        y = relu(self.bn1(x))
        shortcut = self.downsample(y) if hasattr(self, "downsample") else x
        y = self.conv1(y)
        for i in range(2, self.units + 1):
            y = getattr(self, f"conv{i}")(relu(getattr(self, f"bn{i}")(y)))
        return y + shortcut


class CifarPreactivation(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        bottleneck = depth >= 164
        blocks = (depth - 2) // (9 if bottleneck else 6)
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        cin = 16
        for stage, width in enumerate((16, 32, 64)):
            row = []
            for i in range(blocks):
                row.append(PreactivationBlock(cin, width, 2 if stage and i == 0 else 1, bottleneck))
                cin = 4 * width if bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*row))
        self.bn, self.fc = nn.BatchNorm2d(cin), nn.Linear(cin, classes)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(relu(self.bn(y)).mean((2, 3)))


class CifarResNeXtBlock(nn.Module):
    def __init__(self, cin, width, cout, stride, groups):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, cout, 1, bias=False), nn.BatchNorm2d(cout)
        self.downsample = nn.Sequential()
        if stride != 1 or cin != cout:
            self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        y = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


class CifarResNeXt29(nn.Module):
    def __init__(self, classes, groups=8, base_width=64):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        cin = 64
        for stage in range(3):
            width, cout, row = groups * base_width << stage, 256 << stage, []
            for i in range(3):
                row.append(CifarResNeXtBlock(cin, width, cout, 2 if stage and i == 0 else 1, groups))
                cin = cout
            setattr(self, f"layer{stage + 1}", nn.Sequential(*row))
        self.fc = nn.Linear(cin, classes)

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(relu(self.bn1(self.conv1(x))))))
        return self.fc(y.mean((2, 3)))


# --- DenseNet for CIFAR ---------------------------------------------------------------------------------------------


class DenseLayer(nn.Module):
    def __init__(self, cin, growth, bottleneck):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(cin)
        if bottleneck:
            self.conv1, self.norm2 = nn.Conv2d(cin, 4 * growth, 1, bias=False), nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(cin, growth, 3, 1, 1, bias=False)
        self.bottleneck = bottleneck

    def forward(self, x):
        y = self.conv1(relu(self.norm1(x)))
        return torch.cat((x, self.conv2(relu(self.norm2(y))) if self.bottleneck else y), 1)


class CifarDenseNet(nn.Module):
    def __init__(self, depth, growth, classes, bottleneck, compression):
        super().__init__()
        layers = (depth - 4) // (6 if bottleneck else 3)
        width = 2 * growth if compression < 1 else 16
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, width, 3, 1, 1, bias=False))
        for block in range(1, 4):
            row = nn.Sequential()
            for i in range(1, layers + 1):
                row.add_module(f"denselayer{i}", DenseLayer(width, growth, bottleneck))
                width += growth
            self.features.add_module(f"denseblock{block}", row)
            if block < 3:
                transition, narrow = nn.Sequential(), int(width * compression)
                transition.add_module("norm", nn.BatchNorm2d(width))
                transition.add_module("relu", nn.ReLU(inplace=True))
                transition.add_module("conv", nn.Conv2d(width, narrow, 1, bias=False))
                transition.add_module("pool", nn.AvgPool2d(2))
                self.features.add_module(f"transition{block}", transition)
                width = narrow
        self.features.add_module("norm_final", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        return self.classifier(relu(self.features(x)).mean((2, 3)))


# --- VGG ------------------------------------------------------------------------------------------------------------

VGG = {"A-LRN": "64 L M 128 M 256 256 M 512 512 M 512 512 M",
       "C": "64 64 M 128 128 M 256 256 1x256 M 512 512 1x512 M 512 512 1x512 M",
       "D": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"}


def vgg_features(rows, batch_norm=False):
    layers, cin = [], 3
    for row in VGG[rows].split():
        if row == "M":
            layers.append(nn.MaxPool2d(2))
        elif row == "L":
            layers.append(nn.LocalResponseNorm(5, 5e-4, 0.75, 2))
        else:
            kernel, cout = (1, int(row[2:])) if row.startswith("1x") else (3, int(row))
            layers.append(nn.Conv2d(cin, cout, kernel, padding=kernel // 2))
            layers += [nn.BatchNorm2d(cout)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            cin = cout
    return nn.Sequential(*layers)


class CifarVgg(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features, self.classifier = vgg_features("D", batch_norm=True), nn.Linear(512, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


# --- AlexNet, ZFNet -------------------------------------------------------------------------------------------------


class Towers(nn.Module):
    """Five convolutions and three linear layers with the names of Caffe's files. A row: channels, kernel, stride,
    padding, groups, what follows its ReLU (L: response normalisation; P, C: pool, with ceil_mode)."""

    ALEXNET = (96, 11, 4, 0, 1, "LP"), (256, 5, 1, 2, 2, "LP"), (384, 3, 1, 1, 1, ""), (384, 3, 1, 1, 2, ""), \
              (256, 3, 1, 1, 2, "P")
    ZFNET = (96, 7, 2, 1, 1, "CL"), (256, 5, 2, 0, 1, "CL"), (384, 3, 1, 1, 1, ""), (384, 3, 1, 1, 1, ""), \
            (256, 3, 1, 1, 1, "P")
    CIFAR_ALEXNET = (64, 5, 1, 2, 1, "LP"), (192, 5, 1, 2, 1, "LP"), (384, 3, 1, 1, 1, ""), (256, 3, 1, 1, 1, ""), \
                    (256, 3, 1, 1, 1, "P")
    CIFAR_ZFNET = (96, 3, 1, 1, 1, "PL"), (256, 3, 1, 1, 1, "PL"), (384, 3, 1, 1, 1, ""), (384, 3, 1, 1, 1, ""), \
                  (256, 3, 1, 1, 1, "P")

    def __init__(self, rows, side, hidden, classes):
        super().__init__()
        cin = 3
        for i, (cout, kernel, stride, padding, groups, _) in enumerate(rows, 1):
            setattr(self, f"conv{i}", nn.Conv2d(cin, cout, kernel, stride, padding, groups=groups))
            cin = cout
        self.fc6, self.fc7 = nn.Linear(cin * side * side, hidden), nn.Linear(hidden, hidden)
        self.fc8, self.drop, self.rows = nn.Linear(hidden, classes), nn.Dropout(0.5), rows

    def forward(self, x):
        for i, row in enumerate(self.rows, 1):
            x = relu(getattr(self, f"conv{i}")(x))
            for what in row[-1]:
                x = F.local_response_norm(x, 5, 5e-4, 0.75, 2) if what == "L" else \
                    F.max_pool2d(x, 3, 2, ceil_mode=what == "C")
        x = relu(self.fc6(self.drop(x.flatten(1))))
        return self.fc8(relu(self.fc7(self.drop(x))))


# --- GoogLeNet and BN-Inception --------------------------------------------------------------------------------------

GOOGLENET = {"3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
             "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
             "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
             "5b": (384, 192, 384, 48, 128, 128)}  # 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection


class GoogLeNetPaper(nn.Module):
    """With Caffe's names; the heads' logits come in order: (main, loss1, loss2) in training."""

    def __init__(self, classes):
        super().__init__()
        self.conv("conv1_7x7_s2", 3, 64, 7)
        self.conv("conv2_3x3_reduce", 64, 64, 1)
        self.conv("conv2_3x3", 64, 192, 3)
        cin = 192
        for name, (a, b3, b, c5, c, d) in GOOGLENET.items():
            prefix = f"inception_{name}_"
            for part, i, o, kernel in (("1x1", cin, a, 1), ("3x3_reduce", cin, b3, 1), ("3x3", b3, b, 3),
                                       ("5x5_reduce", cin, c5, 1), ("5x5", c5, c, 5), ("pool_proj", cin, d, 1)):
                self.conv(prefix + part, i, o, kernel)
            cin = a + b + c + d
        for head, width in (("loss1", 512), ("loss2", 528)):
            self.conv(head + "_conv", width, 128, 1)
            self.add_module(head + "_fc", nn.Linear(2048, 1024))
            self.add_module(head + "_classifier", nn.Linear(1024, classes))
        self.loss3_classifier = nn.Linear(cin, classes)
        self.drop, self.drop_head = nn.Dropout(0.4), nn.Dropout(0.7)

    def conv(self, name, cin, cout, kernel):
        stride = 2 if kernel == 7 else 1
        self.add_module(name, nn.Conv2d(cin, cout, kernel, stride, kernel // 2))

    def run(self, name, x):
        return relu(getattr(self, name)(x))

    def block(self, name, x):
        prefix = f"inception_{name}_"
        return torch.cat((self.run(prefix + "1x1", x),
                          self.run(prefix + "3x3", self.run(prefix + "3x3_reduce", x)),
                          self.run(prefix + "5x5", self.run(prefix + "5x5_reduce", x)),
                          self.run(prefix + "pool_proj", F.max_pool2d(x, 3, 1, 1))), 1)

    def head(self, name, x):
        y = self.run(name + "_conv", F.avg_pool2d(x, 5, 3)).flatten(1)
        return getattr(self, name + "_classifier")(self.drop_head(relu(getattr(self, name + "_fc")(y))))

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, ceil_mode=True)

        def norm(x):
            return F.local_response_norm(x, 5, 5e-4, 0.75, 2)
        x = self.run("conv2_3x3_reduce", norm(pool(self.run("conv1_7x7_s2", x))))
        x = self.block("3b", self.block("3a", pool(norm(self.run("conv2_3x3", x)))))
        x = self.block("4a", pool(x))
        heads = [self.head("loss1", x)] if self.training else []
        x = self.block("4d", self.block("4c", self.block("4b", x)))
        heads += [self.head("loss2", x)] if self.training else []
        x = self.block("5b", self.block("5a", pool(self.block("4e", x))))
        y = self.loss3_classifier(self.drop(x.mean((2, 3))))
        return (y, *heads) if self.training else y


class ConvNormRelu(nn.Module):
    def __init__(self, cin, cout, kernel):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout)

    def forward(self, x):
        return relu(self.bn(self.conv(x)))


class CifarInception(nn.Module):
    def __init__(self, cin, a, b3, b, c5, c, d):
        super().__init__()
        self.branch1 = ConvNormRelu(cin, a, 1)
        self.branch2 = nn.Sequential(ConvNormRelu(cin, b3, 1), ConvNormRelu(b3, b, 3))
        self.branch3 = nn.Sequential(ConvNormRelu(cin, c5, 1), ConvNormRelu(c5, c, 5))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNormRelu(cin, d, 1))

    def forward(self, x):
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class CifarGoogLeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = ConvNormRelu(3, 192, 3)
        cin = 192
        for name, row in GOOGLENET.items():
            setattr(self, "inception" + name, CifarInception(cin, *row))
            cin = row[0] + row[2] + row[4] + row[5]
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(cin, classes)

    def forward(self, x):
        x = self.conv1(x)
        for name in GOOGLENET:
            if name in ("4a", "5a"):
                x = F.max_pool2d(x, 3, 2, 1)
            x = getattr(self, "inception" + name)(x)
        return self.fc(self.dropout(x.mean((2, 3))))


# 1x1, 3x3 reduce, 3x3, double reduce, double a, double b, pool projection; 0: none, and stride 2 with a max pool
BN_INCEPTION = {"3a": (64, 64, 64, 64, 96, 96, 32), "3b": (64, 64, 96, 64, 96, 96, 64),
                "3c": (0, 128, 160, 64, 96, 96, 0), "4a": (224, 64, 96, 96, 128, 128, 128),
                "4b": (192, 96, 128, 96, 128, 128, 128), "4c": (160, 128, 160, 128, 160, 160, 128),
                "4d": (96, 128, 192, 160, 192, 192, 128), "4e": (0, 128, 192, 192, 256, 256, 0),
                "5a": (352, 192, 320, 160, 224, 224, 128), "5b": (352, 192, 320, 192, 224, 224, 128)}


class BnInception(nn.Module):
    """pretrainedmodels' names. With `se`: no convolution biases, squeeze and excitation behind every block."""

    def __init__(self, classes, se=False):
        super().__init__()
        self.se = se
        self.unit("conv1_7x7_s2", 3, 64, 7, 2)
        self.unit("conv2_3x3_reduce", 64, 64, 1)
        self.unit("conv2_3x3", 64, 192, 3)
        cin = 192
        for name, (a, b3, b, d3, da, db, p) in BN_INCEPTION.items():
            prefix, stride = f"inception_{name}_", 1 if a else 2
            if a:
                self.unit(prefix + "1x1", cin, a, 1)
            self.unit(prefix + "3x3_reduce", cin, b3, 1)
            self.unit(prefix + "3x3", b3, b, 3, stride)
            self.unit(prefix + "double_3x3_reduce", cin, d3, 1)
            self.unit(prefix + "double_3x3_1", d3, da, 3)
            self.unit(prefix + "double_3x3_2", da, db, 3, stride)
            if p:
                self.unit(prefix + "pool_proj", cin, p, 1)
            cin = a + b + db + p if p else b + db + cin
            if se:
                self.add_module(prefix + "1x1_down", nn.Conv2d(cin, cin // 16, 1))
                self.add_module(prefix + "1x1_up", nn.Conv2d(cin // 16, cin, 1))
        self.last_linear = nn.Linear(cin, classes)

    def unit(self, name, cin, cout, kernel, stride=1):
        self.add_module(name, nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=not self.se))
        self.add_module(name + "_bn", nn.BatchNorm2d(cout))

    def run(self, name, x):
        return relu(getattr(self, name + "_bn")(getattr(self, name)(x)))

    def block(self, name, x):
        prefix, reduces = f"inception_{name}_", BN_INCEPTION[name][0] == 0
        parts = [] if reduces else [self.run(prefix + "1x1", x)]
        parts.append(self.run(prefix + "3x3", self.run(prefix + "3x3_reduce", x)))
        y = self.run(prefix + "double_3x3_1", self.run(prefix + "double_3x3_reduce", x))
        parts.append(self.run(prefix + "double_3x3_2", y))
        if reduces:
            parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        else:
            pooled = F.max_pool2d(x, 3, 1, 1) if name == "5b" else F.avg_pool2d(x, 3, 1, 1)
            parts.append(self.run(prefix + "pool_proj", pooled))
        y = torch.cat(parts, 1)
        if not self.se:
            return y
        squeezed = relu(getattr(self, prefix + "1x1_down")(F.adaptive_avg_pool2d(y, 1)))
        return y * torch.sigmoid(getattr(self, prefix + "1x1_up")(squeezed))

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = self.run("conv2_3x3_reduce", pool(self.run("conv1_7x7_s2", x)))
        x = pool(self.run("conv2_3x3", x))
        for name in BN_INCEPTION:
            x = self.block(name, x)
        return self.last_linear(x.mean((2, 3)))


# --- LeNet, perceptron ------------------------------------------------------------------------------------------------


class Mlp(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(3072, 512), nn.Linear(512, 512), nn.Linear(512, classes)

    def forward(self, x):
        return self.fc3(relu(self.fc2(relu(self.fc1(x.flatten(1))))))


class LeNet5(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x):
        y = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        y = F.avg_pool2d(torch.tanh(self.conv2(y)), 2)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(y.flatten(1))))))


# --- Networks of libraries --------------------------------------------------------------------------------------------


def se_inceptionresnetv2(classes):
    """An SE block on the output of every block's last convolution, before the scale."""
    net = pretrained("inceptionresnetv2", classes)

    def excited(block):
        width = block.conv2d.out_channels
        block.se_module = SqueezeExcite(width)
        block.conv2d.register_forward_hook(lambda conv, args, y: block.se_module(y))

    for row in (net.repeat, net.repeat_1, net.repeat_2, [net.block8]):
        for block in row:
            excited(block)
    return net


def pretrained(name, classes):
    modules = {"inceptionv4": "inceptionv4", "inceptionresnetv2": "inceptionresnetv2", "dpn": "dpn", "se": "senet"}
    module = next(file for start, file in modules.items() if name.startswith(start))
    net = getattr(importlib.import_module("pretrainedmodels.models." + module), name)(classes, pretrained=None)
    # Global averages whatever the size of the image; the collection's are of one size.
    for pool in ("avg_pool", "avgpool_1a"):
        if hasattr(net, pool):
            setattr(net, pool, nn.AdaptiveAvgPool2d(1))
    if hasattr(net, "test_time_pool"):
        net.test_time_pool = False
    if name == "inceptionresnetv2":  # its dropout is a function: oracle.py could not turn it off
        net.logits = lambda features: net.last_linear(net.avgpool_1a(features).flatten(1))
    return net


def torchvision_net(name, classes):
    import torchvision.models as tv
    if name == "densenet264":
        return tv.DenseNet(32, (6, 12, 64, 48), 64, num_classes=classes)
    if name == "resnext101_32x4d":
        return tv.ResNet(tv.resnet.Bottleneck, [3, 4, 23, 3], classes, groups=32, width_per_group=4)
    if name in ("vgg11_lrn", "vgg16_c"):
        return tv.VGG(vgg_features("A-LRN" if name == "vgg11_lrn" else "C"), classes)
    if not hasattr(tv, name):
        raise SystemExit(f"no PyTorch twin of {name}")
    extra = {"init_weights": False, "aux_logits": True} if name in ("googlenet", "inception_v3") else {}
    return getattr(tv, name)(weights=None, num_classes=classes, **extra)


def build(name, classes):
    """The network of that name; nothing is said of its first values."""
    if name.startswith("cifar_resnext29"):
        return CifarResNeXt29(classes)
    for start, options in (("cifar_se_resnet", {"se": True}), ("cifar_sdresnet", {"stochastic": True}),
                           ("cifar_plain", {"plain": True}), ("cifar_resnet", {})):
        if name.startswith(start):
            return CifarResNet(int(name[len(start):]), classes, **options)
    if name.startswith("cifar_preresnet"):
        return CifarPreactivation(int(name[15:]), classes)
    here = {"cifar_densenet40_k12": lambda: CifarDenseNet(40, 12, classes, False, 1),
            "cifar_densenet_bc100_k12": lambda: CifarDenseNet(100, 12, classes, True, 0.5),
            "cifar_densenet_bc190_k40": lambda: CifarDenseNet(190, 40, classes, True, 0.5),
            "cifar_vgg16_bn": lambda: CifarVgg(classes), "cifar_googlenet": lambda: CifarGoogLeNet(classes),
            "cifar_alexnet": lambda: Towers(Towers.CIFAR_ALEXNET, 3, 1024, classes),
            "cifar_zfnet": lambda: Towers(Towers.CIFAR_ZFNET, 3, 1024, classes),
            "alexnet_paper": lambda: Towers(Towers.ALEXNET, 6, 4096, classes),
            "zfnet": lambda: Towers(Towers.ZFNET, 6, 4096, classes),
            "googlenet_paper": lambda: GoogLeNetPaper(classes), "bninception": lambda: BnInception(classes),
            "se_inception": lambda: BnInception(classes, se=True), "mlp": lambda: Mlp(classes),
            "lenet5": lambda: LeNet5(classes), "se_inceptionresnetv2": lambda: se_inceptionresnetv2(classes)}
    if name in here:
        return here[name]()
    if name.startswith(("inceptionv4", "inceptionresnet", "se_res", "senet", "dpn")):
        return pretrained(name, classes)
    return torchvision_net(name, classes)
