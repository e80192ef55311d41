#!/bin/sh
# sh from_finished.sh FOLDER... recon-all -sd DIR {-base NAME -tp TIMEPOINT... | -long TIMEPOINT NAME} ...
#
# Starts recon-all from folders of finished subjects, which it links into DIR. recon-all itself looks for the folders
# alone, and would go on from half a subject for hours; scripts/recon-all.done is there after a failure, too.

say() {
    echo "$1" >&2
    exit 1
}

finished() { # NAME KIND
    home="$subjects/$1"
    whole="its $2 run is not finished"
    [ -d "$home" ] || say "$1: $whole (it left no folder)"
    [ ! -e "$home/scripts/recon-all.error" ] || say "$1: $whole (scripts/recon-all.error is there)"
    for running in "$home"/scripts/IsRunning*; do
        [ ! -e "$running" ] || say "$1: $whole (scripts/IsRunning is there: it was cut off)"
    done
    grep -q '^SUBJECT ' "$home/scripts/recon-all.done" 2>/dev/null ||
        say "$1: $whole (no scripts/recon-all.done of a success)"
    [ -s "$home/mri/aseg.mgz" ] || say "$1: $whole (no mri/aseg.mgz: not all of its stages were run)"
}

previous= subjects=
for word in "$@"; do
    [ "$previous" != -sd ] || subjects=$word
    previous=$word
done
while [ "$1" != recon-all ]; do
    ln -s "$1" "$subjects/" || say "$1: two folders have this name"
    shift
done

previous= before=
for word in "$@"; do
    case $previous in
    -base) [ ! -e "$subjects/$word" ] || say "$word: the template has the name of a time point; call it otherwise" ;;
    -tp | -long) finished "$word" cross-sectional ;;
    esac
    [ "$before" != -long ] || finished "$word" base
    before=$previous
    previous=$word
done

exec "$@"
