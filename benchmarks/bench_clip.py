#!/usr/bin/env python
"""What a CLIP's value-value path costs beside open_clip's encoder, and what cut prompts save."""

import argparse
from collections.abc import Mapping

import torch

from benchmarks.timing import time_images, time_prompts, untrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", default="ViT-B-16-plus-240", help="[ViT-B-16-plus-240]")
    parser.add_argument("--batch-size", type=int, default=8, help="images [8]")
    parser.add_argument("--rounds", type=int, default=9, help="of each call, after one [9]")
    parser.add_argument("--device", default="cpu", help="[cpu]")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    args = parser.parse_args()
    clip = untrained(args.clip, args.device, getattr(torch, args.dtype))
    print(f"{args.clip}, {args.device}, {args.dtype}, {torch.get_num_threads()} threads")
    images = time_images(clip, args.batch_size, args.rounds)
    print_seconds(images.seconds)
    print(f"  both paths cost {images.ratio('both', 'open_clip'):.3f}x open_clip's encode_image")
    prompts = time_prompts(clip, args.rounds)
    print_seconds(prompts.seconds)
    for end in ("", ", backward"):
        print(f"  cut prompts{end} are {prompts.ratio('77' + end, 'cut' + end):.2f}x as fast as 77")


def print_seconds(seconds: Mapping[str, float]) -> None:
    for name, value in seconds.items():
        print(f"  {name:16} {value * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
