#!/bin/bash
# A payload that says when it began and ended, and costs next to nothing. Options:
#   --mark=FILE               gets "start SECONDS" and "end SECONDS"
#   --gate=FIFO               wait until something is written to it, for an hour at most
#   --inputs=a,b              look whether they are there
#   --outputs=name:bytes,...  write them
#   --exit-code=n
LC_ALL=C
start=$EPOCHREALTIME
code=0 inputs= outputs= mark=/dev/null gate=
for word in "$@"; do
    case $word in
        --mark=*) mark=${word#*=} ;;
        --gate=*) gate=${word#*=} ;;
        --inputs=*) inputs=${word#*=} ;;
        --outputs=*) outputs=${word#*=} ;;
        --exit-code=*) code=${word#*=} ;;
        *) echo "payload.sh: unknown option $word" >&2; exit 64 ;;
    esac
done
echo "start $start" >>"$mark"
IFS=,
for name in $inputs; do
    [ -r "$name" ] || { echo "payload.sh: no input $name" >&2; exit 1; }
done
[ -n "$gate" ] && read -r -t 3600 _ <>"$gate"
for item in $outputs; do
    head -c "${item##*:}" /dev/zero >"${item%:*}" || exit 1
done
echo "end $EPOCHREALTIME" >>"$mark"
exit "$code"
