# Shared by the scripts in this folder; sourced by them, not run. It finds the checkout,
# knows what the machine must have, and keeps the exit codes: 0 done, 1 a check or step
# failed, 2 the machine lacks something (which is then named).
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$TOP"

# rustup puts cargo here and a non-login shell does not look there; on Debian the network
# tools are in sbin, where an ordinary user's shell does not look.
export PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:/usr/local/sbin:/usr/sbin:/sbin"

# make's own flags and job server must not reach the builds that cargo starts (librdkafka
# is built by make below cmake, and would obey them).
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS

PACKAGES=${SKERRY_PACKAGES:-etc/packages.txt}

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }
is_root() { [[ $(id -u) == 0 ]]; }

# packages_for GROUP..: the lines "package proof" of those groups (build, run, kafka, bench).
packages_for() {
  awk -v groups=" $* " '
    /^[[:space:]]*(#|$)/ { next }
    NF < 4 { print FILENAME ":" FNR ": needs package, proof, group and reason" > "/dev/stderr"; bad = 1; next }
    index(groups, " " $3 " ") { print $1, $2 }
    END { exit bad }' "$PACKAGES"
}

# missing_packages GROUP..: the packages of those groups whose proof is not there.
missing_packages() {
  local list package proof
  list=$(packages_for "$@") || return 2
  while read -r package proof; do
    [[ -n $package ]] || continue
    case $proof in
      /*) [[ -e $proof ]] ;;
      *) command -v "$proof" >/dev/null 2>&1 ;;
    esac || say "$package"
  done <<<"$list"
}

# The oldest Rust that compiles the workspace, as its manifest says.
rust_version_needed() {
  sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml | head -n 1
}

# version_at_least HAVE WANT: "1.95.0" is at least "1.95"; what follows the numbers
# ("-nightly") does not count.
version_at_least() {
  local -a have want
  local i
  IFS=. read -r -a have <<<"${1%%[!0-9.]*}"
  IFS=. read -r -a want <<<"$2"
  for i in 0 1 2; do
    ((10#${have[i]:-0} > 10#${want[i]:-0})) && return 0
    ((10#${have[i]:-0} < 10#${want[i]:-0})) && return 1
  done
  return 0
}

# Exits 2 with the way to get it, unless a cargo is there that can compile the workspace.
need_cargo() {
  local want have
  want=$(rust_version_needed)
  if command -v cargo >/dev/null 2>&1; then
    # A rustup without a toolchain has a `cargo` that fails.
    have=$(cargo --version 2>/dev/null | awk '{ print $2 }') || have=
    [[ -n $have ]] && version_at_least "$have" "$want" && return 0
  fi
  if [[ -n ${have:-} ]]; then
    complain "Rust $want or newer is needed; cargo here is $have ($(command -v cargo))."
  else
    complain "Rust $want or newer is needed, with cargo; there is none here."
  fi
  complain "Get it with rustup: the package \`rustup\` (Debian 13 or newer), or from rustup.rs."
  complain "Then: rustup toolchain install stable --profile default && rustup default stable"
  local home
  home=$(getent passwd "${SUDO_USER:-}" 2>/dev/null | cut -d: -f6) || home=
  if is_root && [[ -n $home && -x $home/.cargo/bin/cargo ]]; then
    complain "The user $SUDO_USER has one; root can use it (what it builds in target/ is then root's):"
    complain "  sudo env CARGO_HOME=$home/.cargo RUSTUP_HOME=$home/.rustup PATH=$home/.cargo/bin:\$PATH make ..."
  fi
  exit 2
}

# need_packages GROUP..: installs what is missing when this is root, otherwise prints the
# line that does and exits 2.
need_packages() {
  local missing
  missing=$(missing_packages "$@") || exit 2
  [[ -n $missing ]] || return 0
  if is_root; then
    scripts/setup "$@"
  else
    complain "This machine lacks: ${missing//$'\n'/ }"
    complain "Install them (etc/packages.txt says what each is for) with:"
    complain "  sudo make setup"
    exit 2
  fi
}

# hand_over COMMAND..: runs COMMAND as a child in the foreground and returns its exit code.
# What a terminal sends (Ctrl-C, hang-up) reaches the child by itself and is ignored here.
# SIGTERM, which is sent to one process only, is passed on, and once the child has cleaned
# up and ended the code is 143, whatever the child made of it.
hand_over() {
  local child= code=0 terminated=
  # Set before the child exists, so that it is never left behind.
  trap '' INT QUIT HUP
  trap 'terminated=1; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true' TERM
  # What is ignored here must not be ignored there. Without the redirection the shell would
  # give the child, because it is not waited for at once, an empty standard input.
  env --default-signal=INT,QUIT,HUP "$@" <&0 &
  child=$!
  [[ -z $terminated ]] || kill -TERM "$child" 2>/dev/null || true
  wait "$child" || code=$?
  if [[ -n $terminated ]]; then
    # The signal ended the wait, not the child. What bash's wait answers from here on is
    # not always the child's code (it may be -1), so only that the child is gone counts.
    while kill -0 "$child" 2>/dev/null; do
      wait "$child" || true
    done
    code=143
  fi
  trap - INT QUIT HUP TERM
  return "$code"
}
