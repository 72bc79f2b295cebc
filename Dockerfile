# Two stages: the first follows the README's own steps, the second runs what they made, not as root.
FROM python:3.13-slim-bookworm AS build
WORKDIR /opt/csms
COPY pyproject.toml README.md LICENSE ./
COPY csms csms
COPY billing billing
COPY simulators simulators
RUN python3 -m venv .venv && .venv/bin/pip install --no-cache-dir .

FROM python:3.13-slim-bookworm
RUN useradd --create-home --uid 10001 csms && install -d -o csms -g csms /data
COPY --from=build /opt/csms/.venv /opt/csms/.venv
ENV PATH=/opt/csms/.venv/bin:$PATH CSMS_DATA_DIR=/data CSMS_HTTP_HOST=0.0.0.0
USER csms
VOLUME /data
EXPOSE 9000 9080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9080/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["csms", "serve"]
