"""Parts that all trainings share: configuration, run folder, checkpoints, statistics, dashboards."""

import data  # noqa: F401  (sets how OpenMP threads wait, before torch is loaded)
