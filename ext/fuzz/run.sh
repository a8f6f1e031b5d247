#!/bin/sh
# Runs every fuzz target for some seconds: ext/fuzz/run.sh SECONDS [TARGET...]. No nightly compiler and no cargo-fuzz:
# the coverage that libFuzzer is guided by comes from flags that a stable one has.
set -eu
cd "$(dirname "$0")"
seconds=$1
shift
targets=${*:-$(ls fuzz_targets | sed 's/\.rs$//')}
host=$(rustc -vV | sed -n 's/^host: //p')

# With a target, build scripts and macros are left as they are.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --quiet --release --target "$host"

for target in $targets; do
	program=${CARGO_TARGET_DIR:-target}/$host/release/$target
	found=${FUZZ_FOUND:-target/found}/$target
	mkdir -p "$found"
	FUZZ_SEEDS=$found "$program" -runs=0 2>/dev/null || true
	echo "== $target"
	"$program" "$found" "corpus/$target" -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=1024 \
		-artifact_prefix="$found/" -print_final_stats=1 -verbosity=1 2>&1 |
		grep -E 'DONE|stat::|ERROR|panicked|SUMMARY|Test unit|NEW.*0000 ' || true
	# A crash, a hang or too much memory leaves an input behind.
	failed=$(find "$found" -name 'crash-*' -o -name 'timeout-*' -o -name 'oom-*')
	if [ -n "$failed" ]; then
		echo "$target fails with $failed"
		exit 1
	fi
done
