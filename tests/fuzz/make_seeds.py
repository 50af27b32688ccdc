#!/usr/bin/env python3
"""Writes the first seeds of this folder; what libFuzzer has added since is named by its hash. Needs torch."""
import io
import os
import pickle
import shutil
import zipfile

import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.serialization.set_crc32_options(False)  # a changed byte must not stop at the CRC

objects = {
    "tensor": {"w": torch.arange(4.0).reshape(2, 2)},
    "views": {"a": (base := torch.arange(6.0)), "t": base.reshape(2, 3).t(), "e": base[1].expand(2), "h": base.half()},
    "training": {"state_dict": {"module.b": torch.zeros(1, dtype=torch.int32)}, "epoch": 1, "acc": 0.5, "l": [None, (True,)]},
}
for name, obj in objects.items():
    for protocol in (2, 4):
        torch.save(obj, f"torch_zip/{name}{protocol}", pickle_protocol=protocol)
        torch.save(obj, f"torch_legacy/{name}{protocol}", pickle_protocol=protocol, _use_new_zipfile_serialization=False)
        torch.serialization.set_crc32_options(True)  # Python's own reader insists on it
        archive = io.BytesIO()
        torch.save(obj, archive, pickle_protocol=protocol)
        torch.serialization.set_crc32_options(False)
        with zipfile.ZipFile(archive) as z:
            data = next(n for n in z.namelist() if n.endswith("data.pkl"))
            with open(f"pickle/{name}{protocol}", "wb") as f:
                f.write(z.read(data))
for protocol in range(6):
    with open(f"pickle/plain{protocol}", "wb") as f:
        f.write(pickle.dumps([1, -2**40, 2**70, 0.5, b"b", None, True, (1, 2, 3, 4), {"a": []}, {1}], protocol))
for name in ("state", "dtypes"):
    shutil.copyfile(f"../files/weights/{name}.safetensors", f"safetensors/{name}")
