"""Reads a run's event file with TensorBoard and compares it with the run's log. Exit 77, a skip, where TensorBoard is
not installed.

    python3 check.py GRADUS
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("skipped: TensorBoard is not installed (pip install tensorboard)")
    sys.exit(77)


def main(gradus):
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        subprocess.run([gradus, "train", "--model", "lenet5", "--limit", "256", "--limit-val", "64", "--batch", "64",
                        "--epochs", "2", "--lr", "0.01", "--histograms", "--quiet", "--out", run], check=True)
        log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        layers = [json.loads(line) for line in (run / "histograms.jsonl").read_text().splitlines()]
        events = EventAccumulator(str(run), size_guidance={"scalars": 0, "histograms": 0})
        events.Reload()

        for tag, key in [("train/loss", "train_loss"), ("validation/loss", "val_loss"), ("validation/top1", "val_top1")]:
            scalars = events.Scalars(tag)
            assert [s.step for s in scalars] == [4, 8], scalars  # 256 / 64 steps an epoch
            for scalar, epoch in zip(scalars, log):
                assert math.isclose(scalar.value, epoch[key], rel_tol=1e-6), (tag, scalar, epoch)
        assert [s.step for s in events.Scalars("step/loss")] == list(range(1, 9))

        tags = events.Tags()["histograms"]
        assert any(t.startswith("activations/") for t in tags) and any(t.startswith("gradients/") for t in tags), tags
        for kind in ["activations", "gradients"]:
            for layer in layers[-1][kind]:
                histogram = events.Histograms(f"{kind}/{layer['name']}")[-1].histogram_value
                assert histogram.num == layer["count"] == sum(histogram.bucket), layer["name"]
                assert histogram.min == layer["least"] and histogram.max == layer["most"], layer["name"]
        print(f"TensorBoard read {len(events.Tags()['scalars'])} rows of scalars and {len(tags)} of histograms")


main(sys.argv[1])
