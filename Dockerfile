# docker build -t sweeps .     (what `tune launch kubernetes` and any other container platform runs)
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
# Kubernetes and `ray job submit` hand jobs to Ray's job server, which ray[default] brings.
RUN pip install --no-cache-dir -r requirements.txt \
    && pip install --no-cache-dir "ray[default]==$(python -c 'import ray; print(ray.__version__)')"
COPY data_prep data_prep
COPY models models
COPY tune tune
ENV PYTHONPATH=/app RAY_USAGE_STATS_ENABLED=0
# Runs and datasets lie on what is mounted here.
WORKDIR /work
ENTRYPOINT []
CMD ["python", "-m", "tune", "--help"]
