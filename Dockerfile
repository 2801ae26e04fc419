# One image for users and for the tests. Only what Docker's older builder knows too: no cache mounts.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Less of both for an image that is only tried: the build takes half the time.
ARG LTO=thin
ARG CODEGEN_UNITS=1
RUN CARGO_PROFILE_RELEASE_LTO=$LTO CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$CODEGEN_UNITS \
    cargo build --locked --release --bin mcp-v8

FROM debian:bookworm-slim
# The init passes signals on and reaps what is orphaned, which a process with the number 1 must do.
RUN apt-get update \
 && apt-get install -y --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home --shell /usr/sbin/nologin mcpuser \
 && install --directory --owner mcpuser --group mcpuser /data
COPY --from=build /src/target/release/mcp-v8 /usr/local/bin/mcp-v8

# Defaults by environment and not by the command, so that they hold as well for
# `docker run IMAGE mcp-v8 --http-port 3000`, which replaces the command. In a container the network
# decides who reaches the port, so every host name is allowed. `docker stop` kills after 10 seconds.
ENV MCP_V8_HTTP_PORT=8080 \
    MCP_V8_BIND_HOST=0.0.0.0 \
    MCP_V8_ALLOWED_HOSTS=* \
    MCP_V8_DRAIN_TIMEOUT_SECS=8
USER mcpuser
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["mcp-v8", "health"]
ENTRYPOINT ["tini", "--"]
CMD ["mcp-v8"]
