# One image, four roles: see docker-compose.yml.
FROM python:3.11-slim
RUN useradd --create-home --uid 10001 thumblab
WORKDIR /lab
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps -e . \
 && mkdir -p /data/dagster && cp dagster.yaml /data/dagster/ && chown -R thumblab /data
USER thumblab
ENV THUMBLAB_DATA_DIR=/data DAGSTER_HOME=/data/dagster DAGSTER_GRPC_TIMEOUT_SECONDS=180
VOLUME /data
CMD ["thumblab", "--help"]
