#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gar-tiny from nothing: `make train-tiny`. Every line goes on from where it stopped, so it can be started again at any
# time. About 13 core-hours; all it makes is in $2, a folder that git ignores.
set -e
python=$1
run=${2:-.runs/tiny}
export OMP_WAIT_POLICY=passive
train() { "$python" -m gar_export.train --run "$run" "$@"; }

train --stage scenes --scenes 20000
test -f "$run/model/tokenizer.json" || train --stage tokenizer
train --stage vision --steps 3600 --cooldown 0.25
# Comparisons first, while the ViT stands still: the decoder learns to find regions and to compare places.
train --stage answers --name direct --start vision --vision-scale 0 --steps 600 --regions 0.15,0.6,0.25 \
    --focus further_left,further_right,nearer,larger,left_of,right_of,in_front,behind
train --stage answers --name all --start direct --vision-scale 0.3 --steps 2200 --cooldown 0.4
# Then what has to be compared with a word or with another region; at the end what is learnt last.
match() { train --stage answers --name match --start all --vision-scale 0.3 --regions 0.2,0.4,0.35,0.03,0.02 "$@"; }
match --steps 1200 --focus is_colour,is_shape,same_colour,same_shape,which_is,which_not,further_left,further_right,\
closest,multiple_choice,can_see
match --steps 2000 --cooldown 0.3 --focus same_colour,same_shape,which_is,which_not,multiple_choice,closest,can_see
# Details at last: two of three steps are the ViT's alone, the others keep the decoder on its features.
train --stage answers --name shape --start match --vision-scale 0.4 --tiles 0.65 --steps 3000 --cooldown 0.95 \
    --regions 0.4,0.27,0.28,0.03,0.02 --focus can_see,which_not,multiple_choice,same_shape,closest
# The same once more, from its full rate down, with more about what two regions share and about contact.
train --stage answers --name detail --start shape --vision-scale 0.4 --tiles 0.8 --steps 4900 --cooldown 0.95 \
    --regions 0.4,0.3,0.25,0.03,0.02 --focus can_see,same_shape,inside,on_top,touching,closest
# Phrases, negations and other wordings, while the ViT stands still. Their new heads first, which would pull the model
# where they happen to point; then the kinds that things are found by, and three regions as often as before. At last, at
# a low rate, phrases that nearly fit and other wordings; what is inside or on top of a thing; and four and five regions
# again. The mean of the first and the last of these is better than both.
phrases() { train --stage answers --vision-scale 0 --scenes 7000 --all-prompted 0.5 "$@"; }
alone=describes,describes_not,describes_foreign,one_or_two,is_phrase,is_not
phrases --name heads --start detail --heads-only --learning-rate 2e-2 --steps 220 --cooldown 0.6 --focus phrases \
    --regions 0.38,0.42,0.14,0.03,0.03
words() { phrases --name phrases --start heads --steps 2400 --cooldown 0.75 "$@"; }
words --stop-at 600 --regions 0.3,0.5,0.14,0.03,0.03 --focus $alone,describes_pair
words --stop-at 850 --regions 0.32,0.54,0.1,0.02,0.02 --focus $alone --focus-of-several describes_pair
words --regions 0.33,0.36,0.27,0.02,0.02 --focus $alone \
    --focus-of-several describes_pair,related_otherwise,describes,describes_not,which_not,closest
late() { phrases --learning-rate 6e-4 --steps 500 --cooldown 0.95 --regions 0.4,0.32,0.24,0.02,0.02 "$@"; }
late --name near --start phrases --focus describes,is_phrase,describes_foreign \
    --focus-of-several describes_pair,describes,asked_otherwise,claimed_otherwise
content=anything_inside,anything_on_top,empty
late --name content --start near --focus describes,describes_foreign,is_not,$content \
    --focus-of-several describes_pair,describes,describes_not,$content
phrases --name many --start content --learning-rate 6e-4 --steps 300 --cooldown 0.95 --regions 0.22,0.22,0.2,0.16,0.2 \
    --focus describes,describes_foreign,describes_not,asked_otherwise,claimed_otherwise,$content \
    --focus-of-several describes_pair,on_top,inside,describes,anything_on_top,asked_otherwise
train --stage checkpoint --name near,many --out "$run/checkpoint"
"$python" -m gar_ros.cli.main export --checkpoint "$run/checkpoint" --out "$run/export" --name gar-tiny
"$python" -m gar_ros.cli.main bench tabletop --model "$run/export" --json "$run/tabletop.json"
