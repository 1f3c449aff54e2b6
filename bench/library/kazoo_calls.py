"""Loads by kazoo, the usual Python client of ZooKeeper."""

import importlib
import itertools
import random
import threading
from typing import Any

from .account import Account, now_ns
from .order import Order

SESSIONS = 3


def perform(order: Order) -> Account:
    """Run the load to its end."""
    threads = order.outstanding if order.op == "lock" else 0
    clients = [
        _connect(order, number) for number in range(threads or min(SESSIONS, order.outstanding))
    ]
    account = order.account()
    try:
        if order.op == "lock":
            _contend(clients, order, account)
        else:
            _pipeline(clients, order, account)
    finally:
        for client in clients:
            client.stop()
            client.close()
    return account


def _connect(order: Order, number: int) -> Any:
    kazoo: Any = importlib.import_module("kazoo.client")
    # each session begins with another server
    first = number % len(order.addresses)
    hosts = order.addresses[first:] + order.addresses[:first]
    client = kazoo.KazooClient(hosts=",".join(hosts), randomize_hosts=False)
    client.start()
    return client


def _pipeline(clients: list[Any], order: Order, account: Account) -> None:
    """Keep operations under way; each answer, in a thread of kazoo's, starts the next."""
    numbers = itertools.count()
    idle = threading.Semaphore(0)

    def ask(client: Any) -> None:
        if account.over:
            idle.release()
            return
        since = now_ns()

        def answered(result: Any) -> None:
            if result.exception is None:
                account.acknowledged(since)
            else:
                account.failed += 1
            ask(client)

        _send(client, order, numbers).rawlink(answered)

    for task in range(order.outstanding):
        ask(clients[task % len(clients)])
    for _ in range(order.outstanding):
        idle.acquire(timeout=order.seconds + order.warm_up + 30)


def _send(client: Any, order: Order, numbers: "itertools.count[int]") -> Any:
    if order.op == "claim":
        return client.create_async(order.key(next(numbers)), order.value)
    path = order.key(random.randrange(order.keyspace))
    # a session keeps the order, so a read after a sync is linearizable
    client.sync_async(path)
    return client.get_async(path)


def _contend(clients: list[Any], order: Order, account: Account) -> None:
    def repeat(client: Any) -> None:
        lock = client.Lock(order.prefix)
        while not account.over:
            since = now_ns()
            with lock:
                pass
            account.acknowledged(since)

    threads = [threading.Thread(target=repeat, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
