"""Trains gar-tiny: `python -m gar_ros.export.train --stage STAGE --run DIR`. Every stage goes on from where it stopped.

The recipe, from nothing to an exported model: scenes, tokenizer, vision, answers (several times, see docs), checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer

from gar_ros.export.checkpoint import save_checkpoint
from gar_ros.export.config import GarConfig
from gar_ros.export.model import GarModel
from gar_ros.export.tokens import prompt_builder, read_prompts
from gar_ros.export.train.answer_stage import AnswerStage, Curriculum
from gar_ros.export.train.evaluate import evaluate, table
from gar_ros.export.train.heads import Heads
from gar_ros.export.train.initialise import initialise
from gar_ros.export.train.parallel import run_workers
from gar_ros.export.train.questions import DIRECT_KINDS, corpus
from gar_ros.export.train.run import STATE, VISION_PARTS, Run, Settings, load_weights, newest_state, train
from gar_ros.export.train.scenes import HELD_OUT_SEEDS, Scenes, finished_shards, write_shard
from gar_ros.export.train.tiny_checkpoint import write_companions
from gar_ros.export.train.tokenizer import train_tokenizer
from gar_ros.export.train.vision_stage import VisionStage

SHARD = 500  # scenes
HELD_OUT = 500  # scenes that choose nothing but when to stop
EVALUATION_SEEDS = 1_500_000  # held out, not those of the log


def main() -> None:
    """Runs one stage."""
    arguments = parse_arguments()
    torch.set_num_threads(1)  # several processes instead, see parallel.py
    stages = {
        "scenes": make_scenes,
        "tokenizer": make_tokenizer,
        "checkpoint": write_checkpoint,
        "evaluate": print_accuracy,
    }
    stages.get(arguments.stage, train_stage)(arguments)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m gar_ros.export.train", description=__doc__)
    parser.add_argument(
        "--stage", required=True, choices=("scenes", "tokenizer", "vision", "answers", "checkpoint", "evaluate")
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder of everything this run makes, for instance .runs/tiny"
    )
    parser.add_argument("--processes", type=int, default=2, help="of one thread each, to train")
    parser.add_argument(
        "--scenes", type=int, default=12_000, help="to render (stage scenes) or to ask about (stage evaluate)"
    )
    parser.add_argument(
        "--part", default="0/1", help="K/N: render every N-th shard only, for N processes (stage scenes)"
    )
    parser.add_argument("--minutes", type=float, default=30, help="of training, on top of what was done before")
    parser.add_argument("--batch", type=int, default=0, help="pictures a step and process; 0 for the stage's default")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--vision-scale",
        type=float,
        default=1.0,
        help="of the learning rate, for the ViT; 0 freezes it (stage answers)",
    )
    parser.add_argument(
        "--cooldown", action="store_true", help="lower the learning rate to its end; the result is kept beside the run"
    )
    parser.add_argument("--single-tile", type=float, default=0.2, help="share of pictures of one tile (stage answers)")
    parser.add_argument("--questions", type=int, default=10, help="about one picture (stage answers)")
    parser.add_argument(
        "--regions", default="0.2,0.35,0.3,0.1,0.05", help="share of pictures with 1, 2, .. regions (stage answers)"
    )
    parser.add_argument(
        "--focus", default="", help="kinds half of the questions are about, or 'direct' (stage answers)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out", type=Path, help="checkpoint folder to write (stage checkpoint), exported model to ask (stage evaluate)"
    )
    return parser.parse_args()


def make_scenes(arguments: argparse.Namespace) -> None:
    """Renders the scenes that aren't there yet."""
    folder = arguments.run / "scenes"
    part, parts = map(int, arguments.part.split("/"))
    if part == 0:
        write_shard(folder, "held-out", HELD_OUT_SEEDS, HELD_OUT)
    for number in range(part, arguments.scenes // SHARD, parts):
        print(write_shard(folder, "train", number * SHARD, SHARD), flush=True)


def make_tokenizer(arguments: argparse.Namespace) -> None:
    """Trains the tokenizer on the held-out scenes' questions, whose words are those of all; writes the
    configuration."""
    tokenizer = train_tokenizer(corpus(_scenes(arguments, "held-out")))
    write_companions(arguments.run / "model", tokenizer)
    print(f"{tokenizer.get_vocab_size()} tokens in {arguments.run / 'model'}")


def train_stage(arguments: argparse.Namespace) -> None:
    """Trains stage "vision" or "answers"; the second starts from the first's averaged weights."""
    scenes, held_out = _scenes(arguments, "train"), _scenes(arguments, "held-out")
    print(f"{len(scenes)} scenes to learn from, {len(held_out)} held out", flush=True)
    config = GarConfig.read(arguments.run / "model")
    torch.manual_seed(arguments.seed)
    model = GarModel(config)
    initialise(model, scenes, arguments.seed)
    run = Run(arguments.run / arguments.stage, model, Heads(model))
    settings = Settings(
        minutes=arguments.minutes,
        learning_rate=arguments.learning_rate,
        vision_scale=arguments.vision_scale,
        seed=arguments.seed,
        cooldown=arguments.cooldown,
    )
    if arguments.stage == "vision":
        vision = VisionStage(scenes, held_out, arguments.batch or 8)
        run_workers(arguments.processes, lambda workers: train(run, vision, settings, workers))
        return
    if not (run.folder / STATE).is_file():
        load_weights(run.modules(), newest_state(arguments.run / "vision"), VISION_PARTS)
        run.restart_average()
    curriculum = Curriculum(
        region_shares=tuple(float(share) for share in arguments.regions.split(",")),
        questions=arguments.questions,
        single_tile=arguments.single_tile,
        focus=DIRECT_KINDS if arguments.focus == "direct" else tuple(filter(None, arguments.focus.split(","))),
    )
    prompts, tokens = prompt_builder(arguments.run / "model", config), read_prompts(arguments.run / "model", config)[0]
    stage = AnswerStage(
        scenes, held_out, prompts, tokens, arguments.batch or 4, curriculum, arguments.vision_scale == 0
    )
    run_workers(arguments.processes, lambda workers: train(run, stage, settings, workers))


def write_checkpoint(arguments: argparse.Namespace) -> None:
    """Writes the averaged weights of stage "answers" as a checkpoint in the released format, for `gar export`."""
    if arguments.out is None:
        raise SystemExit("expected --out, the folder of the checkpoint")
    config = GarConfig.read(arguments.run / "model")
    run = Run(arguments.run / "answers", model := GarModel(config), Heads(model))
    load_weights(run.modules(), newest_state(run.folder))
    write_companions(arguments.out, Tokenizer.from_file(str(arguments.run / "model" / "tokenizer.json")))
    save_checkpoint(model, arguments.out, dtype=torch.bfloat16)
    print(arguments.out)


def print_accuracy(arguments: argparse.Namespace) -> None:
    """Prints the accuracy of an exported model by kind of question."""
    if arguments.out is None:
        raise SystemExit("expected --out, the folder of the exported model")
    print(table(evaluate(arguments.out, arguments.scenes, EVALUATION_SEEDS)))


def _scenes(arguments: argparse.Namespace, kind: str) -> Scenes:
    shards = finished_shards(arguments.run / "scenes", kind)
    if not shards:
        raise SystemExit(f"no {kind} scenes in {arguments.run / 'scenes'}: run --stage scenes first")
    return Scenes.load(shards)


if __name__ == "__main__":
    main()
