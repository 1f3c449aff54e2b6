#!/usr/bin/env bash
# etcdctl 3.4.23 (Debian 3.4.23-4+b4): a command under `etcdctl lock` goes on after the lock is lost, and the exit code is 0.
#
# Guess from memory: when the session's lease ends, etcdctl stops the command, or at least exits with an error.
# Seen: a holder that was frozen for longer than its ttl (a paused virtual machine, a laptop's lid) wakes up, its command
#   runs on to its end although somebody else got the lock and ended meanwhile, and etcdctl exits with 0 and says nothing.
#   Those who protect data this way need the fencing number (`ETCD_LOCK_REV` is handed to the command) checked there.
# Source: the output below. `lock` waits for the command and does not look at the session's `Done` channel meanwhile.
set -euo pipefail
folder=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q etcd-server=3.4.23-4+b4 etcd-client=3.4.23-4+b4 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
export ETCDCTL_API=3
client=http://127.0.0.1:23792 peer=http://127.0.0.1:23802
root/usr/bin/etcd --data-dir data --listen-client-urls $client --advertise-client-urls $client --listen-peer-urls $peer \
  --initial-advertise-peer-urls $peer --initial-cluster default=$peer >log 2>&1 &
server=$!
etcdctl() { root/usr/bin/etcdctl --endpoints "$client" "$@"; }
for _ in $(seq 40); do etcdctl get ready >/dev/null 2>&1 && break; sleep 0.25; done

first='echo first begins >> story; touch begun; while [ ! -e go ]; do sleep 0.1; done; echo first writes >> story'
root/usr/bin/etcdctl --endpoints "$client" lock --ttl 2 job -- sh -c "$first" >/dev/null 2>&1 &
holder=$!
for _ in $(seq 40); do [ -e begun ] && break; sleep 0.25; done
kill -STOP "$holder"
etcdctl lock --ttl 2 job -- sh -c 'echo second has the lock >> story' >/dev/null 2>&1
touch go
kill -CONT "$holder"
code=0; wait "$holder" || code=$?
cat story; echo "exit code of the first: $code"
[ "$(cat story)" = "$(printf 'first begins\nsecond has the lock\nfirst writes')" ] && [ "$code" = 0 ]
