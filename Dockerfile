ARG BASE_IMAGE=python:3.11-slim

# The wheel, built by a pinned and hashed hatchling that is not shipped.
FROM ${BASE_IMAGE} AS wheel
WORKDIR /src
COPY requirements/build.lock requirements/build.lock
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator/amove_operator operator/amove_operator
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist .

# The environment. The dependencies come first: that layer changes only with the lock.
FROM ${BASE_IMAGE} AS environment
COPY requirements/runtime.lock /src/requirements/runtime.lock
RUN python -m venv /opt/amove-operator \
    && /opt/amove-operator/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement /src/requirements/runtime.lock
COPY --from=wheel /dist /dist
RUN /opt/amove-operator/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
    && /opt/amove-operator/bin/pip check

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="amove-operator" \
      org.opencontainers.image.description="Kubernetes operator for buckets and access keys of the Amove storage API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
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
