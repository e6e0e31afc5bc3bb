# Everything that must hold before a change goes in
check:
    cargo xtask test

# The tests alone
test:
    cargo test --workspace

# A server from the working tree
start *arguments:
    cargo run --package flagbase -- start {{arguments}}
