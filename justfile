# The recipes are what CI runs; `just` lists them.

default:
    @just --list

# Everything in one process, offline.
dev *flags:
    cargo run --release -- dev {{flags}}

# Installs what the tests need and runs all of them.
test:
    ./scripts/test

# Format, lints, documentation, dependencies, tests: what CI runs.
ci:
    .ci/run

# Every example, to its end.
examples:
    ./scripts/examples

# The hot path's time and allocations, memory a session, a storm, a cold start. Writes nothing.
bench:
    cargo bench --package authproxy-core
    ./scripts/cold-start

# A forwarded request beside nginx's, and with refreshes beside without; says whether the bounds are kept.
bench-forward *flags:
    ./scripts/bench {{flags}}

# Nodes killed, stopped and cut off under load; Redis and the auth service too. Counts what is lost, fails when a promise is broken.
chaos *flags:
    ./scripts/chaos {{flags}}

# The manager's protocol, explored exhaustively.
model:
    cargo nextest run --package authproxy-core --test model --no-capture
