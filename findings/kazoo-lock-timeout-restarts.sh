#!/usr/bin/env bash
# kazoo 2.11.0 with ZooKeeper 3.8.0 (Debian 3.8.0-11+deb12u2): `Lock.acquire(timeout=2)` may wait several times two seconds.
#
# Guess from memory: it raises `LockTimeout` two seconds after the call if the lock was not got.
# Seen: the timeout is that of waiting for the one contender in front. Each time that one leaves the queue without the
#   lock being free, the whole timeout begins again with the next. Behind three contenders that give up one after the
#   other, a call with two seconds ended after five. With N in front it may take N + 1 times as long, so a request handler
#   that relies on it passes its own deadline when many others give up too.
# Source: the output below; kazoo's `recipe/lock.py`, where the loop waits with the same `timeout` in each round.
# Needs: java and Debian's packages.
set -euo pipefail
folder=$(mktemp -d); server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q zookeeper=3.8.0-11+deb12u2 libzookeeper-java=3.8.0-11+deb12u2 libnetty-java libslf4j-java \
  libcommons-cli-java libdropwizard-metrics-java libsnappy-java libjackson2-core-java libjackson2-databind-java \
  libjackson2-annotations-java libjetty9-java >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" root; done
jars=root/usr/share/java
path=$(ls $jars/zookeeper*.jar $jars/netty*.jar $jars/slf4j-api.jar $jars/slf4j-nop.jar $jars/commons-cli.jar \
  $jars/metrics-core*.jar $jars/snappy*.jar $jars/jackson*.jar $jars/jetty9-server.jar $jars/jetty9-util.jar \
  $jars/jetty9-servlet.jar $jars/jetty9-http.jar $jars/jetty9-io.jar $jars/jetty9-security.jar | tr '\n' ':')
printf 'tickTime=500\ndataDir=%s/data\nclientPort=21812\nclientPortAddress=127.0.0.1\n' "$folder" > zoo.cfg
java -Xmx256m -cp "$path" -Dzookeeper.admin.enableServer=false \
  org.apache.zookeeper.server.ZooKeeperServerMain zoo.cfg >server.log 2>&1 &
server=$!
python3 -m venv venv
venv/bin/pip install -q kazoo==2.11.0 2>/dev/null
venv/bin/python - <<'PY'
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import CancelledError, LockTimeout

TIMEOUT = 2.0


def lock():
    client = KazooClient("127.0.0.1:21812", timeout=8)
    client.start(timeout=30)
    return client.Lock("/job")


def queued(waiting):
    """Wait for the lock without a limit, until told to give up."""

    def wait():
        try:
            waiting.acquire()
        except CancelledError:
            pass

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    return thread


holder, mine = lock(), lock()
assert holder.acquire()
ahead = [lock() for _ in range(3)]
threads = [queued(waiting) for waiting in ahead]
result = []


def try_it():
    began = time.monotonic()
    try:
        mine.acquire(timeout=TIMEOUT)
        result.append("got it")
    except LockTimeout:
        result.append("LockTimeout")
    result.append(time.monotonic() - began)


caller = threading.Thread(target=try_it)
caller.start()
for waiting in reversed(ahead):
    time.sleep(1.0)
    waiting.cancel()
caller.join(30)
for thread in threads:
    thread.join(30)
print("acquire(timeout=%g) behind three who gave up: %s after %.1f s" % (TIMEOUT, *result))
assert result[0] == "LockTimeout" and result[1] > 2 * TIMEOUT
PY
