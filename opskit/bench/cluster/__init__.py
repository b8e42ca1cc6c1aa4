"""One run by the workers of a Dask cluster. Needs `opskit[cluster]`."""
