# syntax=docker/dockerfile:1
# Two images from one file: `runner` measures on a CUDA host, `dashboard` draws and holds no ML library.
#   docker build --target runner -t assay-runner .
#   docker build --target dashboard -t assay-dashboard .
# Both keep their books under /data: mount one volume into both.

FROM python:3.11-slim-bookworm AS dashboard
WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY schema schema
COPY runner runner
COPY dashboard dashboard
COPY src src
RUN pip install --no-cache-dir -c constraints.txt '.[dashboard]' \
    && useradd --create-home --uid 1001 assay \
    && mkdir /data && chown assay /data
USER 1001
ENV ASSAY_DB=/data/assay.duckdb
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health')"]
CMD ["assay", "dashboard", "--address", "0.0.0.0"]

FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 AS runner
WORKDIR /app
RUN apt-get update \
    && apt-get install -y --no-install-recommends git=1:2.* python3=3.12.* python3-venv=3.12.* \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/assay \
    && python3 -m venv /opt/tensorrt
ENV PATH=/opt/assay/bin:$PATH
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY schema schema
COPY runner runner
COPY dashboard dashboard
COPY src src
# onnxruntime-gpu and onnxruntime share one folder, and the one installed last wins: only the first is installed here.
# Its TensorRT provider is linked against TensorRT 10: those libraries alone are beside it. TensorRT 11 has an environment of its own.
RUN pip install --no-cache-dir -c constraints.txt '.[pytorch,onnxruntime-gpu,compiled-cuda,quality]' \
    && pip install --no-cache-dir -c constraints.txt scikit-learn \
    && pip install --no-cache-dir -c constraints.txt --no-deps silero-vad tensorrt-cu13-libs==10.16.1.11 \
    && /opt/tensorrt/bin/pip install --no-cache-dir -c constraints.txt '.[tensorrt,compiled-cuda]' scikit-learn \
    && useradd --create-home --uid 1001 assay \
    && mkdir /data && chown assay /data
USER 1001
ENV ASSAY_DB=/data/assay.duckdb \
    ASSAY_PYTHON_TENSORRT=/opt/tensorrt/bin/python \
    LD_LIBRARY_PATH=/opt/assay/lib/python3.12/site-packages/tensorrt_libs:$LD_LIBRARY_PATH \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /data
ENTRYPOINT ["assay"]
CMD ["run", "quickstart"]
