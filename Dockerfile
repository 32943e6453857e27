# The one image of Coatcheck; its first argument is the role: `api`, `worker`, `migrate`, …
# It holds to what every builder knows, BuildKit or not.

# The skeleton of the workspace: the manifests, and something to compile wherever they or cargo's
# rules look for a target. cargo-chef would do the same, and have to be compiled first.
FROM debian:bookworm-slim AS skeleton
WORKDIR /skeleton
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock \
        ! -name lib.rs ! -name main.rs ! -path '*/benches/*.rs' -delete \
    && find . -name '*.rs' -exec sh -c 'echo "fn main() { }" > "$1"' - {} \; \
    && for manifest in $(find . -mindepth 2 -name Cargo.toml); do \
        folder=$(dirname "$manifest"); \
        targets=$(sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest"); \
        ls "$folder"/src/*.rs > /dev/null 2>&1 || for target in ${targets:-src/lib.rs}; do \
            mkdir -p "$(dirname "$folder/$target")" && echo 'fn main() {}' > "$folder/$target"; \
        done; \
    done \
    && find . -type d -empty -delete

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
# First the dependencies alone: this layer is built again only when the skeleton changes.
COPY --from=skeleton /skeleton .
RUN cargo build --release --locked

COPY . .
# The sources are older than what was built of their stand-ins, and cargo goes by the time.
RUN find . -path ./target -prune -o -type f -exec touch {} + \
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
