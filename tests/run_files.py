"""What a training leaves in its folder."""

OF_EVERY_RUN = [
    "history.png",
    "metrics.json",
    "model.keras",
    "model.png",
    "predictions.csv",
    "report.html",
    "run.json",
]
