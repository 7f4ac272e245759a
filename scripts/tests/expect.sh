# Sourced by the tests of this folder: results in the words of a test program, which
# count-tests adds up. The script names its suite first.
# shellcheck shell=bash

passed=0 failed=0

# expect NAME WANT GOT
expect() {
  if [[ $2 == "$3" ]]; then
    say "test $suite::$1 ... ok"
    passed=$((passed + 1))
  else
    say "test $suite::$1 ... FAILED"
    say "  wanted: $2"
    say "  got:    $3"
    failed=$((failed + 1))
  fi
}

# skip NAME REASON
skip() { say "SKIP $suite::$1: $2"; }

# finish: prints the result and exits with it.
finish() {
  local verdict=ok
  ((failed == 0)) || verdict=FAILED
  say "test result: $verdict. $passed passed; $failed failed; 0 ignored"
  exit "$((failed > 0))"
}
