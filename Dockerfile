# syntax=docker/dockerfile:1
# The server and the agent. See deploy/README.md for what a container can and can't do yet.

FROM node:22-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web .
RUN npm run build

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=web /web/dist/site web/dist/site
# The static agent for environments, and the server.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin devpocket \
    && mkdir /out && cp target/dist/devpocket /out/ \
    && scripts/build-agent /out/devpocket-agent

FROM debian:12-slim
# bubblewrap is for the local runtime. Its environments see this image's tools, so some are here.
# No PostgreSQL client and no certificates are needed: the server brings both along.
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap bash ca-certificates curl git less nano procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/devpocket --shell /usr/sbin/nologin devpocket
COPY --from=build /out/devpocket /out/devpocket-agent /usr/local/bin/
USER 10001
WORKDIR /var/lib/devpocket
EXPOSE 8000
# SIGTERM ends it in good order.
ENTRYPOINT ["devpocket"]
CMD ["serve"]
