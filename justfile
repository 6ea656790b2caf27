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

# Everything beside its peers, section by section; writes BENCHMARKS.md, its JSON, and README's quotation. 25 minutes.
bench *flags:
    ./scripts/bench --document BENCHMARKS.md {{flags}}
    ./scripts/quote-benchmarks

# A forwarded request only, as a look: nothing is written.
bench-forward *flags:
    ./scripts/bench --section forward {{flags}}

# Nodes killed, stopped and cut off under load; Redis and the auth service too. Counts what is lost, fails when a promise is broken.
chaos *flags:
    ./scripts/chaos {{flags}}

# The manager's protocol, explored exhaustively.
model:
    cargo nextest run --package authproxy-core --test model --no-capture
