"""Does a text classifier gain when it learns from the validation texts too?

    python -m benchmarks.retraining train_5500.label --folds 3

Decides it on the training file alone: every fold of a fifth is a test set once, for the example as
it is and for the same example stopped by a tenth of the texts that it never learns from.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import zlib


def accuracy(folder: pathlib.Path, *arguments: str) -> float:
    """The test accuracy of one training."""
    command = [sys.executable, "-m", "examples.train_text_classifier", *arguments]
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        subprocess.run([*command, "--output", folder], check=True, stdout=output, stderr=output)
    return json.loads((folder / "metrics.json").read_text())["accuracy"]


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="training texts, a line each")
    parser.add_argument("--folds", type=int, default=3, choices=range(1, 6))
    arguments = parser.parse_args()
    lines = pathlib.Path(arguments.train).read_bytes().splitlines(keepends=True)

    print("| fold | texts | stopped by a tenth | learned from all |\n|---|---|---|---|")
    for fold in range(arguments.folds):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            parts = {"test": [], "rest": [], "validation": [], "train": []}
            for line in lines:
                bucket = zlib.crc32(line)
                if bucket % 5 == fold:
                    parts["test"].append(line)
                    continue
                parts["rest"].append(line)
                parts["validation" if bucket // 5 % 10 == 0 else "train"].append(line)
            files = {part: folder / f"{part}.label" for part in parts}
            for part, chosen in parts.items():
                files[part].write_bytes(b"".join(chosen))
            test = ["--test", str(files["test"])]
            split = ["--train", str(files["train"]), "--validation", str(files["validation"])]
            stopped = accuracy(folder / "stopped", *split, *test)
            learned = accuracy(folder / "learned", "--train", str(files["rest"]), *test)
            print(f"| {fold} | {len(parts['test'])} | {stopped:.4f} | {learned:.4f} |", flush=True)


if __name__ == "__main__":
    main()
