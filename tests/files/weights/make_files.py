#!/usr/bin/env python3
"""Writes the weight files of this folder, which nn/files/*_test.cpp reads. Needs torch, numpy and safetensors; the files
are committed, so this runs only when a case is added. Element i of every tensor is i / 4 - 1 (made of the dtype), unless
a line here says otherwise."""
import collections
import os
import pickle
import sys

import numpy
import torch
from safetensors.torch import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))


def ramp(*shape, dtype=torch.float32):
    count = int(numpy.prod(shape))
    return (torch.arange(count, dtype=torch.float64) / 4 - 1).to(dtype).reshape(shape)


def save(name, obj, **options):
    torch.save(obj, name + ".pth", **options)
    torch.save(obj, name + "_legacy.pth", _use_new_zipfile_serialization=False, **options)


state = collections.OrderedDict()
state["conv.weight"] = ramp(2, 3, 2, 2)
state["bn.weight"] = ramp(1, 3)
state["bn.running_mean"] = ramp(1, 3)
state["bn.num_batches_tracked"] = torch.tensor(7)
state["scalar"] = torch.tensor(0.5)
state["empty"] = torch.zeros(0, 4)
save("state", state)
save("protocol4", state, pickle_protocol=4)
save_file(state, "state.safetensors", {"model": "small", "note": 'a "quoted" \u00fc'})

save("dtypes", {
    "f64": ramp(3, dtype=torch.float64), "f16": ramp(3, dtype=torch.float16), "bf16": ramp(3, dtype=torch.bfloat16),
    "i64": torch.tensor([-2**40, 0, 3]), "i32": torch.tensor([-70000, 0, 3], dtype=torch.int32),
    "i16": torch.tensor([-300, 0, 3], dtype=torch.int16), "i8": torch.tensor([-3, 0, 3], dtype=torch.int8),
    "u8": torch.tensor([0, 3, 255], dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
})
save_file(torch.load("dtypes.pth"), "dtypes.safetensors")

base = ramp(4, 6)
save("views", {
    "base": base,
    "transposed": base.t(),                 # [6, 4], strides 1, 6
    "slice": base[1:3, 2::2],               # [2, 2], offset 8, strides 6, 2
    "expanded": base[2, 3].expand(2, 5),    # strides 0, 0
    "channels_last": ramp(1, 2, 2, 2).to(memory_format=torch.channels_last),
    "parameter": torch.nn.Parameter(base[0]),
})

# What a training script saves: data parallel, an optimiser, a schedule, a NumPy number.
model = torch.nn.DataParallel(torch.nn.Linear(2, 2))
with torch.no_grad():
    model.module.weight.copy_(ramp(2, 2))
    model.module.bias.copy_(ramp(2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
with torch.no_grad():
    model.module.weight.copy_(ramp(2, 2))
    model.module.bias.copy_(ramp(2))
schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 20])
save("training", {
    "epoch": 3, "arch": "linear", "best_prec1": 91.5, "best_loss": numpy.float64(0.25), "done": True,
    "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
    "history": [0.5, None, (1, 2)], "device": torch.device("cpu"),
})


# Hostile files: reading them with Python's own unpickler would create a file called "executed".
class Command:
    def __reduce__(self):
        return os.system, ("touch executed",)


class Evaluated:
    def __reduce__(self):
        return eval, ("open('executed', 'w')",)


save("os_system", {"state_dict": {"weight": ramp(2)}, "extra": Command()})
save("eval", {"weight": ramp(2), "extra": Evaluated()})
save("module", torch.nn.Linear(2, 2))
