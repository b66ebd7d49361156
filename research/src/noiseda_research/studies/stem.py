"""What a cheaper noise predictor costs in quality: pixel blocks folded into channels at its input (--predictor.patch_size).

    python -m noiseda_research.studies.stem --data DIR [--stems 1,2,4] [--seeds 0,1] [--start 1500] [--steps 400] [--out runs/stem]

Of each seed, one network is trained on synthetic pairs; from there the arms go on for equal steps on equal batches:
on synthetic pairs alone, and adapted to PolyU with noise predictors that differ in nothing but their stem. Scored on
PolyU's test folder. Nothing is chosen by the scores: the default stem of 4 was set by its cost. The same command
continues after a stop; it ends with a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from noiseda.training import read_log
from noiseda_research.studies.real_images import WHITE, _spread, call, score

POLYU = "denoising/polyu"


def train(flags: str, out: Path) -> float:
    """Run an arm; its samples/s, the median of its log lines."""
    if not (out / "summary.json").exists():
        call(
            f"adapt --config denoise-small --degradation.kind white {flags} --training.picture_every 1000000 --out {out}"
        )
    rates = sorted(line["samples_per_second"] for line in read_log(out / "log.jsonl") if "loss" in line)
    return rates[len(rates) // 2]


def main() -> None:
    """Train what is missing, score it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/stem"))
    parser.add_argument("--stems", default="1,2,4")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--start", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    data, out = arguments.data, arguments.out
    polyu = data / POLYU
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in arguments.seeds.split(","):
        common = f"--clean {data / WHITE} --cache {out / 'cache'} --seed {seed}"
        start = out / f"start-{seed}"
        train(f"{common} --strategy synthetic --training.steps {arguments.start}", start)
        onward = f"{common} --restorer.start {start / 'restorer.safetensors'} --training.lr_schedule cosine --training.max_regression_db null --ship_worse --training.steps {arguments.steps} --training.learning_rate 3e-4"
        real = f"--real {polyu / 'adapt/input'} --training.predictor_learning_rate 1e-3"
        arms = {"synthetic": f"{onward} --strategy synthetic"}
        arms |= {
            f"stem {stem}": f"{onward} {real} --predictor.patch_size {stem}" for stem in arguments.stems.split(",")
        }
        for arm, flags in arms.items():
            run = out / f"{arm.replace(' ', '-')}-{seed}"
            rate, restored = train(flags, run), run / "restored"
            if not (run / "scores/metrics.json").exists():
                call(
                    f"restore {run / 'restorer.safetensors'} {polyu / 'test/input'} {restored} --overwrite --format png"
                )
            psnr = score(restored, polyu / "test/target", "rgb", run / "scores")["psnr"]
            rows.setdefault(arm, []).append({"psnr": psnr, "samples_per_s": rate})
    (out / "results.json").write_text(json.dumps(rows, indent=2))
    print("| arm | seeds | PSNR | minus synthetic, by seed | samples/s |")
    print("|---" * 5 + "|")
    for arm, found in rows.items():
        gains = ", ".join(f"{a['psnr'] - b['psnr']:+.3f}" for a, b in zip(found, rows["synthetic"], strict=True))
        rates = _spread([one["samples_per_s"] for one in found], 1)
        print(f"| {arm} | {arguments.seeds} | {_spread([one['psnr'] for one in found], 2)} | {gains} | {rates} |")


if __name__ == "__main__":
    main()
