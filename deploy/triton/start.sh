#!/usr/bin/env bash
# Starts tritonserver with the options of flags.txt that its version knows. What follows the script's name on the command
# line goes to tritonserver as well, last. Settings come from the environment; docker-compose.yml has them all.
set -euo pipefail

folder=$(dirname "$(readlink -f "$0")")
table=${FLAGS_TABLE:-$folder/flags.txt}
repository=${MODEL_REPOSITORY:-/models}
plan_check=${PLAN_CHECK:-/opt/plans/manifest.py}
oldest=2.51
gpus=16 # No machine has more; a pool for a GPU that is not there is ignored.

fail() {
  echo "start.sh: $*" >&2
  exit 1
}

# `number 2.71.0` prints 2071: versions in an order that the shell can compare.
number() {
  [[ $1 =~ ^([0-9]+)\.([0-9]+)([.a-z].*)?$ ]] || fail "'$1' is no version of Triton; it must be like 2.71.0"
  echo $((10#${BASH_REMATCH[1]} * 1000 + 10#${BASH_REMATCH[2]}))
}

# The first line of the secret. Without one, 32 random bytes that nobody has seen, so that what it opens is shut.
read_admin_key() {
  local file=${ADMIN_KEY_FILE:-} key=
  if [[ -n $file ]]; then
    [[ -r $file ]] || fail "the admin key $file cannot be read by user $(id -u); give it to that user or to everybody"
    read -r key <"$file" || true
  fi
  if [[ -z $key ]]; then
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
    return
  fi
  [[ $key =~ ^[A-Za-z0-9_.~+/-]{16,}$ ]] ||
    fail "the admin key in $file must have 16 characters or more, of letters, digits and _.~+/-; try: openssl rand -hex 32"
  echo "$key"
}

trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  echo "${text%"${text##*[![:space:]]}"}"
}

# Sets `options` to those of the table that this version knows and these settings ask for.
read_table() {
  local since until when option rest name
  options=()
  while IFS='|' read -r since until when option rest; do
    since=$(trim "$since") until=$(trim "$until") when=$(trim "$when") option=$(trim "$option")
    [[ -n $since && $since != \#* ]] || continue
    [[ -n $option && -n $(trim "$rest") ]] || fail "$table: a line without option or reason: $since | $until | $when"
    [[ $until != - ]] || until=9999.0
    since=$(number "$since")
    until=$(number "$until")
    ((since <= version && version <= until)) || continue
    case $when in
      always) ;;
      tracing) ((values[trace_rate] > 0)) || continue ;;
      *) fail "$table: '$when' is not one of always, tracing" ;;
    esac
    for name in "${!values[@]}"; do
      option=${option//"{$name}"/"${values[$name]}"}
    done
    add_option "$option"
  done <"$table"
}

add_option() {
  local gpu
  if [[ $1 != *"{gpu}"* ]]; then
    [[ $1 != *[{}]* ]] || fail "$table: a value of '$1' is not known"
    options+=("$1")
    return
  fi
  for ((gpu = 0; gpu < gpus; gpu++)); do
    options+=("${1//"{gpu}"/$gpu}")
  done
}

whole_number() {
  local value=${!1:-}
  [[ $value =~ ^[0-9]+$ ]] || fail "$1 is '$value'; it must be a whole number, see .env"
  echo "$value"
}

server=$(command -v tritonserver) || fail "there is no tritonserver on the PATH; use NVIDIA's container"
[[ -n ${TRITON_SERVER_VERSION:-} ]] || fail "TRITON_SERVER_VERSION is not set, as NVIDIA's containers do; set it, such as to 2.71.0"
version=$(number "$TRITON_SERVER_VERSION")
((version >= $(number "$oldest"))) || fail "Triton $TRITON_SERVER_VERSION is older than $oldest, the first that flags.txt knows"
compgen -G "$repository/*/config.pbtxt" >/dev/null ||
  fail "$repository holds no model that user $(id -u) can read (no NAME/config.pbtxt): see MODEL_REPOSITORY in .env"
if [[ -f $plan_check ]]; then
  python3 -B "$plan_check" "$repository" --rebuild "${PLAN_REBUILD:-docker compose run --rm export}"
fi

# One assignment each: only then does a function that fails end the script.
declare -A values
values[repository]=$repository
values[admin]=model-repository,shared-memory,trace,logging
values[admin_header]=sightline-admin-key
values[admin_key]=$(read_admin_key)
values[cuda_pool_bytes]=$(whole_number CUDA_POOL_BYTES)
values[pinned_pool_bytes]=$(whole_number PINNED_POOL_BYTES)
values[http_max_input_bytes]=$(whole_number HTTP_MAX_INPUT_BYTES)
values[exit_timeout_seconds]=60
values[trace_rate]=$(whole_number TRACE_RATE)
values[trace_url]=${TRACE_URL:-http://tracing:4318/v1/traces}
read_table
echo "start.sh: Triton $TRITON_SERVER_VERSION serves $repository"
exec "$server" "${options[@]}" "$@"
