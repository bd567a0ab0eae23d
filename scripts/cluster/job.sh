# What scripts/cluster/parallel and slurm share: `. "$here/job.sh"`, after setting `me`. bash.
#
# A job is a calibration or an evaluation in shards. Everything that happens is a call of `espquant stat`, `evaluate --shard` or
# `merge`; a shard's file appears whole or not at all, so one that is there is done.

# shellcheck disable=SC2034  # what the scripts use is not seen here
say() { printf '%s: %s\n' "$me" "$*" >&2; }

usage_error() {
  say "$* (--help explains)"
  exit 2
}

# The engine's own options come first: take_option NAME VALUE returns 1 for one that is not common.
parse_job() {
  shards=2 work='' output='' action=''
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      calibrate | evaluate)
        action=$1
        shift
        break
        ;;
      -n | --shards) shards=${2-} ;;
      -o | --output) output=${2-} ;;
      --work) work=${2-} ;;
      *) take_option "$1" "${2-}" || usage_error "unknown option: $1" ;;
    esac
    [ $# -ge 2 ] || usage_error "$1 needs an argument"
    shift 2
  done
  [ -n "$action" ] || usage_error "what to do: calibrate or evaluate"
  case $shards in '' | *[!0-9]* | 0*) usage_error "'$shards' is no number of shards" ;; esac
  if [ "$action" = calibrate ]; then [ -n "$output" ] || usage_error "-o TABLE: where to?"; fi
  if [ "$action" = evaluate ]; then [ -z "$output" ] || usage_error "-o is for calibrate: the result is printed"; fi
  words=("$@")
  work=${work:-espquant-$action}
  find_espquant
  open_work
}

find_espquant() {
  espquant=${ESPQUANT:-$here/../../build/bin/espquant}
  [ -n "${ESPQUANT-}" ] || [ -x "$espquant" ] || espquant=espquant
  command -v "$espquant" >/dev/null || usage_error "no $espquant: build it (scripts/build), or set ESPQUANT"
}

# The folder of the job's files. One that was begun with other words is another job's.
open_work() {
  mkdir -p "$work"
  work=$(CDPATH='' cd -- "$work" && pwd -P)
  local job
  job=$(printf '%q ' "$shards" "$action" "${words[@]}")
  if [ -e "$work/job" ] && [ "$job" != "$(cat "$work/job")" ]; then
    usage_error "$work is of another job; give another --work, or remove it"
  fi
  printf '%s\n' "$job" >"$work/job"
}

rounds() {
  if [ "$action" = evaluate ]; then echo 1; else "$espquant" stat "${words[@]}" --rounds; fi
}

part() { printf '%s/round%d-%s.stat' "$work" "$1" "$2"; }

# The command of one shard, quoted for a shell; `number` stands for the shard's, and may be a variable of the engine.
shard_command() {
  local round=$1 number=$2 verb=stat ranges=()
  [ "$action" = calibrate ] || verb=evaluate
  [ "$round" = 1 ] || ranges=(--ranges "$work/ranges.stat")
  printf '%q ' "$espquant" "$verb" "${words[@]}" "${ranges[@]}"
  printf -- '--shard %s/%s -o %q%s.stat' "$number" "$shards" "$work/round$round-" "$number"
}

# merge_command ROUND ROUNDS: the command that follows a round, quoted for a shell; `*` is left to it.
merge_command() {
  printf '%q merge %q/round%d-*.stat' "$espquant" "$work" "$1"
  if [ "$1" -lt "$2" ]; then printf ' -o %q' "$work/ranges.stat"
  elif [ "$action" = calibrate ]; then printf ' -o %q' "$output"; fi
}
