# docker build -t cellular .
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" cellular demo --out demo
FROM python:3.12-slim
# PyPI's torch for Linux brings CUDA, several GB. uv knows PyTorch's own builds: cpu, or a card's, such as cu130.
ARG UV_TORCH_BACKEND=cpu
COPY . /src
RUN pip install --no-cache-dir --constraint /src/constraints.txt uv \
    && uv pip install --system --no-cache --compile-bytecode --constraint /src/constraints.txt "/src[dask,export,zarr,xlsx]" \
    && pip uninstall --yes uv \
    && rm -rf /src
# Whoever runs it has a home to keep models and compiled functions in, as long as the container lasts, and a name.
RUN useradd --uid 1000 --create-home cellular && mkdir /work && chmod 1777 /home/cellular /work
ENV HOME=/home/cellular USER=cellular
USER 1000
WORKDIR /work
ENTRYPOINT ["cellular"]
CMD ["--help"]
