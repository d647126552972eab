"""Settings of every Ray that we start or join, on one machine or on the nodes of a cluster."""

RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Environment variables. The last one turns off the idle processes, one a core, that Ray starts for
later tasks: our workers have processes of their own."""
