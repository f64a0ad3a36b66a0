#!/bin/sh
# A payload that costs next to nothing: looks at its inputs, writes its outputs, ends. Options as of work.py:
# --inputs=a,b --outputs=name:bytes,... --exit-code=n
code=0 inputs= outputs=
for word in "$@"; do
    case $word in
        --inputs=*) inputs=${word#*=} ;;
        --outputs=*) outputs=${word#*=} ;;
        --exit-code=*) code=${word#*=} ;;
        *) echo "quick.sh: unknown option $word" >&2; exit 64 ;;
    esac
done
IFS=,
for name in $inputs; do
    [ -r "$name" ] || { echo "quick.sh: no input $name" >&2; exit 1; }
done
for item in $outputs; do
    head -c "${item##*:}" /dev/zero >"${item%:*}" || exit 1
done
exit "$code"
