"""Single-decree Paxos: pure values and functions, rules R01 to R22.

The package owns the messages, the acceptor, the proposer, the learner and the quorum sizes. It does
no I/O, reads no clock, draws no random number and logs nothing. It imports only itself and
`decreed.registry.types`; a test holds that. It knows neither which requests wait nor how messages
travel.
"""
