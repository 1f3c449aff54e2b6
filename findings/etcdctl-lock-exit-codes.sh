#!/usr/bin/env bash
# etcdctl 3.4.23 (Debian 3.4.23-4+b4): `etcdctl lock` says 1 for every way its command failed, and swallows SIGTERM.
#
# Guess from memory: it passes its command's exit code on, as `flock` and `timeout` do, and hands a SIGTERM to the
#   command, or at least ends with 143.
# Seen: a command that exits with 7, one that does not exist and one that dies of a signal all make it exit with 1. A
#   SIGTERM to etcdctl while the command runs reaches nobody: the command runs to its end under the lock, and etcdctl then
#   exits with 0. A supervisor that stops the process this way waits for the whole job, or kills it and leaves the
#   command running on its own.
# Source: the output below; etcdctl's own description of `lock` mentions only the case without a command.
set -euo pipefail
folder=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q etcd-server=3.4.23-4+b4 etcd-client=3.4.23-4+b4 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
export ETCDCTL_API=3
client=http://127.0.0.1:23790 peer=http://127.0.0.1:23800
root/usr/bin/etcd --data-dir data --listen-client-urls $client --advertise-client-urls $client --listen-peer-urls $peer \
  --initial-advertise-peer-urls $peer --initial-cluster default=$peer >log 2>&1 &
server=$!
etcdctl() { root/usr/bin/etcdctl --endpoints "$client" "$@"; }
for _ in $(seq 40); do etcdctl get ready >/dev/null 2>&1 && break; sleep 0.25; done

code() { set +e; "$@" >/dev/null 2>&1; echo $?; set -e; }
seven=$(code etcdctl lock job -- sh -c 'exit 7')
missing=$(code etcdctl lock job -- ./there-is-no-such-program)
signalled=$(code etcdctl lock job -- sh -c 'kill -TERM $$')
root/usr/bin/etcdctl --endpoints "$client" lock job -- sh -c 'touch begun; sleep 4; touch done' >/dev/null 2>&1 &
holder=$!
for _ in $(seq 40); do [ -e begun ] && break; sleep 0.25; done
kill -TERM "$holder"
stopped=0; wait "$holder" || stopped=$?
finished=no; [ ! -e done ] || finished=yes
echo "exit 7 -> $seven; no such program -> $missing; command died of SIGTERM -> $signalled"
echo "SIGTERM to etcdctl while the command ran -> $stopped; the command was finished: $finished"
[ "$seven $missing $signalled $stopped $finished" = "1 1 1 0 yes" ]
