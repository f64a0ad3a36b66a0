#!/bin/sh
# A pre-, co- or post-process, or a payload: -n NAME -e EXIT_CODES -m MARKER -g GATES [-w].
#   -e  the exit code of each iteration, separated by commas; the last one stands for all that follow
#   -m  a file that gets a line "NAME ITERATION"
#   -g  a directory: NAME.ITERATION.at is made there, and NAME.ITERATION.go waited for
#   -w  wait for ever
codes=0 marker= gates= forever= name=step
while getopts n:e:m:g:w option; do
    case $option in
    n) name=$OPTARG ;;
    e) codes=$OPTARG ;;
    m) marker=$OPTARG ;;
    g) gates=$OPTARG ;;
    w) forever=yes ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
iteration=${PILOT_EXEC_ITERATION_COUNT:-0}
echo "$name $iteration"
[ -z "$marker" ] || echo "$name $iteration" >> "$marker"
if [ -n "$gates" ]; then
    touch "$gates/$name.$iteration.at"
    until [ -e "$gates/$name.$iteration.go" ]; do sleep 0.02; done
fi
[ -z "$forever" ] || exec sleep 3600
for file in "$@"; do
    echo "$name $iteration" > "$file"
done
number=1 rest=$codes
while [ "$number" -lt "$iteration" ] && [ "$rest" != "${rest#*,}" ]; do
    rest=${rest#*,} number=$((number + 1))
done
exit "${rest%%,*}"
