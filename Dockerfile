# rexplug on a host with NVIDIA GPUs, its driver (560 or newer) and the NVIDIA Container Toolkit. From a git checkout:
#
#     docker build -t rexplug .
#     docker run --rm --gpus all --shm-size 8g -v "$PWD:/data" rexplug run ecommerce
#
# The build argument TORCH installs another torch than Composer's pins allow (docs/guide/gpu-and-cluster.md), for example
# --build-arg TORCH="torch==2.11.0 torchvision==0.26.0". For GPUs before Hopper torch's own FlashAttention 2 is used; the package
# flash-attn is compiled with nvcc, from `--build-arg CUDA=12.6.3-devel`, by
# `RUN pip install --no-build-isolation flash-attn`.
ARG CUDA=12.6.3-runtime
FROM nvidia/cuda:${CUDA}-ubuntu24.04

# git: the version comes from the tags. Compiler and headers: Triton compiles a small C file for every kernel.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/rexplug
ENV PATH=/opt/rexplug/bin:$PATH PIP_NO_CACHE_DIR=1

WORKDIR /src
COPY constraints.txt ./
# torch and CUDA's libraries are in a layer of their own, which a change of rexplug does not touch.
RUN pip install --constraint constraints.txt torch torchvision
COPY . .
RUN pip install --constraint constraints.txt '.[gpu]'
ARG TORCH=""
# Unquoted: several packages.
RUN if [ -n "$TORCH" ]; then pip install $TORCH 'numpy<2.3'; fi

WORKDIR /data
ENTRYPOINT ["rexplug"]
