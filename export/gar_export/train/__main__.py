# SPDX-License-Identifier: Apache-2.0
"""Trains gar-tiny: `python -m gar_export.train --stage STAGE --run DIR`. Every stage goes on from where it stopped.

The recipe, from nothing to an exported model: scenes, tokenizer, vision, answers (several times, see docs), checkpoint.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from gar_export.checkpoint import load_checkpoint, save_checkpoint
from gar_export.config import CONFIG, GarConfig
from gar_export.model import GarModel
from gar_export.tokens import prompt_builder, read_prompts
from gar_export.train.answer_stage import ABLATIONS, ALL_PROMPTED, AnswerStage, Curriculum
from gar_export.train.heads import Heads
from gar_export.train.initialise import initialise
from gar_export.train.mixed_stage import ALL_MASKED, MixedStage
from gar_export.train.parallel import run_workers
from gar_export.train.questions import DIRECT_KINDS, corpus
from gar_export.train.run import STATE, VISION_PARTS, Run, Settings, load_mean, load_weights, train
from gar_export.train.scenes import HELD_OUT_SEEDS, Scenes, finished_shards, write_shard
from gar_export.train.tiny_checkpoint import write_companions
from gar_export.train.tokenizer import train_tokenizer
from gar_export.train.vision_stage import VisionStage
from gar_ros.engine.replay import RoiConvention
from gar_ros.sim.phrase_kinds import PHRASE_KINDS

SHARD = 250  # scenes
FOCUS = {"direct": DIRECT_KINDS, "phrases": tuple(PHRASE_KINDS)}
HELD_OUT = 500  # scenes that choose nothing but when to stop


def main() -> None:
    """Runs one stage."""
    arguments = parse_arguments()
    torch.set_num_threads(1)  # several processes instead, see parallel.py
    stages = {"scenes": make_scenes, "tokenizer": make_tokenizer, "checkpoint": write_checkpoint}
    stages.get(arguments.stage, train_stage)(arguments)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m gar_export.train", description=__doc__)
    add = parser.add_argument
    add("--stage", required=True, choices=("scenes", "tokenizer", "vision", "answers", "checkpoint"))
    add("--run", type=Path, required=True, help="folder of everything this run makes, for instance .runs/tiny")
    add("--processes", type=int, default=2, help="of one thread each, to render and to train")
    add("--scenes", type=int, default=20_000, help="to render, or at most to learn from")
    add(
        "--name",
        help="of the folder a training stage keeps its state in (default: the stage's own); with --stage checkpoint, "
        "whose weights to write, or NAME,NAME for their mean",
    )
    add(
        "--start",
        default="vision",
        help="where stage answers takes its weights from at its beginning: name of a run, or a checkpoint folder",
    )
    add("--steps", type=int, default=1000, help="of training in all, those done before counted in")
    add("--stop-at", type=int, metavar="STEP", help="stop earlier, to go on with other questions (default: don't)")
    add("--evaluate-every", type=int, default=300, metavar="STEPS")
    add("--batch", type=int, default=8, help="pictures a step and process")
    add("--learning-rate", type=float, default=2e-3)
    add("--vision-scale", type=float, default=1.0, help="of the learning rate, for the ViT; 0 freezes it")
    add("--cooldown", type=float, default=0.0, help="share of the steps, at the end, in which the learning rate falls")
    add("--questions", type=int, default=12, help="about one picture (stage answers)")
    add("--regions", default="0.2,0.4,0.3,0.06,0.04", help="share of pictures with 1, 2, .. regions (stage answers)")
    add("--tiles", type=float, default=0.0, help="share of the steps that are as in stage vision (stage answers)")
    add("--focus", default="", help=f"kinds half of the questions are about, or one of {', '.join(FOCUS)}")
    add("--focus-of-several", default="", help="the same for pictures with several regions (default: as --focus)")
    add("--all-prompted", type=float, default=ALL_PROMPTED, help="share of the pictures with all regions prompted")
    add("--heads-only", action="store_true", help="train only the heads that read states (stage answers)")
    add("--without", default="", choices=ABLATIONS, help="train or write a model that lacks this (an ablation)")
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="checkpoint folder to write (stage checkpoint)")
    return parser.parse_args()


def make_scenes(arguments: argparse.Namespace) -> None:
    """Renders the scenes that aren't there yet."""
    folder, firsts = arguments.run / "scenes", range(0, arguments.scenes, SHARD)
    with ProcessPoolExecutor(arguments.processes) as pool:
        shards = [pool.submit(write_shard, folder, "held-out", HELD_OUT_SEEDS, HELD_OUT)]
        shards += [pool.submit(write_shard, folder, "train", first, SHARD) for first in firsts]
        for shard in shards:
            print(shard.result(), flush=True)


