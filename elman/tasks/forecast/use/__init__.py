"""A trained forecasting model in use: forecasting, backtests, pictures."""
