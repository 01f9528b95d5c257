# Two images. `serving` scores, and has neither Dagster nor MLflow nor PyTorch. `pipelines` collects, trains, and runs
# Dagster and MLflow. docker-compose.yml starts both. This file has not been run with Docker, because its author had no
# Docker engine. The tests install the packages of `serving` as below, and start every command of docker-compose.yml
# without containers.

FROM python:3.11-slim AS base
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /lab

FROM base AS build
# `cpu`, `auto`, or a CUDA version such as `cu130`: see uv's documentation of UV_TORCH_BACKEND.
ARG TORCH=cpu
ENV UV_TORCH_BACKEND=$TORCH UV_LINK_MODE=copy VIRTUAL_ENV=/opt/venv
COPY requirements.lock ./
RUN pip install --no-cache-dir "$(grep '^uv==' requirements.lock)" && uv venv /opt/venv

# The packages come before the lab's own code, so that a change of the code does not install them again.
FROM build AS build-serving
COPY requirements-serving.lock deploy/trim.py ./
# The lock is complete. `--no-deps` keeps uv from adding what deploy/serving-overrides.txt leaves out.
RUN uv pip install --no-cache --compile-bytecode --no-deps -r requirements-serving.lock \
 && python trim.py /opt/venv/lib/python3.11/site-packages
COPY pyproject.toml README.md LICENSE ./
COPY thumblab_core thumblab_core
COPY thumblab_serving thumblab_serving
COPY thumblab_client thumblab_client
COPY thumblab_cli thumblab_cli
RUN uv pip install --no-cache --no-deps --editable . && python -m compileall -q thumblab_* && chmod -R a+rX /lab

FROM build AS build-pipelines
COPY requirements-pipelines.lock ./
RUN uv pip install --no-cache --compile-bytecode -r requirements-pipelines.lock
COPY pyproject.toml README.md LICENSE dagster.yaml ./
COPY deploy deploy
COPY demo demo
COPY thumblab_core thumblab_core
COPY thumblab_pipelines thumblab_pipelines
COPY thumblab_client thumblab_client
COPY thumblab_cli thumblab_cli
# DAGSTER_HOME lies in the image, so an update brings its own dagster.yaml. What Dagster writes goes to the volume.
RUN uv pip install --no-cache --no-deps --editable . && python -m compileall -q thumblab_* demo \
 && mkdir dagster-home && cat dagster.yaml deploy/dagster-storage.yaml > dagster-home/dagster.yaml \
 && chmod -R a+rX /lab

FROM base AS runtime
RUN useradd --uid 10001 --no-create-home --home-dir /data thumblab && mkdir /data && chown thumblab /data
# The caches of model hubs and of Matplotlib lie in the volume, because everything else is read-only.
ENV THUMBLAB_DATA_DIR=/data HOME=/data XDG_CACHE_HOME=/data/cache HF_HOME=/data/cache/huggingface \
    TORCH_HOME=/data/cache/torch MPLCONFIGDIR=/data/cache/matplotlib
VOLUME /data
USER thumblab

FROM runtime AS serving
COPY --from=build-serving /opt/venv /opt/venv
COPY --from=build-serving /lab /lab
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=8)"]
CMD ["python", "-m", "thumblab_serving", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS pipelines
COPY --from=build-pipelines /opt/venv /opt/venv
COPY --from=build-pipelines /lab /lab
ENV DAGSTER_HOME=/lab/dagster-home DAGSTER_GRPC_TIMEOUT_SECONDS=180 DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR=1
EXPOSE 4000
HEALTHCHECK --interval=60s --timeout=30s --start-period=180s --retries=3 \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "thumblab_pipelines.definitions"]
