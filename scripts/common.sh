# Shared by the scripts of this folder: `. "$(dirname "$0")/common.sh"`. POSIX sh; sets `root` to the checkout.
# A script sets `me` to its own name first.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)

say() { printf '%s: %s\n' "$me" "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# packages GROUP...: the names of the groups, one line, separated by blanks.
packages() {
  for group in "$@"; do
    sed -n "s/^$group //p" "$root/scripts/packages"
  done | tr '\n' ' ' | sed 's/ $//'
}

# missing_packages GROUP...: those not installed; nothing where there is no dpkg to ask.
missing_packages() {
  command -v dpkg-query >/dev/null 2>&1 || return 0
  for package in $(packages "$@"); do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
      installed) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# apt_get ARGUMENT...: apt-get as root, through sudo where the user is not.
apt_get() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$apt_log" 2>&1; }

# install_packages GROUP...: installs what is missing with apt-get, or says what to install and stops.
install_packages() {
  if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    say "this is no Debian system (no apt-get): nothing is installed"
    say "the Debian names of what is needed: $(packages "$@")"
    return 0
  fi
  missing=$(missing_packages "$@")
  if [ -z "$missing" ]; then
    say "packages: all installed"
    return 0
  fi
  sudo=
  if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    if ! command -v sudo >/dev/null 2>&1; then
      say "missing Debian packages: ${missing% }"
      say "only root can install them, you are $(id -un), and there is no sudo; as root:"
      say "  apt-get update && apt-get install --no-install-recommends ${missing% }"
      die "then run $me again"
    fi
  fi
  say "installing packages: ${missing% }"
  # shellcheck disable=SC2086  # a list of names
  apt_get install -y -q --no-install-recommends $missing && return 0
  say "refreshing the list of packages (apt-get update)"
  apt_get update -q || fail_packages "$missing"
  # shellcheck disable=SC2086
  apt_get install -y -q --no-install-recommends $missing || fail_packages "$missing"
}

apt_log=${TMPDIR:-/tmp}/espquant-apt.$$.log

fail_packages() {
  tail -n 15 "$apt_log" >&2
  system=$(. /etc/os-release 2>/dev/null && printf '%s' "${PRETTY_NAME:-}")
  say "apt-get failed (its last lines are above) on ${system:-an unknown system}"
  say "espquant is built and tested on Debian 12; no network or another distribution are the usual causes"
  die "install these yourself, then run again: $1"
}

trap 'rm -f "$apt_log"' EXIT
