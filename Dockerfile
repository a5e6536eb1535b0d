# Debian's slim image and Debian's own Python 3.11. The date pins the base; give a digest to pin it to the byte:
#   --build-arg BASE_IMAGE=debian:bookworm-20251117-slim@sha256:…
ARG BASE_IMAGE=debian:bookworm-20251117-slim

FROM ${BASE_IMAGE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/*

# The tools that build; nothing of this stage but /opt/amove-operator and the wheel goes further.
FROM python AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv
RUN python3 -m venv /opt/tools \
    && python3 -m venv --without-pip /opt/amove-operator
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# The wheel, built by a pinned and hashed hatchling.
FROM tools AS wheel
WORKDIR /src
COPY requirements/build.lock requirements/build.lock
RUN /opt/tools/bin/pip install --no-deps --require-hashes --requirement requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator/amove_operator operator/amove_operator
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist .

# The environment, without pip. The dependencies come first: that layer changes only with the lock.
FROM tools AS environment
COPY requirements/runtime.lock /src/requirements/runtime.lock
RUN /opt/tools/bin/pip --python /opt/amove-operator/bin/python install --no-compile --no-deps --require-hashes --requirement /src/requirements/runtime.lock
COPY --from=wheel /dist /dist
RUN /opt/tools/bin/pip --python /opt/amove-operator/bin/python install --no-compile --no-deps --no-index /dist/*.whl \
    && /opt/tools/bin/pip --python /opt/amove-operator/bin/python check
# Everything is compiled but the 1,800 modules of the Kubernetes client's API groups and their objects: it loads them one by
# one when they are asked for, and what the import below asks for is compiled by it. They were a third of the environment.
RUN /opt/amove-operator/bin/python -m compileall -q -x '/kubernetes/(aio/)?client/(api|models)/' /opt/amove-operator/lib \
    && /opt/amove-operator/bin/python -c 'import amove_operator.kube.transport'

FROM python
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="amove-operator" \
      org.opencontainers.image.description="Kubernetes operator for buckets and access keys of the Amove storage API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=environment /opt/amove-operator /opt/amove-operator
# HOME: the Kubernetes client looks for one when it is imported, and the user below has no line in /etc/passwd.
ENV PATH=/opt/amove-operator/bin:$PATH \
    HOME=/ \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# 8080: /healthz and /readyz. 9090: /metrics.
EXPOSE 8080 9090
ENTRYPOINT ["amove-operator"]
CMD ["run"]
