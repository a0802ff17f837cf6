# Consilo's images, from one file:
#   consilo           services, chaincode, command line; without torch
#   consilo-trainer   the same with torch, in a layer of its own below the code: a change of code moves little
#
# `make images` builds both. Everything is as the locks in requirements/ say, by hash. Which package index that comes
# from is the builder's own affair: a configuration of pip given as the build secret `pip` (make images PIP_CONFIG=file)
# is used, and stays in no layer.

ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

# -- What both images are on: Python and a user without rights ---------------------------------------------------------

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 consilo \
    && useradd --uid 10001 --gid 10001 --home-dir /work --no-create-home --shell /usr/sbin/nologin consilo \
    && install --directory --owner 10001 --group 10001 /work

# -- The dependencies, in a virtual environment without pip ------------------------------------------------------------

FROM base AS dependencies
COPY requirements/base.txt /tmp/base.txt
# The root file system is read-only where this runs: bytecode is made here, and never looked for a newer source.
# The packages' own tests, and a second client of Kubernetes that nothing here uses, are left out.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv --without-pip /opt/consilo \
    && python -m pip --python /opt/consilo/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --no-input --require-hashes --only-binary :all: -r /tmp/base.txt \
    && find /opt/consilo/lib -type d \( -name tests -o -path '*/kubernetes/aio' \) -prune -exec rm -rf {} + \
    && /opt/consilo/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/consilo/lib

# -- The code, with its bytecode ---------------------------------------------------------------------------------------

FROM dependencies AS code
COPY consilo /opt/consilo/app/consilo
COPY services /opt/consilo/app/services
COPY chaincode /opt/consilo/app/chaincode
COPY fabric /opt/consilo/app/fabric
RUN printf '#!/opt/consilo/bin/python\nfrom consilo.cli.main import main\n\nmain()\n' > /opt/consilo/app/consilo-command \
    && chmod 755 /opt/consilo/app/consilo-command \
    && /opt/consilo/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/consilo/app

# -- What runs ---------------------------------------------------------------------------------------------------------

FROM base AS runtime
COPY --from=dependencies /opt/consilo /opt/consilo
ENV PATH=/opt/consilo/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/consilo/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /work

FROM runtime AS with-torch
# An index of torch's own, for builds that PyPI does not have (without CUDA, say). Its files are others than the lock's,
# so of torch and what it depends on only the versions are as locked, not the hashes. Empty: all as locked.
ARG TORCH_INDEX=
COPY requirements/train.txt /tmp/train.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    set -eu; \
    install="/usr/local/bin/python -m pip --python /opt/consilo/bin/python install --no-cache-dir --no-compile \
        --disable-pip-version-check --no-input --only-binary :all:"; \
    if [ -n "${TORCH_INDEX}" ]; then \
        sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' /tmp/train.txt > /tmp/versions.txt; \
        ${install} --index-url "${TORCH_INDEX}" -c /tmp/versions.txt "$(grep '^torch==' /tmp/versions.txt)"; \
    else \
        ${install} --require-hashes -r /tmp/train.txt; \
    fi; \
    : "Some files of torch are templates, and do not compile."; \
    /opt/consilo/bin/python -m compileall -qq -j 0 --invalidation-mode unchecked-hash /opt/consilo/lib || true; \
    rm -f /tmp/train.txt /tmp/versions.txt

FROM with-torch AS consilo-trainer
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="consilo-trainer" \
      org.opencontainers.image.description="Consilo with torch: silos that train" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=code /opt/consilo/app /opt/consilo/app
RUN ln -s ../app/consilo-command /opt/consilo/bin/consilo
USER 10001:10001
CMD ["consilo", "--help"]

FROM runtime AS consilo
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="consilo" \
      org.opencontainers.image.description="Consilo: services, chaincode, command line" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=code /opt/consilo/app /opt/consilo/app
RUN ln -s ../app/consilo-command /opt/consilo/bin/consilo
USER 10001:10001
CMD ["consilo", "--help"]
