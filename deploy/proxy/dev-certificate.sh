#!/bin/sh
# A certificate for development: deploy/proxy/dev-certificate.sh [NAME_OR_ADDRESS ...]  (without: localhost 127.0.0.1 ::1)
# Writes tls.crt and tls.key for the proxy, and ca.crt for `sightline --tls-ca`. The key of the authority is thrown away.
# In production, put your own tls.crt (with the chain) and tls.key there.
set -eu
umask 077
private=${PROXY_PRIVATE:-$(cd "$(dirname "$0")" && pwd)/private}
authority="Sightline development"
[ $# -gt 0 ] || set -- localhost 127.0.0.1 ::1
if [ -e "$private/tls.crt" ] && ! openssl x509 -in "$private/tls.crt" -noout -issuer | grep -q "$authority"; then
    echo "$private/tls.crt is not from this script; move it away first" >&2
    exit 1
fi
names=
for name in "$@"; do
    case $name in
        *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) names="$names${names:+,}IP:$name" ;;
        *) names="$names${names:+,}DNS:$name" ;;
    esac
done
mkdir -p "$private"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# openssl, which says something only when it fails.
quietly() {
    openssl "$@" 2>"$work/complaint" || {
        cat "$work/complaint" >&2
        exit 1
    }
}

new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086  # several words
quietly req -x509 $new_key -days 365 -subj "/CN=$authority" -keyout "$work/ca.key" -out "$work/ca.crt"
# shellcheck disable=SC2086
quietly req $new_key -subj "/CN=$1" -keyout "$work/tls.key" -out "$work/tls.csr"
printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$names" >"$work/extensions"
quietly x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 90 \
    -extfile "$work/extensions" -out "$work/tls.crt"
cp "$work/tls.crt" "$work/tls.key" "$work/ca.crt" "$private"
echo "$private: tls.crt, tls.key and ca.crt for $names, for 90 days"
