"""The routes below `/api/v1/faces`. These routes are for keys with the scope `admin`.

The log of requests has the ids in the paths. Names of people are only in the bodies of requests and answers, so no log
and no metric has them.
"""
