"""All experiments by name, in the order they are run and reported."""

from bench.connect import CONNECT, RESUMED
from bench.experiment import Experiment, OwnExperiment
from bench.http import HTTP
from bench.idle import IDLE
from bench.mixed import MIXED
from bench.postgres import POSTGRES
from bench.ready import READY_EXPERIMENT
from bench.relay import RELAY
from bench.routes import ROUTES_EXPERIMENT
from bench.workers import WORKERS

EXPERIMENTS: dict[str, Experiment | OwnExperiment] = {
    experiment.name: experiment
    for experiment in (
        RELAY,
        CONNECT,
        RESUMED,
        POSTGRES,
        HTTP,
        MIXED,
        IDLE,
        WORKERS,
        ROUTES_EXPERIMENT,
        READY_EXPERIMENT,
    )
}
