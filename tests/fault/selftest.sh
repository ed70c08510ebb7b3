#!/bin/sh
# selftest.sh FAILALLOC FAILIO FAILCLOCK PROBE - the fault shims, tried on a program that says what failed.
set -eu
alloc=$1 io=$2 clock=$3 probe=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

wrong() {
    echo "$*" >&2
    exit 1
}

# expect TEXT STATUS COMMAND...: what it prints, joined by spaces, and its exit status
expect() {
    want=$1 want_status=$2
    shift 2
    status=0
    got=$("$@" 2>/dev/null) || status=$?
    got=$(echo "$got" | tr '\n' ' ' | sed 's/ *$//')
    [ "$got $status" = "$want $want_status" ] ||
        wrong "$*: printed '$got', status $status; expected '$want', status $want_status"
}

# Allocations: count them, then fail each once; every kind must come up, and none behind the last.
env LD_PRELOAD="$alloc" FAULT_ALLOC_REPORT="$work/count" "$probe"
read -r counted failed <"$work/count"
[ "$counted" -ge 6 ] || wrong "counted only $counted allocations"
[ "$failed" = 0 ] || wrong "failed unasked"
n=1
while [ "$n" -le "$counted" ]; do
    env LD_PRELOAD="$alloc" FAULT_ALLOC_AT=$n FAULT_ALLOC_REPORT="$work/each" "$probe" >>"$work/seen" || true
    n=$((n + 1))
done
for name in calloc realloc aligned_alloc posix_memalign mmap; do
    [ "$(grep -c "^$name: ENOMEM" "$work/seen")" = 1 ] || wrong "$name did not fail once"
done
[ "$(cut -d' ' -f2 "$work/each" | sort -u)" = 1 ] || wrong "not each run failed once"
expect "" 0 env LD_PRELOAD="$alloc" FAULT_ALLOC_AT=$((counted + 1)) "$probe"
expect "posix_memalign: ENOMEM mmap: ENOMEM" 2 env LD_PRELOAD="$alloc" FAULT_ALLOC_FROM=1 FAULT_ALLOC_BYTES=4096 "$probe"

# Files: 1 mkdir, 2 open, 3 write, 4 pwrite, 5 sync, 6 truncate, 7 link, 8 rename, 9 unlink; reading is not counted.
run() {
    rm -rf "$work/d" "$work/log"
    env LD_PRELOAD="$io" "$@" "$probe" "$work"
}
expect "" 0 run FAULT_IO_LOG="$work/log"
[ "$(cut -d' ' -f2 "$work/log" | tr '\n' ' ')" = "mkdir open write write sync truncate link rename unlink " ] ||
    wrong "another list of calls: $(cat "$work/log")"
grep -qx "7 link $work/d/g" "$work/log" || wrong "another path"
expect "write: EIO" 1 run FAULT_IO_AT=3
expect "pwrite: ENOSPC" 1 run FAULT_IO_AT=4 FAULT_IO_ERRNO=ENOSPC
expect "sync: EIO" 1 run FAULT_IO_AT=1 FAULT_IO_CALLS=sync
expect "read: EINTR" 1 run FAULT_IO_AT=1 FAULT_IO_CALLS=read FAULT_IO_ERRNO=EINTR
expect "write: ENOSPC pwrite: ENOSPC" 2 run FAULT_IO_FROM=2 FAULT_IO_CALLS=write,open FAULT_IO_ERRNO=ENOSPC
expect "rename: ENOENT unlink: ENOENT" 2 run FAULT_IO_AT=1 FAULT_IO_CALLS=rename FAULT_IO_ERRNO=ENOENT
expect "link: EEXIST" 1 run FAULT_IO_AT=7 FAULT_IO_ACTION=lose FAULT_IO_ERRNO=EEXIST
expect "write: short" 0 run FAULT_IO_AT=3 FAULT_IO_ACTION=short
expect "" 0 run FAULT_IO_AT=1 FAULT_IO_BELOW="$work/elsewhere"
expect "pwrite: EIO" 1 run FAULT_IO_AT=3 FAULT_IO_BELOW="$work/d/f/" FAULT_IO_ERRNO=5
expect "" 137 run FAULT_IO_AT=7 FAULT_IO_ACTION=kill
[ ! -e "$work/d/g" ] || wrong "linked before it was killed"
expect "" 137 run FAULT_IO_AT=7 FAULT_IO_ACTION=kill-after
[ -e "$work/d/g" ] || wrong "not linked before it was killed"

# The clock: off by years, from the first reading on or from a later one.
now=$(date +%s)
behind=$(env LD_PRELOAD="$clock" FAULT_CLOCK_SHIFT=-1000000 FAULT_CLOCK_REPORT="$work/clock" date +%s)
if [ $((now - behind)) -lt 999990 ] || [ $((now - behind)) -gt 1000000 ]; then wrong "the clock was not put back: $behind"; fi
read -r counted failed <"$work/clock"
if [ "$counted" -lt 1 ] || [ "$counted" != "$failed" ]; then wrong "the clock was read $counted times, and wrong $failed times"; fi
later=$(env LD_PRELOAD="$clock" FAULT_CLOCK_SHIFT=-1000000 FAULT_CLOCK_FROM=100 date +%s)
if [ $((later - now)) -lt 0 ] || [ $((later - now)) -gt 10 ]; then wrong "the clock was put back too soon: $later"; fi
