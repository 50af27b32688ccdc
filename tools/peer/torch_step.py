#!/usr/bin/env python3
"""PyTorch's side of tools/bench_against_torch: times one training step of a network of the zoo's name.

The step is the one `gradus bench step` times: forward, cross-entropy (auxiliary heads included), backward, SGD with
momentum 0.9 and weight decay 1e-4, on synthetic images. Prints one JSON object per mode.

  python3 tools/peer/torch_step.py --model cifar_resnet20 --batch 128 --input 3x32x32 --classes 10 --threads 2

Networks come from tools/peer/networks.py. se_resnet50 is timm's seresnet50 where timm is installed: the same parameters,
but the stride is on the 3x3, as in torchvision's ResNet-50, which makes 6 % more multiply-adds than the published
network's stride on the 1x1. --own-twin takes the latter. Needs torch and what networks.py names.
"""
import argparse
import importlib.util
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F

import networks


def build(name, classes, own_twin=False):
    if name == "se_resnet50" and not own_twin and importlib.util.find_spec("timm"):
        import timm
        return timm.create_model("seresnet50", pretrained=False, num_classes=classes)
    return networks.build(name, classes)


def loss_of(out, target):
    if isinstance(out, torch.Tensor):
        return F.cross_entropy(out, target)
    main, *auxiliary = [o for o in out if o is not None]
    return F.cross_entropy(main, target) + sum(0.3 * F.cross_entropy(a, target) for a in auxiliary)


def measure(args, mode):
    torch.manual_seed(0)
    channels, height, width = map(int, args.input.split("x"))
    model = build(args.model, args.classes, args.own_twin).train(not args.inference).to(args.device)
    x = torch.randn(args.batch, channels, height, width, device=args.device)
    target = torch.randint(0, args.classes, (args.batch,), device=args.device)
    cuda = args.device == "cuda"
    if "channels_last" in mode:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(model) if "compile" in mode else model

    def step():
        with torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
            if args.inference:
                with torch.no_grad():
                    forward(x)
                return
            loss = loss_of(forward(x), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def wait():
        if cuda:
            torch.cuda.synchronize()

    for _ in range(args.warmup):
        step()
    times = []
    for _ in range(args.steps):
        wait()
        begin = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - begin)
    median = statistics.median(times)
    # The device's allocator, or the process.
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
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
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--amp", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--mode", default="channels_last", help="eager, channels_last or compile")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--inference", action="store_true", help="time the evaluation-mode forward pass alone")
    parser.add_argument("--own-twin", action="store_true", help="se_resnet50 as published, not timm's")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measure(arguments, arguments.mode)
