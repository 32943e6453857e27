# The one image of Coatcheck; its first argument is the role: `api`, `worker`, `migrate`, …
# It holds to what every builder knows, BuildKit or not.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_PROFILE_RELEASE_STRIP=symbols

# First the dependencies alone, from a skeleton of the workspace: this layer is built again only
# when a manifest or the lock file changes. cargo-chef would do the same, and have to be compiled first.
COPY Cargo.toml Cargo.lock ./
COPY api/Cargo.toml api/
COPY cli/Cargo.toml cli/
COPY shared/Cargo.toml shared/
COPY tests/Cargo.toml tests/
COPY tests/model/Cargo.toml tests/model/
COPY worker/Cargo.toml worker/
COPY xtask/Cargo.toml xtask/
RUN for stand_in in api/src/lib.rs shared/src/lib.rs worker/src/lib.rs tests/harness/lib.rs \
        tests/model/lib.rs cli/src/main.rs xtask/src/main.rs tests/end_to_end/main.rs \
        tests/faults/main.rs shared/benches/way_of_a_job.rs; do \
        mkdir -p "$(dirname "$stand_in")" && echo 'fn main() {}' > "$stand_in"; \
    done \
    && cargo build --release --locked

COPY . .
# The sources are older than what was built of their stand-ins, and cargo goes by the time.
RUN find api cli shared worker migrations coatcheck.toml -type f -exec touch {} + \
    && cargo build --release --locked

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/coatcheck /usr/local/bin/coatcheck
# No name in /etc/passwd is needed. Nothing is written but the SQLite file of `coatcheck` without a
# role, in /data: the root file system may be read-only.
RUN mkdir /data && chown 10001:10001 /data
USER 10001:10001
WORKDIR /data
ENV COATCHECK_DATA_DIR=/data
EXPOSE 8080 8081
# On SIGTERM it drains, for up to half a minute: without compose, run it with `--stop-timeout 40`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["coatcheck", "health"]
ENTRYPOINT ["coatcheck"]
