# docker build -t cellular . && docker run --rm -v "$PWD:/work" cellular demo --out demo
FROM python:3.12-slim
RUN useradd --create-home cellular && mkdir /work && chown cellular /work
COPY . /src
# torch goes first, alone, from the constraints: the CPU build. The model's cache and numba's lie in the home folder.
RUN pip install --no-cache-dir --constraint /src/constraints.txt torch \
    && pip install --no-cache-dir --constraint /src/constraints.txt "/src[dask,export,zarr,xlsx]" \
    && rm -rf /src
USER cellular
ENV NUMBA_CACHE_DIR=/home/cellular/.cache/numba
WORKDIR /work
ENTRYPOINT ["cellular"]
CMD ["--help"]
