"""Forecasting: a table of time series in, a model that goes on with them out."""

from elman.tasks.forecast.settings import ForecastSettings
from elman.tasks.forecast.task import ForecastTask
from elman.tasks.forecast.use.backtest import Backtest
from elman.tasks.forecast.use.result import Forecast
from elman.tasks.forecast.use.trained import TrainedForecast

__all__ = ["Backtest", "Forecast", "ForecastSettings", "ForecastTask", "TrainedForecast"]
