#!/usr/bin/env bash
# Runs a program much as docker runs a service of docker-compose.yml: it sees a few folders, read-only, and temporary ones,
# as a user without any rights. Takes root; nothing outside of its own mount namespace changes.
#
#   jail.sh USER:GROUP TMPFS_OPTIONS SHARED_MEMORY_BYTES FILE_OR_FOLDER=TARGET... -- PROGRAM ARGUMENT...
set -euo pipefail
if [[ -z ${IN_JAIL:-} ]]; then
  IN_JAIL=yes exec unshare --mount "$0" "$@"
fi
user=${1%:*} group=${1#*:} temporary=$2 shared_memory_bytes=$3
shift 3

root=/mnt
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
show() {
  mkdir -p "$(dirname "$root$2")"
  if [[ -d $1 ]]; then mkdir -p "$root$2"; else touch "$root$2"; fi
  mount --rbind "$1" "$root$2"
  mount -o remount,bind,ro "$root$2"
}
show /usr /usr
show /etc /etc
for folder in bin lib lib64; do
  ln -s "usr/$folder" "$root/$folder"
done
while [[ $1 != -- ]]; do
  show "${1%=*}" "${1#*=}"
  shift
done
shift
mkdir "$root/proc" "$root/dev" "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o "size=$shared_memory_bytes,mode=1777" tmpfs "$root/dev/shm"
mount -t tmpfs -o "$temporary" tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid "$user" --regid "$group" --clear-groups --bounding-set=-all --inh-caps=-all \
  --no-new-privs env --ignore-environment HOME=/tmp PATH=/opt/sightline/bin:/usr/bin "$@"
