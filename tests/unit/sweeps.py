"""Commands of a sweep, which are long and differ in their middle."""

from __future__ import annotations

from pegasus.report.cutting import JobParams

PROGRAMS = ("train", "evaluate")
RATES = ("1e-2", "1e-3")

EXPERIMENTS = [
    f"sleep 1; python /home/me/projects/exp/{program}.py --model resnet --lr {lr} "
    "--batch-size 128 --epochs 90 --data /data/imagenet"
    for program in PROGRAMS
    for lr in RATES
]

FIELDS: list[JobParams] = [(("lr", lr),) for _ in PROGRAMS for lr in RATES]
"""The parameters of each of them."""
