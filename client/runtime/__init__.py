"""What a client runs in: an event loop of trio or asyncio, or nothing but the caller's thread.

It owns the seam `Runtime`, the lifetime of the client's tasks, and what happens to both when a process
forks. It does not know what is asked. A task of the client outlives no client, and a release or a
give-up is sent though its caller was cancelled (`last_words`).
"""
