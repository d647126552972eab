"""A tiny run of Ray Tune without anything of ours: ``python ray_tiny.py FOLDER``.

`tests/fixtures/ray_results.tar.xz` holds what it wrote with Ray 2.60, without pickles.
"""

import sys

import ray
import ray.tune


def train(config):
    for epoch in range(1, 6):
        if config["lr"] == 0.5:
            raise RuntimeError("boom")
        loss = config["lr"] / epoch + 0.001 * config["seed"]
        ray.tune.report({"loss": loss, "eval": {"acc": 1 - loss}})


if __name__ == "__main__":
    # "local": another test may have started a Ray, which would be joined by default.
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init("local", num_cpus=2, **options)
    ray.tune.Tuner(
        train,
        param_space={
            "lr": ray.tune.grid_search([0.1, 0.2, 0.3, 0.5]),
            "seed": ray.tune.grid_search([0, 1]),
            "net": {"act": "relu", "widths": [8, 16]},
        },
        tune_config=ray.tune.TuneConfig(
            metric="loss",
            mode="min",
            scheduler=ray.tune.schedulers.ASHAScheduler(
                grace_period=1, reduction_factor=2, max_t=5
            ),
        ),
        run_config=ray.tune.RunConfig(name="tiny", storage_path=sys.argv[1], verbose=0),
    ).fit()
