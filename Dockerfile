# docker build -t sweeps .     (what `tune launch kubernetes` and any other container platform runs)
FROM python:3.12-slim
WORKDIR /app
COPY . .
# The versions of requirements.txt, of which the packages for tests are left out. A constraints file
# may not name extras. Kubernetes and `ray job submit` need Ray's job server (extra `cluster`).
RUN sed 's/\[.*\]//' requirements.txt > /tmp/constraints.txt \
    && pip install --no-cache-dir -c /tmp/constraints.txt ".[analysis,cluster,loggers,sweep]"
ENV RAY_USAGE_STATS_ENABLED=0
# Runs and datasets lie on what is mounted here.
WORKDIR /work
ENTRYPOINT []
CMD ["python", "-m", "tune", "--help"]