def make_tokenizer(arguments: argparse.Namespace) -> None:
    """Trains the tokenizer on the held-out scenes' questions, whose words are those of all; writes the
    configuration."""
    tokenizer = train_tokenizer(corpus(_scenes(arguments, "held-out")))
    write_companions(arguments.run / "model", tokenizer)
    print(f"{tokenizer.get_vocab_size()} tokens in {arguments.run / 'model'}")


def train_stage(arguments: argparse.Namespace) -> None:
    """Trains stage "vision" or "answers"; the second starts from another run's averaged weights."""
    scenes, held_out = _scenes(arguments, "train"), _scenes(arguments, "held-out")
    print(f"{len(scenes)} scenes to learn from, {len(held_out)} held out", flush=True)
    config = replace(GarConfig.read(arguments.run / "model"), roi_convention=_convention(arguments))
    torch.manual_seed(arguments.seed)
    model = GarModel(config)
    initialise(model, scenes, arguments.seed)
    run = Run(arguments.run / (arguments.name or arguments.stage), model, Heads(model))
    settings = Settings(
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        vision_scale=arguments.vision_scale,
        seed=arguments.seed,
        evaluate_every=arguments.evaluate_every,
        cooldown=arguments.cooldown,
        heads_only=arguments.heads_only,
        stop_at=arguments.stop_at,
    )
    if arguments.stage == "vision":
        vision = VisionStage(scenes, held_out, arguments.batch)
        run_workers(arguments.processes, lambda workers: train(run, vision, settings, workers))
        return
    if (run.folder / STATE).is_file():
        pass  # it goes on from there
    elif (Path(arguments.start) / CONFIG).is_file():
        model.load_state_dict(load_checkpoint(arguments.start)[0].state_dict())
        run.restart_average()
    else:
        parts = VISION_PARTS if arguments.start == "vision" else ("",)
        load_weights(run.modules(), arguments.run / arguments.start / STATE, parts)
        run.restart_average()
    curriculum = Curriculum(
        region_shares=tuple(float(share) for share in arguments.regions.split(",")),
        questions=arguments.questions,
        focus=_kinds(arguments.focus),
        focus_of_several=_kinds(arguments.focus_of_several),
        all_prompted=arguments.all_prompted,
    )
    prompts, tokens = prompt_builder(arguments.run / "model", config), read_prompts(arguments.run / "model", config)[0]
    frozen = arguments.vision_scale == 0
    stage = AnswerStage(scenes, held_out, prompts, tokens, arguments.batch, curriculum, frozen, arguments.without)
    tiles = VisionStage(scenes, held_out, arguments.batch, ALL_MASKED)
    mixed = MixedStage(stage, tiles, arguments.tiles) if arguments.tiles else stage
    run_workers(arguments.processes, lambda workers: train(run, mixed, settings, workers))


def write_checkpoint(arguments: argparse.Namespace) -> None:
    """Writes the averaged weights of a run, or their mean over several, as a checkpoint in the released format, for
    `gar export`."""
    if arguments.out is None:
        raise SystemExit("expected --out, the folder of the checkpoint")
    config = GarConfig.read(arguments.run / "model")
    model = GarModel(config)
    modules = torch.nn.ModuleDict({"model": model, "heads": Heads(model)})
    states = [arguments.run / name / STATE for name in (arguments.name or "answers").split(",")]
    load_mean(modules, states)
    if arguments.without == "mask":
        torch.nn.init.zeros_(model.mask_patch_embedding.weight)
    tokenizer = Tokenizer.from_file(str(arguments.run / "model" / "tokenizer.json"))
    write_companions(arguments.out, tokenizer, _convention(arguments))
    save_checkpoint(model, arguments.out, dtype=torch.bfloat16)
    print(arguments.out)


def _kinds(text: str) -> tuple[str, ...]:
    """Kinds of questions from an option's text."""
    return FOCUS.get(text) or tuple(filter(None, text.split(",")))


def _convention(arguments: argparse.Namespace) -> RoiConvention:
    return "released" if arguments.without == "boxes" else "correct"


def _scenes(arguments: argparse.Namespace, kind: str) -> Scenes:
    shards = finished_shards(arguments.run / "scenes", kind)
    if not shards:
        raise SystemExit(f"no {kind} scenes in {arguments.run / 'scenes'}: run --stage scenes first")
    return Scenes.load(shards[: max(1, arguments.scenes // SHARD)])


if __name__ == "__main__":
    main()
