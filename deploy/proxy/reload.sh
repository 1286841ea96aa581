#!/bin/sh
# Takes over new tokens, classes and certificates; requests that are under way end as they began. One command:
#     docker compose exec proxy /opt/sightline/reload.sh
# It returns when every new request meets the new configuration.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
run=${PROXY_RUN:-/tmp/sightline-proxy}
patience=100 # tenths of a second

# Whether an old worker still takes requests.
is_taking() {
    [ -r "/proc/$1/cmdline" ] && ! grep -q "shutting down" "/proc/$1/cmdline" 2>/dev/null
}

"$here/render.sh"
master=$(cat "$run/nginx.pid")
# Not every kernel tells; then nobody waits.
workers=$(cat "/proc/$master/task/$master/children" 2>/dev/null || true)
kill -HUP "$master"
for worker in $workers; do
    while is_taking "$worker"; do
        patience=$((patience - 1))
        if [ "$patience" -le 0 ]; then
            echo "proxy: nginx has not taken the new configuration over; its log says why" >&2
            exit 1
        fi
        sleep 0.1
    done
done
echo "proxy: reloaded"
