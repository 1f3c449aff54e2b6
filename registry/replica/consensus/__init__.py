"""Paxos between the nodes: attempts, batches of them, and the answers of this node's acceptor.

The rules R01 to R19 meet the network here: attempts at one key, batches in the promise of a home, and
votes that leave only after what they promise is durable. This room does not know who asked.
"""
