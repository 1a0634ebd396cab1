#!/usr/bin/env bash
# What is `unsafe` in the engine's kernels, under sanitizers. Needs a nightly toolchain; fails where anything is missing or found.
#
#     scripts/sanitizers.sh address    # tests of engine/src/cpu under AddressSanitizer, with the instructions of this processor
#     scripts/sanitizers.sh miri       # those that Miri can interpret, on the portable path (rustup component add miri rust-src)
#
# Miri knows no inline assembly (exp, bfloat16 pairs) and needs minutes for what takes milliseconds; rayon's queues turn integers
# into pointers, and its threads outlive the tests: hence the flags.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
host=$(rustc -vV | sed -n 's/^host: //p')

case "${1:-}" in
  address)
    # Engine code is compiled with bounds of its own pointers checked; what computes much must stay fast enough to run.
    export RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/sanitizers} CARGO_PROFILE_RELEASE_DEBUG=0
    log=$(mktemp); trap 'rm -f "$log"' EXIT
    cargo +nightly --config 'profile.release.package.karat-engine.opt-level=1' test --release --target "$host" \
      -p karat-engine --no-default-features --lib -- cpu:: models::weights scheduler:: sampling:: 2>&1 | tee "$log"
    grep -q '^test result: ok\.' "$log"
    ;;
  miri)
    export MIRIFLAGS="-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-disable-isolation -Zmiri-ignore-leaks" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/sanitizers}
    tests=(
      cpu::simd::tests::the_largest_lane_is_found_wherever_it_is
      cpu::simd::dots::tests::bytes_add_exactly_on_every_instruction_set
      cpu::linear::tests::f32_products_are_their_definition
      cpu::linear::tests::parts_stand_side_by_side
      cpu::linear::tests::what_is_not_a_number_stays_so
      cpu::norm::tests::norms_match_their_definition
      cpu::rotary::tests::rotation_keeps_length_and_starts_at_identity
      cpu::relative::tests
    )
    for test in "${tests[@]}"; do
      log=$(mktemp)
      timeout "${MIRI_SECONDS:-1200}" cargo +nightly miri test -p karat-engine --no-default-features --lib -- "$test" 2>&1 | tee "$log"
      grep -qE '^test result: ok\. [1-9]' "$log" || { echo "not passed: $test" >&2; exit 1; }
      rm -f "$log"
    done
    ;;
  *) sed -n '2,9p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac
