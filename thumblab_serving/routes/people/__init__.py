"""The routes below `/api/v1/faces`. They are for keys with the scope `admin`.

The log of requests has the ids in their paths. Names of people are only in bodies, so they are in no log and in no metric.
"""
