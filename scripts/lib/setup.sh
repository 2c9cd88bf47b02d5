# shellcheck shell=bash
# What the developer scripts share: a known environment, Debian packages, virtual environments, the cache.
# Sourced, never run: `source "$(dirname "$(realpath "$0")")/lib/setup.sh"`.
# shellcheck disable=SC2034 # its variables are for those who source it

# The distribution's own tools, whatever stands in front of them: another python3 breaks pybuild and hides python3-typer.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP CDPATH GREP_OPTIONS

project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
cache=${MSMTP_AGENT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/msmtp-agent}

# Enough to run the program from the checkout, with the distribution's own libraries.
packages_run=(msmtp ca-certificates python3 python3-typer python3-rich python3-yaml python3-jsonschema)
# The demonstration: an SMTP server on loopback with a certificate of its own.
packages_demo=("${packages_run[@]}" python3-aiosmtpd openssl util-linux mount)
# Everything that scripts/test touches, the package build included.
packages_test=(
  "${packages_demo[@]}"
  python3-venv strace acl attr e2fsprogs iproute2 git logrotate
  mmdebstrap debian-archive-keyring systemd systemd-container
  build-essential debhelper dh-python fakeroot pybuild-plugin-pyproject python3-all python3-setuptools
  shellcheck man-db bash-completion zsh fish
)

say() { printf '%s\n' "$*" >&2; }

die() {
  say "${0##*/}: $*"
  exit 1
}

require_root() {
  [ "$(id -u)" -eq 0 ] || die "needs root: observed uid $(id -u); expected 0"
}

# with_lock NAME COMMAND...: two runs side by side share the cache; the second waits, but not without end.
with_lock() {
  local name=$1
  shift
  mkdir -p "$cache"
  (
    flock --wait 900 9 || die "$cache/$name.lock: held by another run for 15 minutes"
    # 9>&- : a program that stays behind must not keep the lock.
    "$@" 9>&-
  ) 9>"$cache/$name.lock"
}

missing_packages() {
  local name
  for name in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || printf '%s\n' "$name"
  done
}

# ensure_packages NAME...: installs what is missing, and asks the network for nothing when nothing is.
ensure_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  require_root
  say "installing with apt-get: ${missing[*]}"
  local log=$cache/apt.log
  mkdir -p "$cache"
  # A lock timeout: a fresh machine may still be running its own unattended upgrade. A configuration file that was changed
  # by hand is kept: the question would find nobody to answer it.
  local options=(--quiet --yes -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
  { timeout 600 apt-get "${options[@]}" update &&
    timeout 1800 apt-get "${options[@]}" --no-install-recommends install "${missing[@]}"; } >"$log" 2>&1 </dev/null || {
    tail -n 30 "$log" >&2
    die "apt-get failed: the whole log is in $log"
  }
}

# venv_path NAME: a directory named after everything that decides what is in it.
venv_path() {
  local key
  key=$({
    /usr/bin/python3 --version
    cat "$project/tests/requirements-$1.txt"
  } | sha256sum)
  printf '%s\n' "$cache/venvs/$1-${key:0:12}"
}

venv_python() { printf '%s\n' "$(venv_path "$1")/bin/python"; }

build_venv() {
  local path=$1 requirements=$2
  # The stamp is written last: a directory without it is what an interrupted run left.
  [ ! -e "$path/complete" ] || return 0
  rm -rf "$path"
  # One chain: the caller's `||` switches set -e off in here. The check proves that the pins are whole, for they are
  # installed without a resolver.
  /usr/bin/python3 -m venv "$path" &&
    "$path/bin/python" -m pip install -qq --no-deps --requirement "$requirements" &&
    "$path/bin/python" -m pip --quiet check >&2 &&
    touch "$path/complete"
}

# ensure_venv NAME: the virtual environment of tests/requirements-NAME.txt, built once.
ensure_venv() {
  local path
  path=$(venv_path "$1")
  [ -e "$path/complete" ] || with_lock "venv-$1" build_venv "$path" "$project/tests/requirements-$1.txt" ||
    die "$path: could not be built"
}

# The Typer releases that the program must work with, beside the system's own.
compat_venvs=(typer-0.7 typer-0.9 typer-0.15 typer-newest)

# ensure_venvs: the main one and, next to it, the others; exports their interpreters for the tests.
ensure_venvs() {
  local name variable jobs=()
  for name in main "${compat_venvs[@]}"; do
    ensure_venv "$name" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
  for name in "${compat_venvs[@]}"; do
    variable=MSMTP_AGENT_PYTHON_${name^^}
    export "${variable//[-.]/_}=$(venv_python "$name")"
  done
  main_python=$(venv_python main)
  export MSMTP_AGENT_PYTHON_MAIN=$main_python
}
