# The lab with the exact versions it is tested with. See docs/launch.md.
#   docker build -t reasonlab .
#   docker run --rm --gpus all --shm-size=8g -v "$PWD/runs:/lab/runs" reasonlab doctor
# For machines without GPUs, 5 GB smaller: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t reasonlab .
FROM python:3.11-slim-bookworm

# a compiler for the CPU's sampler; ssh to reach other machines, each of which needs an sshd of its own
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev git openssh-client \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /lab
ARG TORCH_INDEX=https://pypi.org/simple
COPY constraints.txt ./
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"

COPY . .
# DeepSpeed compiles what it needs when it needs it
RUN DS_BUILD_OPS=0 pip install --no-cache-dir -c constraints.txt -e .

ENTRYPOINT ["reasonlab"]
CMD ["doctor"]
